"""A line of a run's journal: the outcome of an image, or of a message without an image, in one delivery."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any, Self

from pydantic import Field

from label_detection_core.drain.pace import Calls
from label_detection_core.labelling.decisions import Result
from label_detection_core.labelling.documents import Anomaly, Failure
from label_detection_core.stored import Count, Lenient, Number, Part, Stored, now


class LineSource(Part):
    """The version of the source object that a message announced."""

    bucket: str = Field(description="the source bucket")
    key: str = Field(description="key in the source bucket")
    etag: str | None = Field(default=None, description="ETag of the version")


class JournalLine(Stored):
    """A line in the journal. Earlier versions did not write all fields that have a default."""

    outcome: str = Field(description="labelled, rejected, unreadable, ignored or failed")
    source: LineSource | None = None
    image: str | None = Field(default=None, description="key in the final bucket")
    labels: list[dict[str, Any]] = Field(description="the labels, as in the label document")
    anomaly: Lenient[Anomaly | None] = None
    error: Lenient[Failure | None] = None
    reason: str | None = Field(default=None, description="why the image has this outcome")
    ignored: str | None = Field(default=None, description="why there was nothing to do")
    seconds: Lenient[Number | None] = Field(default=None, description="how long the model's answer took, in seconds")
    throttled: Lenient[Count] = Field(default=0, description="number of throttled requests")
    worked: Lenient[Number | None] = Field(
        default=None, description="seconds of work, without the wait for the request rate"
    )
    lag: Lenient[Number | None] = Field(default=None, description="seconds from the announcement to this outcome")
    task: Lenient[Count] = Field(default=0, description="number of the analysis task in its run, from 0")
    at: Lenient[str | None] = Field(default=None, description="when the line was written, UTC")

    @property
    def moment(self) -> datetime | None:
        """When the line was written; None if it has no valid time."""
        try:
            found = datetime.fromisoformat(self.at or "")
        except ValueError:
            return None
        return found if found.tzinfo else None

    @classmethod
    def of(cls, result: Result, calls: Calls | None, announced_at: float | None, task: int) -> Self:
        """Make the line for a result. `announced_at`: when the message was sent, in seconds since 1970."""
        source, error = result.source, result.error
        return cls(
            outcome=result.outcome.value,
            source=LineSource(bucket=source.bucket, key=source.key, etag=source.etag) if source else None,
            image=result.image_key,
            labels=result.labels,
            anomaly=Anomaly.model_validate(result.anomaly) if result.anomaly else None,
            error=Failure(**vars(error)) if error else None,
            reason=result.reason,
            ignored=result.ignored.value if result.ignored else None,
            seconds=round(calls.seconds, 4) if calls and calls.seconds is not None else None,
            throttled=calls.throttled if calls else 0,
            worked=round(calls.worked, 4) if calls else None,
            lag=round(max(time.time() - announced_at, 0.0), 1) if announced_at is not None else None,
            task=task,
            at=now(),
        )

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """Read a line. Return None if it is not a valid line of a journal."""
        line = super().parse(text)
        return line if line and all(isinstance(label.get("Name"), str) for label in line.labels) else None

    def to_text(self) -> str:
        """Return the line as JSON text, without a line break."""
        return json.dumps(self.to_dict(), ensure_ascii=False)
