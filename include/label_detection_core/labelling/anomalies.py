"""Converts answers of Amazon Lookout for Vision, and of its successor, into labels and an anomaly."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops

from label_detection_core.labelling.labels import Anomaly, Detection

#: Lookout's name for the normal part of an image.
_BACKGROUND = "background"
#: The label of an anomaly if the model has no anomaly types.
_UNNAMED = "anomaly"
#: A larger mask is reduced to this number of pixels on its longer side, since a large one takes megabytes per thread.
_SIDE = 1024
_ONE_AT_A_TIME = threading.Lock()


def detection_of(result: Mapping[str, Any], min_confidence: float | None) -> Detection:
    """Convert a `DetectAnomalyResult`. The anomaly is always kept; each type of anomaly in it becomes a label.

    Lookout has one confidence for the whole answer (0-1), not one per anomaly. So every label gets it (0-100).

    :param min_confidence: 0-100; an anomaly with a lower confidence gets no labels. None: it always gets them.
    """
    least = 0.0 if min_confidence is None else min_confidence
    anomaly = Anomaly(bool(result["IsAnomalous"]), round(float(result["Confidence"]) * 100, 4))
    labels: list[dict[str, Any]] = []
    if anomaly.is_anomalous and anomaly.confidence >= least:
        named = [found for found in result.get("Anomalies") or [] if found["Name"] != _BACKGROUND]
        mask = _small(result["AnomalyMask"]) if named and result.get("AnomalyMask") else None
        labels = [_label(found, anomaly.confidence, mask) for found in named]
    if anomaly.is_anomalous and anomaly.confidence >= least and not labels:
        labels = [{"Name": _UNNAMED, "Confidence": anomaly.confidence}]
    return Detection(labels, anomaly)


def _label(found: Mapping[str, Any], confidence: float, mask: Image.Image | None) -> dict[str, Any]:
    label = {"Name": str(found["Name"]), "Confidence": confidence}
    where = dict(found.get("PixelAnomaly") or {})
    if where:
        label["PixelAnomaly"] = where  # unchanged: the share of the image, 0-1, and the colour in the mask
    if mask and "Color" in where and (box := _box(mask, str(where["Color"]))):
        label["Geometry"] = {"BoundingBox": box}
    return label


def _small(mask: bytes | str) -> Image.Image:
    """Return a mask as pixels, at most `_SIDE` per side. A mask is bytes, or base64 text as in JSON."""
    mask = base64.b64decode(mask) if isinstance(mask, str) else mask
    with _ONE_AT_A_TIME, Image.open(BytesIO(mask), formats=("PNG",)) as picture:
        step = -(-max(picture.size) // _SIDE)
        size = (max(picture.width // step, 1), max(picture.height // step, 1))
        return picture.resize(size, Image.Resampling.NEAREST).convert("RGB")


def _box(pixels: Image.Image, color: str) -> dict[str, float] | None:
    """Return the bounding box of a colour in the mask, in ratios of its size; None if no pixel has the colour."""
    red, green, blue = ImageChops.difference(pixels, Image.new("RGB", pixels.size, color)).split()
    unlike = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    if not (edges := unlike.point(lambda value: 0 if value else 255).getbbox()):
        return None
    width, height = pixels.size
    left, top, right, bottom = edges
    return {
        "Width": (right - left) / width,
        "Height": (bottom - top) / height,
        "Left": left / width,
        "Top": top / height,
    }
