"""What a model answers about an image, and who asked it: values, of which documents and journal lines are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Error:
    """Why an image or a message was rejected: a service's code, or one of ours, and words."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True)
class Anomaly:
    """A model's word on a whole image: whether something is wrong with it. `confidence`: 0-100, of that answer."""

    is_anomalous: bool
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """As documents and journal lines have it."""
        return {"IsAnomalous": self.is_anomalous, "Confidence": self.confidence}


@dataclass(frozen=True)
class Detection:
    """What a model says of an image. `labels`: as in Amazon Rekognition's answers; `anomaly`: only if it is asked that.

    A label has `Name`, `Confidence` (0-100) and, if it is somewhere in the image, `Geometry` with a `BoundingBox` in
    ratios of the image's size.
    """

    labels: list[dict[str, Any]]
    anomaly: Anomaly | None = None


@dataclass(frozen=True)
class ModelInfo:
    """The model that was asked, and the confidence (0-100) below which its labels were left out.

    `min_confidence` None: the model's own thresholds held.
    """

    arn: str
    min_confidence: float | None


@dataclass(frozen=True)
class RunInfo:
    """The task that writes a document. `map_index` counts the run's analysis tasks from 0."""

    dag_id: str
    run_id: str
    map_index: int
