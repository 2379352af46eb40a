"""Totals of a run's journal: images, labels, rejections, and calls to the model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from pydantic import AwareDatetime, BaseModel, Field

from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.queue.messages import Ignored
from label_detection_core.stored import Count, Lenient, Number, Part

#: Images per group (ignored, unreadable) that are kept by name at most.
_MOST_NAMED = 1000
#: Reasons of ignored images that are most likely gone from the bucket. They are named only if the other ignored images
#: leave room. A run has many of them if messages are delivered twice, or if the bucket also announces deleted objects.
_AWAY = {Ignored.GONE, Ignored.REMOVED}
#: Stands for the time of a journal line without a time.
_UNKNOWN_SECOND = 0
#: Stands for the reason of a line that an older version wrote without one.
_NOT_RECORDED = "reason not recorded"


class Counts(Part):
    """Number of images by outcome. A message that announced no image of this pipeline counts as one image."""

    labelled: Lenient[Count] = Field(default=0, description="labelled images")
    rejected: Lenient[Count] = Field(default=0, description="rejected images")
    ignored: Lenient[Count] = Field(default=0, description="images and messages with nothing to do")
    failed: Lenient[Count] = Field(default=0, description="deliveries that failed and were returned to the queue")
    unreadable: Lenient[Count] = Field(default=0, description="images that S3 does not let the pipeline read")


class NamedImage(Part):
    """An image of the source bucket. `why`: the reason of its outcome; `at`: the time of its outcome."""

    bucket: str = Field(description="the source bucket")
    key: str = Field(description="key in the source bucket")
    why: str = Field(description="the reason")
    at: AwareDatetime = Field(description="when that was found, UTC")


class NamedImages(Part):
    """`first`: the first images of a group, each once. `more`: the number of journal lines about other images."""

    first: Lenient[list[NamedImage]] = Field(default=[], description="the first of these images")
    more: Lenient[Count] = Field(default=0, description="number of journal lines about further images")


class Calls(Part):
    """Calls to the model: images answered, sends throttled, and how long an answer took, in seconds.

    `p95`: 95 % of the answers took at most this time; `p50` and `p99` likewise. `slowest`: the longest time.
    """

    answered: Lenient[Count] = Field(default=0, description="images that the model answered")
    throttled: Lenient[Count] = Field(default=0, description="throttled requests")
    p50: Lenient[Number | None] = Field(default=None, description="seconds: half of the answers took at most this time")
    p95: Lenient[Number | None] = Field(default=None, description="seconds: 95 % of the answers took at most this time")
    p99: Lenient[Number | None] = Field(default=None, description="seconds: 99 % of the answers took at most this time")
    slowest: Lenient[Number | None] = Field(default=None, description="seconds of the slowest answer")

    @property
    def throttled_share(self) -> float:
        """Throttled sends of all sends, 0-1."""
        return self.throttled / (self.answered + self.throttled) if self.throttled else 0.0


class Lag(Part):
    """Seconds from the announcement of an image to its outcome: the median (`p50`) and the longest."""

    p50: Lenient[Number | None] = Field(
        default=None, description="seconds: half of the images waited at most this time"
    )
    longest: Lenient[Number | None] = Field(default=None, description="seconds of the longest wait")


class Totals(BaseModel):
    """The totals of a journal.

    * `ignored`: number of messages and images that needed no work, by reason.
    * `ignored_images`: ignored ones that named an image; of images that are gone, as many as there is room for.
    * `unreadable`: objects that S3 does not let the pipeline read; `why` is the error of S3.
    * `seconds_per_image`: mean work time of a labelled image, without images that were throttled.
    * `by_second`: number of images that the model answered, by the second (Unix time) of their outcome.
    * `throttled_by_second`: number of throttled sends, by the same second.
    """

    images: Counts
    labels: dict[str, int]
    rejections: dict[str, int]
    ignored: dict[str, int] = {}
    ignored_images: NamedImages = NamedImages()
    unreadable: NamedImages = NamedImages()
    calls: Calls = Calls()
    lag: Lag = Lag()
    seconds_per_image: float | None = None
    by_second: dict[int, int] = {}
    throttled_by_second: dict[int, int] = {}


def add_up(lines: Iterable[JournalLine]) -> Totals:
    """Add up the lines of a journal. Memory grows with the run's seconds and the distinct answer times in ms."""
    outcomes: Counter[str] = Counter()
    found: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    ignored_images, away, unreadable = _Named(), _Named(), _Named()
    milliseconds: Counter[int] = Counter()
    by_second: Counter[int] = Counter()
    throttled: Counter[int] = Counter()
    lags: Counter[int] = Counter()  # number of images by lag in whole seconds
    worked, images = 0.0, 0
    for line in lines:
        outcomes[line.outcome] += 1
        found.update({label["Name"] for label in line.labels})
        if line.outcome == "rejected":
            rejections[line.error.code if line.error else _NOT_RECORDED] += 1
        elif line.outcome == "ignored":
            ignored[why := line.ignored or _NOT_RECORDED] += 1
            (away if why in _AWAY else ignored_images).add(line, why)
        elif line.outcome == "unreadable":
            unreadable.add(line, _why(line))
        if line.lag is not None and line.outcome in {"labelled", "rejected"}:
            lags[round(line.lag)] += 1
        second = int(line.moment.timestamp()) if line.moment else _UNKNOWN_SECOND
        throttled[second] += line.throttled
        if line.seconds is not None:
            milliseconds[round(line.seconds * 1000)] += 1
            by_second[second] += 1
        if line.outcome == "labelled" and line.worked and not line.throttled:
            worked, images = worked + line.worked, images + 1
    return Totals(
        images=Counts(**outcomes),
        labels=dict(found.most_common()),
        rejections=dict(rejections.most_common()),
        ignored=dict(ignored.most_common()),
        ignored_images=ignored_images.images(then=away),
        unreadable=unreadable.images(),
        calls=_calls(milliseconds, throttled.total()),
        lag=_lag(lags),
        seconds_per_image=worked / images if images else None,
        by_second=dict(by_second),
        throttled_by_second=dict(+throttled),
    )


class _Named:
    """Collects the first images by name, each with its latest reason."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], NamedImage] = {}
        self._more = 0

    def add(self, line: JournalLine, why: str) -> None:
        if not line.source:
            return
        name = line.source.bucket, line.source.key
        if line.moment and (name in self._first or len(self._first) < _MOST_NAMED):
            self._first[name] = NamedImage(bucket=name[0], key=name[1], why=why, at=line.moment)
        else:
            self._more += 1

    def images(self, then: _Named | None = None) -> NamedImages:
        """These images, then those of `then` while there is room. `more` does not count images of `then`."""
        first = [*self._first.values(), *(then._first.values() if then else [])]
        return NamedImages(first=first[:_MOST_NAMED], more=self._more)


def _why(line: JournalLine) -> str:
    return f"{line.error.code}: {line.error.message}" if line.error else line.reason or _NOT_RECORDED


def _lag(seconds: Counter[int]) -> Lag:
    if not seconds:
        return Lag()
    rank, seen = math.ceil(seconds.total() / 2), 0
    for lag in sorted(seconds):
        seen += seconds[lag]
        if seen >= rank:
            return Lag(p50=lag, longest=max(seconds))
    raise AssertionError("unreachable: the rank is at most the number of images")


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
