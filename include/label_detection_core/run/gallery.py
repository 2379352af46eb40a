"""The images of a run, one page at a time, read from the run's journal.

A page begins at a position in the journal and reads forward, part by part. It ends when it is full, or when it has read
the number of parts that one request may read. It returns the position where the next page begins. So a run of a million
images opens as fast as a run of ten.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from label_detection_core.drain.journal import list_parts, read_part
from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.labelling.documents import Label
from label_detection_core.labelling.keys import REJECTED, is_final_key
from label_detection_core.queue.messages import ImageRef

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Parts of the journal that one request reads at most. A part has about 200 lines.
PARTS = 20
#: Labels per image that a page shows at most. The image's label document has all of them.
LABELS = 100
_PLACE = re.compile(r"(\d{3,9}-[0-9a-f]{8}-\d{6}):(\d{1,9})", re.ASCII)
_SUFFIX = ".jsonl"


class Show(StrEnum):
    """Which images a page shows. `ALL`: every outcome except ignored. `NOTHING`: labelled, but without any label."""

    ALL = "all"
    LABELLED = "labelled"
    NOTHING = "nothing"
    REJECTED = "rejected"
    UNREADABLE = "unreadable"
    IGNORED = "ignored"


@dataclass(frozen=True)
class JournalPosition:
    """A line of a run's journal: the part's name, and the line number in it, from 0. As text: `<part>:<line>`."""

    part: str
    line: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a position from `<part>:<line>`.

        :raises ValueError: when the text has another form.
        """
        if not (match := _PLACE.fullmatch(text)):
            raise ValueError("not a position in a journal, which is <part>:<line>")
        return cls(match[1] + _SUFFIX, int(match[2]))

    def __str__(self) -> str:
        return f"{self.part.removesuffix(_SUFFIX)}:{self.line}"


@dataclass(frozen=True)
class Wanted:
    """A filter for images: the outcome, the name of a label (None: any), and the label's confidence, 0-100."""

    show: Show = Show.ALL
    label: str | None = None
    least: float = 0
    most: float = 100

    def fits(self, line: JournalLine) -> bool:
        """Whether the image of a journal line passes the filter."""
        if self.show is Show.NOTHING and (line.outcome != "labelled" or line.labels):
            return False
        if self.show not in {Show.ALL, Show.NOTHING} and line.outcome != self.show:
            return False
        if self.label is None and not self.least and self.most == 100:
            return True
        named = (label for label in line.labels if self.label in {None, label["Name"]})
        return any(self.least <= Label.model_validate(label).confidence <= self.most for label in named)


@dataclass
class Page:
    """One page: the images in the order of the journal, and how much of the journal was read for them.

    `lines`, `parts`: lines and parts that were read. `unreadable`: lines that are not journal lines. `next`: where the
    next page begins; None at the end of the journal.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    lines: int = 0
    parts: int = 0
    unreadable: int = 0
    next: JournalPosition | None = None


class Parts:
    """A cache of journal parts that were read recently. Parts never change, and one page needs only one or two."""

    def __init__(self, most_bytes: int = 16_000_000) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str, str], list[bytes]] = OrderedDict()
        self._lock = Lock()

    def read(self, s3: S3Client, bucket: str, run_id: str, name: str) -> list[bytes]:
        """The lines of a part, from the cache or from S3. botocore's errors when the part does not exist."""
        key = bucket, run_id, name
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        lines = read_part(s3, bucket, run_id, name)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = lines
                self._bytes += sum(map(len, lines))
            # The newest part always stays: its pictures are requested next.
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                self._bytes -= sum(map(len, self._kept.popitem(last=False)[1]))
        return lines


