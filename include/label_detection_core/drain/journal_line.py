"""A line of a run's journal: what became of an image, or of a message without one, in one delivery."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any, Self

from label_detection_core.drain.pace import Calls
from label_detection_core.labelling.decisions import Result
from label_detection_core.labelling.documents import Anomaly, Failure
from label_detection_core.stored import Count, Lenient, Number, Part, Stored, now


class LineSource(Part):
    """The version of an object that a message announced."""

    bucket: str
    key: str
    etag: str | None = None


class JournalLine(Stored):
    """As it is stored. Earlier versions did not write all of the fields that have a default.

    `labels`: as in documents; `seconds`: what the model's answer took; `throttled`: sends; `worked`: seconds of work,
    without waiting for a turn; `lag`: seconds since the announcement; `task`: the analysis task, from 0.
    """

    outcome: str
    source: LineSource | None = None
    image: str | None = None
    labels: list[dict[str, Any]]
    anomaly: Lenient[Anomaly | None] = None
    error: Lenient[Failure | None] = None
    reason: str | None = None
    ignored: str | None = None
    seconds: Lenient[Number | None] = None
    throttled: Lenient[Count] = 0
    worked: Lenient[Number | None] = None
    lag: Lenient[Number | None] = None
    task: Lenient[Count] = 0
    at: Lenient[str | None] = None

    @property
    def moment(self) -> datetime | None:
        """When it was written; None: the line does not say."""
        try:
            found = datetime.fromisoformat(self.at or "")
        except ValueError:
            return None
        return found if found.tzinfo else None

    @classmethod
    def of(cls, result: Result, calls: Calls | None, announced_at: float | None, task: int) -> Self:
        """What is written for a result; `announced_at`: seconds since 1970."""
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
        """From its text; None: it is not the journal's."""
        line = super().parse(text)
        return line if line and all(isinstance(label.get("Name"), str) for label in line.labels) else None

    def to_text(self) -> str:
        """In one line, without its end."""
        return json.dumps(self.to_dict(), ensure_ascii=False)
