"""What a run's journal adds up to: images, labels, rejections, and what the model was asked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from pydantic import AwareDatetime, BaseModel, Field

from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.queue.messages import Ignored
from label_detection_core.stored import Count, Lenient, Number, Part

#: Images of a kind that are kept by name.
_MOST_NAMED = 1000
#: Ignored images that are hardly in the bucket: no room is taken for them from those that may be. A run has many where
#: messages come twice, or where the bucket announces what the pipeline deletes.
_AWAY = {Ignored.GONE, Ignored.REMOVED}
#: In a line without a time.
_UNKNOWN_SECOND = 0
#: The reason in a line of a version that did not write one.
_NOT_RECORDED = "reason not recorded"


class Counts(Part):
    """Images by outcome; a message that announced no image of ours counts as one."""

    labelled: Lenient[Count] = 0
    rejected: Lenient[Count] = 0
    ignored: Lenient[Count] = 0
    failed: Lenient[Count] = 0
    unreadable: Lenient[Count] = 0


class NamedImage(Part):
    """An image in the source bucket, what became of it, and when."""

    bucket: str
    key: str
    why: str
    at: AwareDatetime


class NamedImages(Part):
    """The first images of a kind, each once, and how many lines of the journal there are for others."""

    first: Lenient[list[NamedImage]] = Field(default=[])
    more: Lenient[Count] = 0


class Calls(Part):
    """What the model was asked: images answered, sends throttled, and what an answer took, in seconds.

    A percentile is the least time that so many answers took at most; `slowest` is of all of them.
    """

    answered: Lenient[Count] = 0
    throttled: Lenient[Count] = 0
    p50: Lenient[Number | None] = None
    p95: Lenient[Number | None] = None
    p99: Lenient[Number | None] = None
    slowest: Lenient[Number | None] = None

    @property
    def throttled_share(self) -> float:
        """Throttled sends of all sends, 0-1."""
        return self.throttled / (self.answered + self.throttled) if self.throttled else 0.0


class Lag(Part):
    """From an image's announcement to its outcome, in seconds: of half of them at most, and the longest."""

    p50: Lenient[Number | None] = None
    longest: Lenient[Number | None] = None


class Totals(BaseModel):
    """A journal, added up.

    `ignored`: messages and images that there was nothing to do for, by reason; `ignored_images`: those of them that
    named an image (of many that are gone only the first); `unreadable`: objects that S3 refuses, `why` with its error.
    `seconds_per_image`: the mean time an image was worked on, without those that waited for a throttled call;
    `by_second`: images that the model answered for, by the second since 1970 in which they ended;
    `throttled_by_second`: sends of theirs that were throttled.
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
    """Add up a journal's lines. Memory grows with the run's seconds and with the times that answers took, to the ms."""
    outcomes: Counter[str] = Counter()
    found: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    ignored_images, away, unreadable = _Named(), _Named(), _Named()
    milliseconds: Counter[int] = Counter()
    by_second: Counter[int] = Counter()
    throttled: Counter[int] = Counter()
    lags: Counter[int] = Counter()  # by the second
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
    """Collects images by name: the first ones, each with its last reason."""

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
        """These, and those of `then` as far as there is room; `more` does not count the rest of them."""
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
