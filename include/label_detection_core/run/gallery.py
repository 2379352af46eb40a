"""A run's images a page at a time, read from its journal: a run of a million opens as fast as one of ten.

A page begins at a place in the journal and reads forward, part by part, until it is full, or it has read as much as one
request may; it says where the next one begins.
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

#: What one request reads at most: parts of the journal, each of some 200 lines.
PARTS = 20
#: Labels of an image that a page has; its document has them all.
LABELS = 100
_PLACE = re.compile(r"(\d{3,9}-[0-9a-f]{8}-\d{6}):(\d{1,9})", re.ASCII)
_SUFFIX = ".jsonl"


class Show(StrEnum):
    """Which images. `ALL`: all but the ignored ones; `NOTHING`: labelled, and nothing was found in them."""

    ALL = "all"
    LABELLED = "labelled"
    NOTHING = "nothing"
    REJECTED = "rejected"
    UNREADABLE = "unreadable"
    IGNORED = "ignored"


@dataclass(frozen=True)
class JournalPosition:
    """A line of a run's journal: the part's name, and the line in it, from 0. As text: `<part>:<line>`."""

    part: str
    line: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its text. :raises ValueError: when it is none."""
        if not (match := _PLACE.fullmatch(text)):
            raise ValueError("it is no place in a journal")
        return cls(match[1] + _SUFFIX, int(match[2]))

    def __str__(self) -> str:
        return f"{self.part.removesuffix(_SUFFIX)}:{self.line}"


@dataclass(frozen=True)
class Wanted:
    """Which images a page is to have: those with a label (`label`) of `least` to `most` confidence, 0-100."""

    show: Show = Show.ALL
    label: str | None = None
    least: float = 0
    most: float = 100

    def fits(self, line: JournalLine) -> bool:
        """Whether an image's line is wanted."""
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
    """Images, in the journal's order; how many lines and parts were read for them, and where the next page begins.

    `next`: None when the journal ends here. `unreadable`: lines that are not the journal's.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    lines: int = 0
    parts: int = 0
    unreadable: int = 0
    next: JournalPosition | None = None


class Parts:
    """Parts that were read lately: they never change, and a page's pictures are all in one or two of them."""

    def __init__(self, most_bytes: int = 16_000_000) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str, str], list[bytes]] = OrderedDict()
        self._lock = Lock()

    def read(self, s3: S3Client, bucket: str, run_id: str, name: str) -> list[bytes]:
        """A part's lines; botocore's errors when it is not there."""
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
            while self._bytes > self._most_bytes and len(self._kept) > 1:  # its pictures are asked for next
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
        """At most `size` images from a place on; fewer when `most_parts` were read. One delivered twice is there once.

        Of an image that has several lines among those that were read, the last one counts.
        """
        page = Page()
        found: dict[Any, dict[str, Any]] = {}
        latest: dict[Any, str] = {}
        # Of all images a part or two fill a page; a name more than is needed costs the listing time.
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
        """The image of a line; None: there is no such line, or it is of no image."""
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
    """Take a line into the page, instead of an earlier one of the same image."""
    line = JournalLine.parse(text)
    if line is None:
        page.unreadable += 1
        return
    # An image that was labelled is ignored when its message comes again: that hides no label.
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
    """Whether it tells of an image in the final bucket, or of an image or a message that never gets there."""
    return line.outcome in {"rejected", "unreadable", "ignored"} or (line.outcome == "labelled" and bool(line.image))


def _image(line: JournalLine, place: JournalPosition) -> dict[str, Any]:
    """What a page shows of a line."""
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
    """Whether its key is the one that its source has in the final bucket: then it is nothing else that lies there."""
    if not line.source or not line.image:
        return False
    image = ImageRef(line.source.bucket, line.source.key, line.source.etag)
    try:
        return is_final_key(line.image, image, REJECTED if line.outcome == "rejected" else "")
    except UnicodeEncodeError:  # half a surrogate pair: no object has such a key
        return False


def _label(label: Label) -> dict[str, Any]:
    box = label.geometry.box if label.geometry else None
    sides = [box.left, box.top, box.width, box.height] if box else None
    return {"name": label.name, "confidence": label.confidence, "box": sides}
