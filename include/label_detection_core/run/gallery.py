"""A run's images a page at a time, read from its journal: a run of a million opens as fast as one of ten.

A page begins at a place in the journal and reads forward, part by part, until it is full, or it has read as much as one
request may; it says where the next one begins.
"""

from __future__ import annotations

import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from label_detection_core.drain.journal import list_parts, read_part
from label_detection_core.labelling.keys import REJECTED, is_final_key
from label_detection_core.queue.messages import ImageRef

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: What one request reads at the most: parts of the journal, each of some 200 lines.
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
class Place:
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

    def fits(self, line: dict[str, Any]) -> bool:
        """Whether an image's line is wanted."""
        found = line["labels"]
        if self.show is Show.NOTHING and (line["outcome"] != "labelled" or found):
            return False
        if self.show not in {Show.ALL, Show.NOTHING} and line["outcome"] != self.show:
            return False
        if self.label is None and not self.least and self.most == 100:
            return True
        return any(
            self.label in {None, label["Name"]} and self.least <= _confidence(label) <= self.most for label in found
        )


@dataclass
class Page:
    """Images, in the journal's order; how many lines and parts were read for them, and where the next page begins.

    `next`: None when the journal ends here. `unreadable`: lines that are not the journal's.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    lines: int = 0
    parts: int = 0
    unreadable: int = 0
    next: Place | None = None


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

    def page(self, wanted: Wanted, begin: Place | None, size: int, most_parts: int = PARTS) -> Page:
        """At most `size` images from a place on; fewer when `most_parts` were read. One delivered twice is there once.

        Of an image that has several lines among those that were read, the last one counts.
        """
        page = Page()
        found: dict[Any, dict[str, Any]] = {}
        latest: dict[Any, str] = {}
        # Of all images a part or two fill a page; a name more than is needed costs the listing time.
        for name in self._names(begin, 2 if wanted == Wanted() else most_parts + 1):
            if page.parts == most_parts:
                page.next = Place(name, 0)
                break
            page.parts += 1
            lines = self.parts.read(self.s3, self.bucket, self.run_id, name)
            first = begin.line if begin and begin.part == name else 0
            for number in range(first, len(lines)):
                if len(found) == size:
                    page.next = Place(name, number)
                    break
                page.lines += 1
                _take(page, found, latest, wanted, lines[number], Place(name, number))
            if page.next:
                break
        page.images = list(found.values())
        return page

    def image(self, place: Place) -> dict[str, Any] | None:
        """The image of a line; None: there is no such line, or it is of no image."""
        lines = self.parts.read(self.s3, self.bucket, self.run_id, place.part)
        line = parse_line(lines[place.line]) if place.line < len(lines) else None
        return _image(line, place) if line and _is_shown(line) else None

    def _names(self, begin: Place | None, at_once: int) -> Iterator[str]:
        if begin:
            yield begin.part
        yield from list_parts(self.s3, self.bucket, self.run_id, begin.part if begin else None, at_once)


def parse_line(text: bytes) -> dict[str, Any] | None:
    """A line of a journal; None: it is not as this project writes it. What JSON does not know (NaN) is null."""
    try:
        line = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    return line if _is_written_so(line) else None


def _is_written_so(line: Any) -> bool:
    """Whether its labels, and what says which image it is, have the types that a journal's line gives them."""
    if not isinstance(line, dict) or not isinstance(line.get("labels"), list):
        return False
    source = line.get("source")
    texts = [line.get(name) for name in ("image", "reason", "ignored")]
    if isinstance(source, dict):
        texts += [source.get("bucket", 0), source.get("key", 0), source.get("etag")]
    elif source is not None:
        return False
    is_text = all(text is None or isinstance(text, str) for text in texts)
    return is_text and all(isinstance(label, dict) and isinstance(label.get("Name"), str) for label in line["labels"])


def _take(
    page: Page,
    found: dict[Any, dict[str, Any]],
    latest: dict[Any, str],
    wanted: Wanted,
    text: bytes,
    place: Place,
) -> None:
    """Take a line into the page, in the place of an earlier one of the same image."""
    line = parse_line(text)
    if line is None:
        page.unreadable += 1
        return
    # An image that was labelled is ignored when its message comes again: that hides no label.
    if not _is_shown(line) or (line["outcome"] == "ignored") is not (wanted.show is Show.IGNORED):
        return
    image, at = _identity(line), str(line.get("at"))
    if at < latest.get(image, ""):
        return
    latest[image] = at
    if wanted.fits(line):
        found[image] = _image(line, place)
    else:
        found.pop(image, None)


def _is_shown(line: dict[str, Any]) -> bool:
    """Whether it tells of an image in the final bucket, or of an image or a message that never gets there."""
    outcome = line.get("outcome")
    return outcome in {"rejected", "unreadable", "ignored"} or (outcome == "labelled" and bool(line.get("image")))


def _identity(line: dict[str, Any]) -> Any:
    source = line.get("source")
    return tuple(source.get(name) for name in ("bucket", "key", "etag")) if source else line.get("reason")


def _image(line: dict[str, Any], place: Place) -> dict[str, Any]:
    """What a page shows of a line."""
    source = line.get("source") or {}
    return {
        "id": str(place),
        "outcome": line["outcome"],
        "key": line.get("image"),
        "is_picture": _is_picture(line),
        "source": source.get("key") or line.get("reason"),
        "reason": line.get("reason"),
        "ignored": line.get("ignored"),
        "labels": [_label(label) for label in line["labels"][:LABELS]],
        "more_labels": max(len(line["labels"]) - LABELS, 0),
        "anomaly": _anomaly(line.get("anomaly")),
        "error": _error(line.get("error")),
        "at": at if isinstance(at := line.get("at"), str) else None,
    }


def _is_picture(line: dict[str, Any]) -> bool:
    """Whether its key is the one that its source has in the final bucket: then it is nothing else that lies there."""
    source = line.get("source")
    if not source or not line.get("image"):
        return False
    image = ImageRef(source["bucket"], source["key"], source.get("etag"))
    try:
        return is_final_key(line["image"], image, REJECTED if line["outcome"] == "rejected" else "")
    except UnicodeEncodeError:  # half a surrogate pair: no object has such a key
        return False


def _label(label: dict[str, Any]) -> dict[str, Any]:
    geometry = label.get("Geometry")
    box = geometry.get("BoundingBox") if isinstance(geometry, dict) else None
    sides = [box.get(side) for side in ("Left", "Top", "Width", "Height")] if isinstance(box, dict) else [None]
    return {
        "name": label["Name"],
        "confidence": _confidence(label),
        "box": sides if all(map(_is_number, sides)) else None,
    }


def _anomaly(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, dict):
        return None
    return {"IsAnomalous": value.get("IsAnomalous") is True, "Confidence": _confidence(value)}


def _error(value: Any) -> dict[str, str] | None:
    return {name: str(value.get(name)) for name in ("code", "message")} if isinstance(value, dict) else None


def _confidence(value: dict[str, Any]) -> float:
    found = value.get("Confidence")
    return found if _is_number(found) else 0.0


def _is_number(value: Any) -> TypeGuard[float]:
    """One that JSON has: 1e999 is read as infinity, and would be written as no JSON at all."""
    return isinstance(value, int | float) and abs(value) < math.inf
