"""Replaces class numbers by class names in a model's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from label_detection_core.config.class_names import NUMBER
from label_detection_core.labelling.asking import Detect
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef


def naming(detect: Detect, class_names: Sequence[str]) -> Detect:
    """Return a `Detect` that replaces class numbers by names. A number without a name stays a number."""
    if not class_names:
        return detect

    def detect_named(image: ImageRef, min_confidence: float | None) -> Detection:
        found = detect(image, min_confidence)
        labels = [{**label, "Name": _name(str(label["Name"]), class_names)} for label in found.labels]
        return replace(found, labels=labels)

    return detect_named


def _name(name: str, class_names: Sequence[str]) -> str:
    number = NUMBER.fullmatch(name)
    return class_names[int(number[1])] if number and int(number[1]) < len(class_names) else name
