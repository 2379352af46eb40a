"""A run's images and the JSON beside them, as the routes read them from the final bucket."""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import HTTPException, Query

from label_detection.ui import clients
from label_detection.ui.responses import GoneError, UnreadableError, said_in_words
from label_detection_core.drain.journal import run_prefix
from label_detection_core.run.gallery import Gallery, JournalPosition, Parts
from label_detection_core.run.stored_report import StoredReport

if TYPE_CHECKING:
    from label_detection_core.config.settings import Settings

#: What reading the final bucket takes.
READ_FINAL = "s3:ListBucket and s3:GetObject on it, and kms:Decrypt on its key if a KMS key encrypts it"
#: Bytes of a document, or of a report, that a page takes.
_MOST_BYTES = 2_000_000
_parts = Parts()

#: A position in a run's journal, in a request.
PositionText = Annotated[str, Query(max_length=60)]


def position(text: str) -> JournalPosition:
    """A position in a journal, from a request."""
    try:
        return JournalPosition.parse(text)
    except ValueError as error:
        raise HTTPException(400, f"{text!r}: {error}") from None


def gallery(settings: Settings, run_id: str) -> Gallery:
    """A run's images."""
    return Gallery(clients.s3_client(settings), settings.final_bucket, run_id, _parts)


def final_bucket(settings: Settings) -> str:
    """What a sentence calls it."""
    return f"The final bucket {settings.final_bucket}"


def find_image(settings: Settings, run_id: str, image: str) -> dict[str, Any]:
    """The image that a line of the run's journal tells of."""
    found = None
    with contextlib.suppress(GoneError), said_in_words(final_bucket(settings), READ_FINAL):
        found = gallery(settings, run_id).image(position(image))
    if found is None:
        raise HTTPException(404, "This run's journal has no such image.")
    return found


def read_object(settings: Settings, key: str) -> bytes:
    """A small object of the final bucket.

    :raises GoneError: when it is not there.
    :raises UnreadableError: when it is too large.
    """
    with said_in_words(final_bucket(settings), READ_FINAL):
        answer = clients.s3_client(settings).get_object(Bucket=settings.final_bucket, Key=key)
        with answer["Body"] as body:
            content = body.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise UnreadableError(f"{key} is larger than {_MOST_BYTES:,} bytes.")
    return content


def read_json(settings: Settings, key: str) -> Any:
    """A JSON object of the final bucket; what JSON has no number for (NaN, 1e999) is None.

    :raises GoneError: when it is not there.
    :raises UnreadableError: when it is not JSON, or too large.
    """
    try:
        return json.loads(read_object(settings, key), parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        raise UnreadableError(f"{key} is not JSON: it is not as this project wrote it.") from None


def read_report(settings: Settings, run_id: str) -> StoredReport:
    """A run's report; the errors of `read_json`."""
    report = read_json(settings, key := f"{run_prefix(run_id)}report.json")
    if not isinstance(report, dict):
        raise UnreadableError(f"{key} is no report: it is not as this project wrote it.")
    return StoredReport.model_validate(report)


def _finite(text: str) -> float | None:
    return value if math.isfinite(value := float(text)) else None
