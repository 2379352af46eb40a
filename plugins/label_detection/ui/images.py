"""Reads the images of a run, their documents and the run's report from the final bucket."""

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

#: Permissions to read the final bucket.
READ_FINAL = "s3:ListBucket and s3:GetObject on it, and kms:Decrypt on its key if a KMS key encrypts it"
#: Bytes of a document or a report that a page reads at most.
_MOST_BYTES = 2_000_000
_parts = Parts()

#: A position in a run's journal, as a request has it.
PositionText = Annotated[str, Query(max_length=60)]


def position(text: str) -> JournalPosition:
    """Read a position in a journal from a request.

    :raises HTTPException: 400 when it has another form.
    """
    try:
        return JournalPosition.parse(text)
    except ValueError as error:
        raise HTTPException(400, f"{text!r} is wrong: {error}") from None


def gallery(settings: Settings, run_id: str) -> Gallery:
    """The images of a run, read with a cache that all requests share."""
    return Gallery(clients.s3_client(settings), settings.final_bucket, run_id, _parts)


def final_bucket(settings: Settings) -> str:
    """The name of the final bucket, as the subject of an error message."""
    return f"The final bucket {settings.final_bucket}"


def find_image(settings: Settings, run_id: str, image: str) -> dict[str, Any]:
    """The image of a line in the run's journal.

    :param image: the position of the line.
    :raises HTTPException: 404 when there is no such line, or when it is about no image.
    """
    found = None
    with contextlib.suppress(GoneError), said_in_words(final_bucket(settings), READ_FINAL):
        found = gallery(settings, run_id).image(position(image))
    if found is None:
        raise HTTPException(404, "This run's journal has no such image.")
    return found


def read_object(settings: Settings, key: str) -> bytes:
    """The content of a small object in the final bucket.

    :raises GoneError: when the object does not exist.
    :raises UnreadableError: when it is larger than 2 MB.
    """
    with said_in_words(final_bucket(settings), READ_FINAL):
        answer = clients.s3_client(settings).get_object(Bucket=settings.final_bucket, Key=key)
        with answer["Body"] as body:
            content = body.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise UnreadableError(f"{key} is larger than {_MOST_BYTES:,} bytes, so this page does not show it.")
    return content


def read_json(settings: Settings, key: str) -> Any:
    """A JSON value from an object in the final bucket. Numbers outside of JSON's range (NaN, 1e999) become None.

    :raises GoneError: when the object does not exist.
    :raises UnreadableError: when it is not JSON, or too large.
    """
    try:
        return json.loads(read_object(settings, key), parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        raise UnreadableError(f"{key} is not JSON: someone else wrote it, or changed it later.") from None


def read_report(settings: Settings, run_id: str) -> StoredReport:
    """The report of a run. It raises the errors of `read_json`."""
    report = read_json(settings, key := f"{run_prefix(run_id)}report.json")
    if not isinstance(report, dict):
        raise UnreadableError(f"{key} is not a report: someone else wrote it, or changed it later.")
    return StoredReport.model_validate(report)


def _finite(text: str) -> float | None:
    return value if math.isfinite(value := float(text)) else None
