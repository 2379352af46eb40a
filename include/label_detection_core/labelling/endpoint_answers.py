"""Converts answers of SageMaker endpoints into labels in the format of Amazon Rekognition.

Four formats are recognized by their shape:

* the built-in object detector: `{"prediction": [[class, score 0-1, xmin, ymin, xmax, ymax in ratios], ...]}`;
* the built-in image classifier: `[probability of class 0, of class 1, ...]`;
* the Hugging Face toolkit: `[{"label": "...", "score": 0-1, "box": {"xmin", "ymin", "xmax", "ymax" in pixels}}, ...]`,
  without `box` for a label of the whole image;
* the successor of Amazon Lookout for Vision (AWS Marketplace: Computer Vision Defect Detection Model):
  `{"Source": ..., "IsAnomalous": true, "Confidence": 0-1}`, which `anomalies` reads like an answer of Lookout.

The built-in algorithms answer with class numbers. Then the `Name` of a label is the number, and `naming` replaces it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool, TypeAdapter, ValidationError

from label_detection_core.labelling import anomalies
from label_detection_core.labelling.labels import Detection

#: Rounding can make a score of 1 a little larger.
_Score = Annotated[float, Field(ge=0, le=1.001, allow_inf_nan=False)]
_Edge = Annotated[float, Field(allow_inf_nan=False)]


class _Box(BaseModel):
    xmin: _Edge
    ymin: _Edge
    xmax: _Edge
    ymax: _Edge


class _Found(BaseModel):
    label: str = Field(min_length=1)
    score: _Score
    box: _Box | None = None


class _Detections(BaseModel):
    prediction: list[tuple[_Edge, _Score, _Edge, _Edge, _Edge, _Edge]]


class _Verdict(BaseModel):
    """The answer of Lookout's successor, with its field names."""

    IsAnomalous: StrictBool
    Confidence: _Score


_ANSWER: TypeAdapter[Any] = TypeAdapter(_Detections | _Verdict | list[_Found] | list[_Score])


def detection_of(answer: bytes, width: int, height: int, min_confidence: float | None) -> Detection:
    """Convert the answer of an endpoint: labels by descending confidence (0-100), boxes in ratios of the image's size.

    :param width: of the image, in pixels; `height` as well.
    :param min_confidence: labels with a lower confidence are left out, 0-100; None keeps all.
    :raises ValueError: when the answer has none of the four formats.
    """
    try:
        found = json.loads(answer)
        read = _ANSWER.validate_python(found)
    except (ValidationError, ValueError):
        begin = answer[:200].decode(errors="replace")
        raise ValueError(f"the answer of the endpoint has no known format: {begin!r}") from None
    if isinstance(read, _Verdict):
        return anomalies.detection_of(found, min_confidence)
    least = 0.0 if min_confidence is None else min_confidence
    return Detection([label for label in _labels(read, width, height) if label["Confidence"] >= least])


def _labels(read: Any, width: int, height: int) -> list[dict[str, Any]]:
    if isinstance(read, _Detections):
        labels = [_label(str(int(found[0])), found[1], found[2:]) for found in read.prediction if found[0] >= 0]
    else:
        labels = [_one_of(index, found, width, height) for index, found in enumerate(read)]
    return sorted(labels, key=lambda label: -float(label["Confidence"]))


def _one_of(index: int, found: Any, width: int, height: int) -> dict[str, Any]:
    if not isinstance(found, _Found):
        return _label(str(index), found)
    if found.box is None:
        return _label(found.label, found.score)
    box = found.box
    return _label(found.label, found.score, (box.xmin / width, box.ymin / height, box.xmax / width, box.ymax / height))


def _label(name: str, score: float, box: Sequence[float] | None = None) -> dict[str, Any]:
    label: dict[str, Any] = {"Name": name, "Confidence": round(min(score, 1.0) * 100, 4)}
    if box:
        left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in box)
        label["Geometry"] = {
            "BoundingBox": {"Width": max(right - left, 0.0), "Height": max(bottom - top, 0.0), "Left": left, "Top": top}
        }
    return label
