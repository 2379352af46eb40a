"""Names for the classes of models that only number them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from include.labeller import Detect
from include.labels import Detection
from include.messages import ImageRef

#: What a class is called that nobody has named: `3`, and by the Hugging Face toolkit `LABEL_3`.
_NUMBER = re.compile(r"(?:LABEL_)?(\d{1,6})")


def naming(detect: Detect, class_names: Sequence[str]) -> Detect:
    """The same, with names for numbers. A number that is beyond the names stays one: nothing is lost by it."""
    if not class_names:
        return detect

    def detect_named(image: ImageRef, min_confidence: float) -> Detection:
        found = detect(image, min_confidence)
        labels = [{**label, "Name": _name(str(label["Name"]), class_names)} for label in found.labels]
        return replace(found, labels=labels)

    return detect_named


def _name(name: str, class_names: Sequence[str]) -> str:
    number = _NUMBER.fullmatch(name)
    return class_names[int(number[1])] if number and int(number[1]) < len(class_names) else name
