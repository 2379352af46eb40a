"""Values for documents and journal lines: a model's answer about an image, the model, and the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Error:
    """Why an image or a message was rejected: an error code of a service or of this package, and a message."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True)
class Anomaly:
    """A model's answer about a whole image: whether it shows an anomaly, and the confidence of that answer, 0-100."""

    is_anomalous: bool
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object for documents and journal lines."""
        return {"IsAnomalous": self.is_anomalous, "Confidence": self.confidence}


@dataclass(frozen=True)
class Detection:
    """A model's answer about an image. `anomaly`: None if the model does not detect anomalies.

    A label has the fields of Amazon Rekognition: `Name`, `Confidence` (0-100) and, for a part of the image, `Geometry`
    with a `BoundingBox` in ratios of the image's size.
    """

    labels: list[dict[str, Any]]
    anomaly: Anomaly | None = None


@dataclass(frozen=True)
class ModelInfo:
    """The model that was asked.

    `min_confidence`: labels with a lower confidence were left out, 0-100; None: the model's own thresholds.
    """

    arn: str
    min_confidence: float | None


@dataclass(frozen=True)
class RunInfo:
    """The task that writes a document. `map_index`: the number of the analysis task in the run, from 0."""

    dag_id: str
    run_id: str
    map_index: int
