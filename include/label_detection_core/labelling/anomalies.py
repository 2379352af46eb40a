"""What Amazon Lookout for Vision answered about an image, and its successor does, as labels and an anomaly."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops

from label_detection_core.labelling.labels import Anomaly, Detection

#: Lookout's name for all that is no anomaly.
_BACKGROUND = "background"
#: What an anomaly is called by a model that does not tell kinds of them apart.
_UNNAMED = "anomaly"
#: Pixels of a mask's longer side that are looked at. The whole of a large one takes megabytes, in every thread.
_SIDE = 1024
_ONE_AT_A_TIME = threading.Lock()


def detection_of(result: Mapping[str, Any], min_confidence: float | None) -> Detection:
    """A `DetectAnomalyResult`: its answer on the image is kept whatever it is, and has a label for each anomaly.

    Lookout is sure of the answer, not of each anomaly in it: they all have its confidence, 0-100 here, and it 0-1.

    :param min_confidence: an anomaly that is less sure has no labels; None: each has them.
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
        label["PixelAnomaly"] = where  # as it was answered: the share of the image, 0-1, the colour in the mask
    if mask and "Color" in where and (box := _box(mask, str(where["Color"]))):
        label["Geometry"] = {"BoundingBox": box}
    return label


def _small(mask: bytes | str) -> Image.Image:
    """A mask as pixels, made smaller: at most `_SIDE` a side. A text is base64, as blobs in JSON are."""
    mask = base64.b64decode(mask) if isinstance(mask, str) else mask
    with _ONE_AT_A_TIME, Image.open(BytesIO(mask), formats=("PNG",)) as picture:
        step = -(-max(picture.size) // _SIDE)
        size = (max(picture.width // step, 1), max(picture.height // step, 1))
        return picture.resize(size, Image.Resampling.NEAREST).convert("RGB")


def _box(pixels: Image.Image, color: str) -> dict[str, float] | None:
    """What a colour covers of the mask, in ratios of its size; None: nothing."""
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
