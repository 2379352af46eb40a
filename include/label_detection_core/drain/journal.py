"""The run's record of its images: `runs/<run id>/images/*.jsonl`, a line per image, in parts as the work goes on.

S3 has no append: a part is written every few seconds, so that a killed task leaves little unwritten and memory stays
bounded.
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

#: A part's name. No image is named so: an image's final key ends in an id of its own.
PART = re.compile(r"\d{3,}-[0-9a-f]{8}-\d{6}\.jsonl")
_LINES = 200
_SECONDS = 10.0
_MOST_LISTED = 1000  # AWS: objects in an answer


def run_prefix(run_id: str) -> str:
    """The folder of a run in the final bucket."""
    return f"runs/{run_id}/"


class Journal:
    """Writes lines for one analysis task. Safe to call from several threads."""

    def __init__(self, s3: S3Client, bucket: str, run: RunInfo) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._run = run
        self._lines: list[str] = []
        self._written_at = time.monotonic()
        self._lock = threading.Lock()
        #: a retry of the same task, or a double of it after a lost worker, writes parts of its own
        self._name = f"{run_prefix(run.run_id)}images/{run.map_index:03d}-{uuid.uuid4().hex[:8]}"
        self._part = 0

    def add(self, result: Result, calls: Calls | None = None, announced_at: float | None = None) -> None:
        """Take a line; it is written with the next part.

        `calls`: what the model was asked for it; `announced_at`: when its message came to the queue, in seconds since
        1970.
        """
        line = JournalLine.of(result, calls, announced_at, self._run.map_index).to_text()
        with self._lock:
            self._lines.append(line)

    def write_if_due(self) -> None:
        """Write a part when there are enough lines, or they have waited long enough."""
        if len(self._lines) >= _LINES or time.monotonic() - self._written_at >= _SECONDS:
            self.write()

    def write(self) -> None:
        """Write the lines that are waiting, if any. When S3 refuses they stay and wait for the next call."""
        with self._lock:
            self._written_at = time.monotonic()
            if not self._lines:
                return
            body = "\n".join(self._lines) + "\n"
            self._s3.put_object(
                Bucket=self._bucket,
                Key=f"{self._name}-{self._part:06d}.jsonl",
                Body=body.encode(errors="backslashreplace"),  # half a surrogate pair in an event
                ContentType="application/x-ndjson",
            )
            self._part += 1
            self._lines.clear()


def list_parts(
    s3: S3Client, bucket: str, run_id: str, after: str | None = None, at_once: int = _MOST_LISTED
) -> Iterator[str]:
    """The names of a run's parts, in their order; `after`: only those that come after that one.

    :param at_once: how many the first request is answered with.
    """
    prefix = f"{run_prefix(run_id)}images/"
    more: Any = {"StartAfter": prefix + after} if after else {}
    while True:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=at_once, **more)
        for entry in listed.get("Contents", []):
            if PART.fullmatch(name := entry["Key"].removeprefix(prefix)):
                yield name  # else: an image that a version without `_/` put here for its source key
        if not listed["IsTruncated"]:
            return
        more = {"ContinuationToken": listed["NextContinuationToken"]}
        at_once = _MOST_LISTED  # there may be any number of such images


def read_part(s3: S3Client, bucket: str, run_id: str, name: str) -> list[bytes]:
    """The lines of a part, which once written never changes."""
    key = f"{run_prefix(run_id)}images/{name}"
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()


def read_journal(s3: S3Client, bucket: str, run_id: str) -> Iterator[JournalLine]:
    """Every line of a run, one part in memory at a time; a line that is not the journal's is left out and logged."""
    unreadable = 0
    for name in list_parts(s3, bucket, run_id):
        for text in read_part(s3, bucket, run_id, name):
            if line := JournalLine.parse(text):
                yield line
            else:
                unreadable += 1
    if unreadable:
        log.warning("%d lines of the run's journal are not as this project writes them: not counted", unreadable)


def read_lines(s3: S3Client, bucket: str, run_id: str) -> Iterator[dict[str, Any]]:
    """As `read_journal`, each as the JSON object that it is: for DAGs that follow.

    :raises ValueError: when a line is no JSON.
    """
    for name in list_parts(s3, bucket, run_id):
        for line in read_part(s3, bucket, run_id, name):
            yield json.loads(line)
