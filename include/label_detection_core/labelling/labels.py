"""What is written for an image: its final key, its label document, its rejection.

`label_document.schema.json` beside this file is the contract of the documents.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from label_detection_core.queue.messages import MAX_KEY_BYTES, ImageRef, Message

SCHEMA = "label-detection/1"
SCHEMA_FILE = Path(__file__).with_name("label_document.schema.json")
REJECTED = "rejected/"
#: The folder for images whose source keys begin with one of the final bucket's own folders, so that no life-cycle rule
#: and no reader of those folders finds a picture there.
ASIDE = "_/"
_OWN_FOLDERS = (REJECTED, "runs/", "reviews/", "exports/", ASIDE)
_ID_DIGITS = 10
_DOCUMENT_SUFFIX = ".json"


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


def final_key(image: ImageRef, prefix: str = "") -> str:
    """The key of an image in the final bucket: `<prefix><key>-<id><suffix>`, a function of bucket, key and eTag alone.

    `part.png` becomes `part-1f0c9a7be2.png`, `runs/part.png` `_/runs/part-….png`. Cut before the id where the image's
    or its document's key would pass S3's 1,024 bytes.
    """
    return _with_id(image, prefix + ASIDE if image.key.startswith(_OWN_FOLDERS) else prefix)


def is_final_key(key: str, image: ImageRef, prefix: str = "") -> bool:
    """Whether a key is that of an image in the final bucket, or was for a version that put none under `_/`."""
    return key in {final_key(image, prefix), _with_id(image, prefix)}


def _with_id(image: ImageRef, prefix: str) -> str:
    folder, slash, name = image.key.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    tail = f"-{_digest(image)}{dot}{suffix}"
    room = MAX_KEY_BYTES - len(f"{prefix}{tail}{_DOCUMENT_SUFFIX}".encode())
    if room < 0:  # a suffix as long as a key: no suffix at all, then
        stem, tail = name, f"-{_digest(image)}"
        room = MAX_KEY_BYTES - len(f"{prefix}{tail}{_DOCUMENT_SUFFIX}".encode())
    return prefix + _cut(f"{folder}{slash}{stem}", room) + tail


def document_key(image_key: str) -> str:
    """The key of the document that belongs to an image's final key."""
    return image_key + _DOCUMENT_SUFFIX


def rejected_message_key(message_id: str) -> str:
    """Where the document of a message without an image goes."""
    return f"{REJECTED}messages/{message_id}{_DOCUMENT_SUFFIX}"


def label_document(
    image: ImageRef,
    final: ImageRef,
    found: Detection,
    model: ModelInfo,
    run: RunInfo,
) -> dict[str, Any]:
    """The document of a labelled image."""
    answer: dict[str, Any] = {"labels": found.labels}
    if anomaly := anomaly_document(found):
        answer["anomaly"] = anomaly
    return {**_head(image, final, model), **answer, "run": _run(run)}


def anomaly_document(found: Detection) -> dict[str, Any] | None:
    """A model's word on a whole image as documents have it; None: it was not asked that."""
    if found.anomaly is None:
        return None
    return {"IsAnomalous": found.anomaly.is_anomalous, "Confidence": found.anomaly.confidence}


def rejected_document(image: ImageRef, final: ImageRef, error: Error, model: ModelInfo, run: RunInfo) -> dict[str, Any]:
    """The document of an image that has no labels and never will: why."""
    return {**_head(image, final, model), "error": asdict(error), "run": _run(run)}


def rejected_message(message: Message, error: Error, run: RunInfo) -> dict[str, Any]:
    """The document of a message that announced no image of ours: its body as it came, and why."""
    return {
        "schema": SCHEMA,
        "message": {"id": message.id, "body": message.body},
        "error": asdict(error),
        "run": _run(run),
    }


def to_json(document: Any) -> bytes:
    """A document as it is stored."""
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", errors="backslashreplace")


def now() -> str:
    """The time as documents give it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(image: ImageRef) -> str:
    identity = "\0".join((image.bucket, image.key, image.etag or ""))
    return hashlib.sha256(identity.encode()).hexdigest()[:_ID_DIGITS]


def _cut(text: str, room: int) -> str:
    """`text` in at most `room` bytes of UTF-8, no character cut in two."""
    return text.encode()[:room].decode(errors="ignore")


def _head(image: ImageRef, final: ImageRef, model: ModelInfo) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "source": asdict(image),
        "image": {"bucket": final.bucket, "key": final.key},
        "model": asdict(model),
    }


def _run(run: RunInfo) -> dict[str, Any]:
    return {**asdict(run), "labelled_at": now()}
