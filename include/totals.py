"""What a run's journal adds up to: images, labels, rejections, and what the model was asked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel


class Counts(BaseModel):
    """Images by outcome; a message that announced no image of ours counts as one."""

    labelled: int = 0
    rejected: int = 0
    ignored: int = 0
    failed: int = 0


class Calls(BaseModel):
    """What the model was asked: images answered, sends throttled, and what an answer took, in seconds.

    A percentile is the least time that so many answers took at the most; `slowest` is of all of them.
    """

    answered: int = 0
    throttled: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    slowest: float | None = None

    @property
    def throttled_share(self) -> float:
        """Throttled sends of all sends, 0-1."""
        return self.throttled / (self.answered + self.throttled) if self.throttled else 0.0


class Lag(BaseModel):
    """From an image's announcement to its outcome, in seconds: of half of them at the most, and the longest."""

    p50: float | None = None
    longest: float | None = None


class Totals(BaseModel):
    """A journal, added up.

    `seconds_per_image`: the mean time an image was worked on, without those that waited for a throttled call;
    `by_second`: images that the model answered for, by the second since 1970 in which they ended;
    `throttled_by_second`: sends of theirs that were throttled.
    """

    images: Counts
    labels: dict[str, int]
    rejections: dict[str, int]
    calls: Calls = Calls()
    lag: Lag = Lag()
    seconds_per_image: float | None = None
    by_second: dict[int, int] = {}
    throttled_by_second: dict[int, int] = {}


def add_up(lines: Iterable[dict[str, Any]]) -> Totals:
    """Add up a journal's lines. Memory grows with the run's seconds and with the times that answers took, to the ms."""
    outcomes: Counter[str] = Counter()
    found: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    milliseconds: Counter[int] = Counter()
    by_second: Counter[int] = Counter()
    throttled: Counter[int] = Counter()
    lags: Counter[int] = Counter()  # by the second
    worked, images = 0.0, 0
    for line in lines:
        outcomes[line["outcome"]] += 1
        found.update({label["Name"] for label in line["labels"]})
        if line["outcome"] == "rejected":
            rejections[line["error"]["code"]] += 1
        second = int(datetime.fromisoformat(line["at"]).timestamp())
        throttled[second] += line.get("throttled", 0)  # not in a journal of a version before this
        if (lag := line.get("lag")) is not None and line["outcome"] in {"labelled", "rejected"}:
            lags[round(lag)] += 1
        if (seconds := line.get("seconds")) is not None:
            milliseconds[round(seconds * 1000)] += 1
            by_second[second] += 1
        if line["outcome"] == "labelled" and line.get("worked") and not line.get("throttled"):
            worked, images = worked + line["worked"], images + 1
    return Totals(
        images=Counts(**outcomes),
        labels=dict(found.most_common()),
        rejections=dict(rejections.most_common()),
        calls=_calls(milliseconds, throttled.total()),
        lag=_lag(lags),
        seconds_per_image=worked / images if images else None,
        by_second=dict(by_second),
        throttled_by_second=dict(+throttled),
    )


def _lag(seconds: Counter[int]) -> Lag:
    if not seconds:
        return Lag()
    rank, seen = math.ceil(seconds.total() / 2), 0
    for lag in sorted(seconds):
        seen += seconds[lag]
        if seen >= rank:
            return Lag(p50=lag, longest=max(seconds))
    raise AssertionError("unreachable: the rank is one of them")


def _calls(milliseconds: Counter[int], throttled: int) -> Calls:
    answered = milliseconds.total()
    if not answered:
        return Calls(throttled=throttled)
    wanted = {name: math.ceil(answered * percent / 100) for name, percent in (("p50", 50), ("p95", 95), ("p99", 99))}
    found: dict[str, float] = {}
    seen = 0
    for time in sorted(milliseconds):
        seen += milliseconds[time]
        found |= {name: time / 1000 for name, rank in wanted.items() if name not in found and seen >= rank}
    return Calls(answered=answered, throttled=throttled, slowest=max(milliseconds) / 1000, **found)
