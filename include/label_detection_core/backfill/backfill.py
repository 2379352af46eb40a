"""Pictures in the source bucket that were never announced: what there is, and lists of it, oldest first.

S3 cannot tell which of its objects were announced, so all are taken: announcing an image twice is harmless. Nothing
here grows with the bucket: a million keys wait in a file, sorted by SQLite.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from label_detection_core.config.settings import Settings
from label_detection_core.drain.journal import run_prefix
from label_detection_core.queue.messages import MAX_KEY_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

log = logging.getLogger(__name__)

SUFFIXES = (".png", ".jpg", ".jpeg")
#: A mapped task costs Airflow seconds; so few images are not worth one of their own.
_LEAST_PER_CHUNK = 5_000
#: Airflow: core.max_map_length is 1,024, and the grid shows every one.
_MOST_CHUNKS = 200
#: S3 storage classes that must be restored before anything can read them. Intelligent-Tiering does not say.
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}
_PROGRESS_SECONDS = 10.0


def _prefix(value: str) -> str:
    if value.startswith("s3://"):
        raise ValueError("must be the beginning of keys, such as line 3/, without s3:// and without the bucket")
    if len(value.encode(errors="replace")) > MAX_KEY_BYTES:
        raise ValueError(f"must be at most {MAX_KEY_BYTES} bytes: S3 has no longer keys")
    return value


class BackfillOptions(BaseModel):
    """What a run is asked to do; its trigger form is made from this."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        "",
        title="Prefix",
        description="Only pictures whose keys begin so, such as line 3/. Empty: the whole source bucket.",
    )
    dry_run: bool = Field(
        True,
        title="Only count (dry run)",
        description="On: says what there is and what labelling it would cost. Off: puts it on the queue.",
    )
    older_than_minutes: float = Field(
        60,
        ge=0,
        le=5_256_000,  # ten years: beyond the calendar it is an error of arithmetic
        allow_inf_nan=False,
        title="Older than (minutes)",
        description="Younger pictures are left to their own event. 0: all.",
    )

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Self:
        """From a run's params; one that is missing or empty is the default.

        :raises ValueError: one line for each that is wrong.
        """
        given = {name: params[name] for name in cls.model_fields if params.get(name) is not None}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [
                f"the run's param {problem['loc'][0]} is {problem['input']!r}: {problem['msg'].lower()}"
                for problem in error.errors()
            ]
            raise ValueError("\n".join(lines)) from None


class LeftOut(StrEnum):
    """Why an object is not announced."""

    FOLDER = "folder markers"
    OTHER = "not .png, .jpg or .jpeg"
    ARCHIVED = "archived, to be restored first"
    YOUNG = "too young, left to their own event"


@dataclass(frozen=True)
class ListedImage:
    """An object of the source bucket, as S3 lists it; `etag` without quotes, `size` in bytes."""

    key: str
    etag: str
    size: int
    modified: datetime


@dataclass
class Survey:
    """What a listing found so far."""

    pictures: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    left_out: Counter[LeftOut] = field(default_factory=Counter)

    def add(self, picture: ListedImage) -> None:
        """Count a picture."""
        self.pictures += 1
        self.bytes += picture.size
        self.oldest = min(self.oldest or picture.modified, picture.modified)
        self.newest = max(self.newest or picture.modified, picture.modified)

    def __str__(self) -> str:
        """In words, for a log."""
        words = [f"{self.pictures:,} pictures, {self.bytes / 1e6:,.1f} MB"]
        if self.oldest and self.newest:
            words.append(f"from {self.oldest:%Y-%m-%d %H:%M} to {self.newest:%Y-%m-%d %H:%M} UTC")
        words += [f"left out: {number:,} {reason}" for reason, number in sorted(self.left_out.items())]
        return "; ".join(words)

    def to_json(self) -> dict[str, Any]:
        """The same for XCom."""
        return {
            "pictures": self.pictures,
            "bytes": self.bytes,
            "oldest": self.oldest.isoformat() if self.oldest else None,
            "newest": self.newest.isoformat() if self.newest else None,
            "left_out": {reason.name.lower(): number for reason, number in self.left_out.items()},
        }


@dataclass(frozen=True)
class Effort:
    """What labelling takes at the configured rate and price, the model's start and stop not counted."""

    runs: int
    model_minutes: float
    cost_usd: float

    @classmethod
    def of(cls, pictures: int, settings: Settings) -> Self:
        """For so many pictures, with as many inference units as are allowed."""
        units = settings.max_inference_units
        minutes = pictures / (settings.images_per_second_per_unit * units * 60)
        runs = math.ceil(minutes / settings.max_model_minutes)
        return cls(runs, round(minutes, 1), round(minutes / 60 * units * settings.price_per_unit_hour, 2))

    def __str__(self) -> str:
        """In words, for a log."""
        runs = f"{self.runs:,} run{'s' if self.runs != 1 else ''}"
        numbers = f"at least {runs}, {self.model_minutes:,} model minutes, {self.cost_usd:,.2f} USD"
        return f"{numbers}, plus the model's start and stop for each run"


