"""The journal of a run: `runs/<run id>/images/*.jsonl` in the final bucket, one line per image.

S3 cannot append to an object, so the journal is written in parts, one every few seconds. A killed task loses few lines,
and memory stays limited.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.drain.pace import Calls
from label_detection_core.labelling.labeller import Result
from label_detection_core.labelling.labels import RunInfo

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

#: The name of a part. No image has such a name, since an image's final key ends with an id and the suffix.
PART = re.compile(r"\d{3,}-[0-9a-f]{8}-\d{6}\.jsonl")
#: A part is written at this number of lines, or after this many seconds.
_LINES = 200
_SECONDS = 10.0
_MOST_LISTED = 1000  # AWS: objects per answer


def run_prefix(run_id: str) -> str:
    """Return the folder of a run in the final bucket."""
    return f"runs/{run_id}/"


class Journal:
    """Writes the lines of one analysis task. Safe to call from several threads."""

    def __init__(self, s3: S3Client, bucket: str, run: RunInfo) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._run = run
        self._lines: list[str] = []
        self._written_at = time.monotonic()
        self._lock = threading.Lock()
        #: unique: a retry of the task, or a second copy of it after a lost worker, writes its own parts
        self._name = f"{run_prefix(run.run_id)}images/{run.map_index:03d}-{uuid.uuid4().hex[:8]}"
        self._part = 0

    def add(self, result: Result, calls: Calls | None = None, announced_at: float | None = None) -> None:
        """Add a line, which is written with the next part.

        :param calls: the calls to the model for this image.
        :param announced_at: when the message was sent, in seconds since 1970.
        """
        line = JournalLine.of(result, calls, announced_at, self._run.map_index).to_text()
        with self._lock:
            self._lines.append(line)

    def write_if_due(self) -> None:
        """Write a part if there are enough lines, or the last part is old enough."""
        if len(self._lines) >= _LINES or time.monotonic() - self._written_at >= _SECONDS:
            self.write()

    def write(self) -> None:
        """Write the waiting lines as a part, if there are any. If S3 refuses, they wait for the next call."""
        with self._lock:
            self._written_at = time.monotonic()
            if not self._lines:
                return
            body = "\n".join(self._lines) + "\n"
            self._s3.put_object(
                Bucket=self._bucket,
                Key=f"{self._name}-{self._part:06d}.jsonl",
                Body=body.encode(errors="backslashreplace"),  # an event may contain half a surrogate pair
                ContentType="application/x-ndjson",
            )
            self._part += 1
            self._lines.clear()


def list_parts(
    s3: S3Client, bucket: str, run_id: str, after: str | None = None, at_once: int = _MOST_LISTED
) -> Iterator[str]:
    """Yield the names of a run's parts, in order.

    :param after: yield only names after this one.
    :param at_once: the most objects in the first answer of S3.
    """
    prefix = f"{run_prefix(run_id)}images/"
    more: Any = {"StartAfter": prefix + after} if after else {}
    while True:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=at_once, **more)
        for entry in listed.get("Contents", []):
            if PART.fullmatch(name := entry["Key"].removeprefix(prefix)):
                yield name  # else an image: version 0.1 had no folder `_/` and could write one here
        if not listed["IsTruncated"]:
            return
        more = {"ContinuationToken": listed["NextContinuationToken"]}
        at_once = _MOST_LISTED  # there may be many such images


def read_part(s3: S3Client, bucket: str, run_id: str, name: str) -> list[bytes]:
    """Return the lines of a part. A written part never changes."""
    key = f"{run_prefix(run_id)}images/{name}"
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()


def read_journal(s3: S3Client, bucket: str, run_id: str) -> Iterator[JournalLine]:
    """Yield every valid line of a run, with one part in memory at a time. The number of other lines is logged."""
    unreadable = 0
    for name in list_parts(s3, bucket, run_id):
        for text in read_part(s3, bucket, run_id, name):
            if line := JournalLine.parse(text):
                yield line
            else:
                unreadable += 1
    if unreadable:
        log.warning("%d invalid lines in the run's journal: they are not counted", unreadable)


def read_lines(s3: S3Client, bucket: str, run_id: str) -> Iterator[dict[str, Any]]:
    """Yield every line of a run as a plain JSON object, for DAGs of users.

    :raises ValueError: when a line is not JSON.
    """
    for name in list_parts(s3, bucket, run_id):
        for line in read_part(s3, bucket, run_id, name):
            yield json.loads(line)
