"""Finds pictures in the source bucket that were never announced, counts them, and writes lists of them, oldest first.

S3 does not record which objects were announced, so all pictures are listed: to announce a picture twice is harmless.
Memory does not grow with the size of the bucket: the keys wait in a file and are sorted by SQLite.
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
#: The smallest chunk, in pictures; only the last one may be smaller. Each chunk is a mapped task, and Airflow takes
#: seconds to start one.
_LEAST_PER_CHUNK = 5_000
#: Chunks at most. Airflow: core.max_map_length is 1,024 by default, and the grid shows every mapped task.
_MOST_CHUNKS = 200
#: S3 storage classes that must be restored before a read. For Intelligent-Tiering, a listing does not show the tier.
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}
_PROGRESS_SECONDS = 10.0


def _prefix(value: str) -> str:
    if value.startswith("s3://"):
        raise ValueError("must be the beginning of keys, such as line 3/, without s3:// and without the bucket")
    if len(value.encode(errors="replace")) > MAX_KEY_BYTES:
        raise ValueError(f"must be at most {MAX_KEY_BYTES} bytes, the maximum length of an S3 key")
    return value


class BackfillOptions(BaseModel):
    """The params of a backfill run. The trigger form of the DAG is made from these fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        "",
        title="Prefix",
        description="Only pictures whose keys begin with this text, such as line 3/. Empty: the whole source bucket.",
    )
    dry_run: bool = Field(
        True,
        title="Only count (dry run)",
        description="On: counts the pictures and estimates what labelling costs. Off: also puts them on the queue.",
    )
    older_than_minutes: float = Field(
        60,
        ge=0,
        le=5_256_000,  # ten years; a much larger number overflows datetime
        allow_inf_nan=False,
        title="Older than (minutes)",
        description="Newer pictures are left out: their own S3 event is expected to announce them. 0: all pictures.",
    )

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Self:
        """Read the options from a run's params. A missing or empty param has its default.

        :raises ValueError: when a param is wrong; the message has one line per wrong param.
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
    """Reason why an object is not announced."""

    FOLDER = "folder markers"
    OTHER = "not .png, .jpg or .jpeg"
    ARCHIVED = "archived, must be restored first"
    YOUNG = "too new, left to their own S3 event"


@dataclass(frozen=True)
class ListedImage:
    """A picture in the source bucket, as S3 lists it. `etag`: without quotes; `size`: in bytes."""

    key: str
    etag: str
    size: int
    modified: datetime


@dataclass
class Survey:
    """Counts of a listing. `left_out`: number of objects that are not announced, by reason."""

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
        """One line for a log."""
        words = [f"{self.pictures:,} pictures, {self.bytes / 1e6:,.1f} MB"]
        if self.oldest and self.newest:
            words.append(f"from {self.oldest:%Y-%m-%d %H:%M} to {self.newest:%Y-%m-%d %H:%M} UTC")
        words += [f"left out: {number:,} {reason}" for reason, number in sorted(self.left_out.items())]
        return "; ".join(words)

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON, for XCom."""
        return {
            "pictures": self.pictures,
            "bytes": self.bytes,
            "oldest": self.oldest.isoformat() if self.oldest else None,
            "newest": self.newest.isoformat() if self.newest else None,
            "left_out": {reason.name.lower(): number for reason, number in self.left_out.items()},
        }


@dataclass(frozen=True)
class Effort:
    """Estimate for labelling at the configured rate and price, without the time to start and stop the model."""

    runs: int
    model_minutes: float
    cost_usd: float

    @classmethod
    def of(cls, pictures: int, settings: Settings) -> Self:
        """Estimate for a number of pictures, with the most inference units that the settings allow."""
        units = settings.max_inference_units
        minutes = pictures / (settings.images_per_second_per_unit * units * 60)
        runs = math.ceil(minutes / settings.max_model_minutes)
        return cls(runs, round(minutes, 1), round(minutes / 60 * units * settings.price_per_unit_hour, 2))

    def __str__(self) -> str:
        """One line for a log."""
        runs = f"{self.runs:,} run{'s' if self.runs != 1 else ''}"
        numbers = f"at least {runs}, {self.model_minutes:,} model minutes, {self.cost_usd:,.2f} USD"
        return f"{numbers}, plus the model's start and stop for each run"


class Chunk(BaseModel):
    """A list of pictures, stored in the final bucket under `key`: one line of JSON per picture, oldest first."""

    model_config = ConfigDict(frozen=True)

    key: str
    images: int
    oldest: AwareDatetime
    newest: AwareDatetime


def list_pictures(
    s3: S3Client, bucket: str, options: BackfillOptions, survey: Survey, now: datetime | None = None
) -> Iterator[ListedImage]:
    """The pictures under the prefix, in the order of S3. `survey` is updated with each object that is read."""
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
    """Read all pictures into a temporary file, and yield them sorted by the time when they were modified."""
    rows = ((p.modified.timestamp(), p.key, p.etag, p.size) for p in pictures)
    with tempfile.TemporaryDirectory(prefix="backfill-") as folder, closing(_spool(Path(folder))) as spool:
        spool.executemany("INSERT INTO pictures VALUES (?, ?, ?, ?)", rows)
        found = spool.execute("SELECT modified, key, etag, size FROM pictures ORDER BY modified, key")
        yield (ListedImage(key, etag, size, datetime.fromtimestamp(at, UTC)) for at, key, etag, size in found)


def _spool(folder: Path) -> sqlite3.Connection:
    spool = sqlite3.connect(folder / "pictures.db")
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):  # the file is deleted with the task
        spool.execute(f"PRAGMA {pragma}")
    spool.execute("CREATE TABLE pictures (modified REAL, key TEXT, etag TEXT, size INTEGER)")
    return spool


def chunk_size(pictures: int) -> int:
    """Pictures per chunk, so that there are at most `_MOST_CHUNKS` chunks."""
    return max(_LEAST_PER_CHUNK, math.ceil(pictures / _MOST_CHUNKS))


def write_chunks(s3: S3Client, bucket: str, run_id: str, pictures: Iterator[ListedImage], size: int) -> list[Chunk]:
    """Write chunks of `size` pictures, in the given order, to `runs/<run id>/backfill/` in the final bucket."""
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
    """Read one line of a chunk."""
    facts = json.loads(line)
    return ListedImage(facts["key"], facts["etag"], facts["size"], datetime.fromisoformat(facts["modified"]))