class Chunk(BaseModel):
    """A list of pictures in the final bucket: `key`, a line of JSON per picture, oldest first."""

    model_config = ConfigDict(frozen=True)

    key: str
    images: int
    oldest: AwareDatetime
    newest: AwareDatetime


def list_pictures(
    s3: S3Client, bucket: str, options: BackfillOptions, survey: Survey, now: datetime | None = None
) -> Iterator[ListedImage]:
    """The pictures under the prefix, in S3's order; `survey` counts what was read so far."""
    youngest = (now or datetime.now(UTC)) - timedelta(minutes=options.older_than_minutes)
    listed, said_at = 0, time.monotonic()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=options.prefix):
        for entry in page.get("Contents", []):
            reason = _left_out(entry, youngest if options.older_than_minutes else None)
            if reason:
                survey.left_out[reason] += 1
                continue
            picture = ListedImage(entry["Key"], entry["ETag"].strip('"'), entry["Size"], entry["LastModified"])
            survey.add(picture)
            yield picture
        listed += len(page.get("Contents", []))
        if time.monotonic() - said_at >= _PROGRESS_SECONDS:
            said_at = time.monotonic()
            log.info("listed %s objects so far: %s", f"{listed:,}", survey)


def _left_out(entry: ObjectTypeDef, youngest: datetime | None) -> LeftOut | None:
    key = entry["Key"]
    if key.endswith("/"):
        return LeftOut.FOLDER
    if not key.lower().endswith(SUFFIXES):
        return LeftOut.OTHER
    if entry.get("StorageClass") in _ARCHIVED:
        return LeftOut.ARCHIVED
    return LeftOut.YOUNG if youngest and entry["LastModified"] > youngest else None


@contextmanager
def oldest_first(pictures: Iterable[ListedImage]) -> Iterator[Iterator[ListedImage]]:
    """Reads all pictures, and gives them sorted by when they were modified. They wait in a temporary file."""
    rows = ((p.modified.timestamp(), p.key, p.etag, p.size) for p in pictures)
    with tempfile.TemporaryDirectory(prefix="backfill-") as folder, closing(_spool(Path(folder))) as spool:
        spool.executemany("INSERT INTO pictures VALUES (?, ?, ?, ?)", rows)
        found = spool.execute("SELECT modified, key, etag, size FROM pictures ORDER BY modified, key")
        yield (ListedImage(key, etag, size, datetime.fromtimestamp(at, UTC)) for at, key, etag, size in found)


def _spool(folder: Path) -> sqlite3.Connection:
    spool = sqlite3.connect(folder / "pictures.db")
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):  # lost with the task anyway
        spool.execute(f"PRAGMA {pragma}")
    spool.execute("CREATE TABLE pictures (modified REAL, key TEXT, etag TEXT, size INTEGER)")
    return spool


def chunk_size(pictures: int) -> int:
    """Pictures a chunk: a few hundred chunks at most, however many pictures there are."""
    return max(_LEAST_PER_CHUNK, math.ceil(pictures / _MOST_CHUNKS))


def write_chunks(s3: S3Client, bucket: str, run_id: str, pictures: Iterator[ListedImage], size: int) -> list[Chunk]:
    """Write lists of `size` pictures each, in their order, to `runs/<run id>/backfill/` of the final bucket."""
    chunks: list[Chunk] = []
    while chunk := _write_chunk(s3, bucket, f"{run_prefix(run_id)}backfill/{len(chunks):05d}.jsonl", pictures, size):
        chunks.append(chunk)
    return chunks


def _write_chunk(s3: S3Client, bucket: str, key: str, pictures: Iterator[ListedImage], size: int) -> Chunk | None:
    written, oldest, newest = 0, None, None
    with tempfile.TemporaryFile() as lines:
        for picture in islice(pictures, size):
            written += 1
            oldest, newest = oldest or picture.modified, picture.modified
            lines.write(_line(picture))
        if not oldest or not newest:
            return None
        lines.seek(0)
        s3.put_object(Bucket=bucket, Key=key, Body=lines, ContentType="application/x-ndjson")
    return Chunk(key=key, images=written, oldest=oldest, newest=newest)


def _line(picture: ListedImage) -> bytes:
    facts = {"key": picture.key, "etag": picture.etag, "size": picture.size, "modified": picture.modified.isoformat()}
    return json.dumps(facts).encode() + b"\n"


def read_line(line: bytes) -> ListedImage:
    """A line of a chunk."""
    facts = json.loads(line)
    return ListedImage(facts["key"], facts["etag"], facts["size"], datetime.fromisoformat(facts["modified"]))
