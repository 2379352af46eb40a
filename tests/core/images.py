"""Put images into the source bucket, and check where each of them ended."""

from __future__ import annotations

from typing import Any

from label_detection_core.labelling.keys import REJECTED, final_key
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws

LABELS = [{"Name": "scratch", "Confidence": 97.1}]
FOUND = Detection(LABELS)
TEXT = b"not a picture"
GIF = b"GIF89a" + bytes(100)


def detect(image: ImageRef, min_confidence: float | None) -> Detection:
    return FOUND


def upload(aws: Aws, key: str, body: bytes, **more: Any) -> ImageRef:
    return ImageRef(aws.settings.source_bucket, key, aws.upload(key, body, **more), None, len(body))


def outcomes(aws: Aws, image: ImageRef) -> list[str]:
    """Where an image is now. An image and its document count as one outcome."""
    found = []
    for outcome, key in (("labelled", final_key(image)), ("rejected", final_key(image, REJECTED))):
        there = [name in aws.final_keys() for name in (key, f"{key}.json")]
        assert there[0] or not there[1], f"{outcome}: a document without its image"
        if there[1]:
            found.append(outcome)
    if image.key in aws.source_keys():
        found.append("pending")
    return found