@dataclass(frozen=True)
class Gallery:
    """The images of one run."""

    s3: S3Client
    bucket: str
    run_id: str
    parts: Parts = field(default_factory=Parts)

    def page(self, wanted: Wanted, begin: JournalPosition | None, size: int, most_parts: int = PARTS) -> Page:
        """At most `size` images that pass the filter, from `begin` on; None: from the start of the journal.

        The page has fewer images when `most_parts` parts were read before it was full. An image with several lines
        (it was delivered twice) appears once: the latest of the lines that were read counts.
        """
        page = Page()
        found: dict[Any, dict[str, Any]] = {}
        latest: dict[Any, str] = {}
        # Without a filter, one or two parts fill a page, so S3 is asked for two names only: more take longer to list.
        for name in self._names(begin, 2 if wanted == Wanted() else most_parts + 1):
            if page.parts == most_parts:
                page.next = JournalPosition(name, 0)
                break
            page.parts += 1
            lines = self.parts.read(self.s3, self.bucket, self.run_id, name)
            first = begin.line if begin and begin.part == name else 0
            for number in range(first, len(lines)):
                if len(found) == size:
                    page.next = JournalPosition(name, number)
                    break
                page.lines += 1
                _take(page, found, latest, wanted, lines[number], JournalPosition(name, number))
            if page.next:
                break
        page.images = list(found.values())
        return page

    def image(self, place: JournalPosition) -> dict[str, Any] | None:
        """The image of a journal line; None when there is no such line, or when the line is about no image."""
        lines = self.parts.read(self.s3, self.bucket, self.run_id, place.part)
        line = JournalLine.parse(lines[place.line]) if place.line < len(lines) else None
        return _image(line, place) if line and _is_shown(line) else None

    def _names(self, begin: JournalPosition | None, at_once: int) -> Iterator[str]:
        if begin:
            yield begin.part
        yield from list_parts(self.s3, self.bucket, self.run_id, begin.part if begin else None, at_once)


def _take(
    page: Page,
    found: dict[Any, dict[str, Any]],
    latest: dict[Any, str],
    wanted: Wanted,
    text: bytes,
    place: JournalPosition,
) -> None:
    """Add a line to the page. It replaces an earlier line of the same image."""
    line = JournalLine.parse(text)
    if line is None:
        page.unreadable += 1
        return
    # When the message of a labelled image comes again, its new line is `ignored`. That line must not hide the labels.
    if not _is_shown(line) or (line.outcome == "ignored") is not (wanted.show is Show.IGNORED):
        return
    image, at = line.source or line.reason, line.at or ""
    if at < latest.get(image, ""):
        return
    latest[image] = at
    if wanted.fits(line):
        found[image] = _image(line, place)
    else:
        found.pop(image, None)


def _is_shown(line: JournalLine) -> bool:
    """Whether the line has an outcome that a page can show; a labelled image must have a key in the final bucket."""
    return line.outcome in {"rejected", "unreadable", "ignored"} or (line.outcome == "labelled" and bool(line.image))


def _image(line: JournalLine, place: JournalPosition) -> dict[str, Any]:
    """The fields of a line that a page shows."""
    return {
        "id": str(place),
        "outcome": line.outcome,
        "key": line.image,
        "is_picture": _is_picture(line),
        "source": line.source.key if line.source and line.source.key else line.reason,
        "reason": line.reason,
        "ignored": line.ignored,
        "labels": [_label(Label.model_validate(label)) for label in line.labels[:LABELS]],
        "more_labels": max(len(line.labels) - LABELS, 0),
        "anomaly": line.anomaly.to_dict() if line.anomaly else None,
        "error": line.error.to_dict() if line.error else None,
        "at": line.at,
    }


def _is_picture(line: JournalLine) -> bool:
    """Whether the line's key is the final key of its source. Any other key could be an object that is not a picture."""
    if not line.source or not line.image:
        return False
    image = ImageRef(line.source.bucket, line.source.key, line.source.etag)
    try:
        return is_final_key(line.image, image, REJECTED if line.outcome == "rejected" else "")
    except UnicodeEncodeError:  # a lone surrogate: no S3 key has one
        return False


def _label(label: Label) -> dict[str, Any]:
    box = label.geometry.box if label.geometry else None
    sides = [box.left, box.top, box.width, box.height] if box else None
    return {"name": label.name, "confidence": label.confidence, "box": sides}
