"""Sends a chunk of pictures to the queue as S3 events, and continues where an earlier attempt ended.

An object beside the chunk, the mark, records how many pictures were sent. It is written every few hundred messages.
After a killed attempt, the next attempt sends the last few hundred messages again. That is harmless: an image has one
outcome, however often it is announced.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote_plus

from label_detection_core import aws_errors
from label_detection_core.backfill.backfill import Chunk, ListedImage, read_line
from label_detection_core.drain.signal_safe import SignalSafeEvent
from label_detection_core.queue.image_queue import BATCH
from label_detection_core.stored import now, to_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

#: Messages between two marks.
_MARK_EVERY = 500
_PROGRESS_SECONDS = 5.0
#: Seconds to wait before each new attempt to send entries that SQS did not accept; then it is an error.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)


class NotTakenError(Exception):
    """SQS did not accept messages, even after several attempts. The text has the reason that SQS gave."""


class ChunkGoneError(Exception):
    """The object with the list of pictures was deleted."""


def event(bucket: str, picture: ListedImage, partition: str = "aws") -> str:
    """The JSON text of an S3 event for one picture, as S3 sends it: the key is form-encoded."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": picture.modified.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "label_detection_backfill",
            "bucket": {"name": bucket, "arn": f"arn:{partition}:s3:::{bucket}"},
            "object": {"key": quote_plus(picture.key, safe="/"), "size": picture.size, "eTag": picture.etag},
        },
    }
    return json.dumps({"Records": [record]})


class Announcer:
    """Sends the pictures of one chunk, in the order of the chunk.

    :param source_bucket: the bucket that the events name.
    :param final_bucket: the bucket that holds the chunk and its mark.
    :param on_progress: called with this announcer every few seconds.
    :param pauses: seconds to wait before each new attempt.
    """

    def __init__(
        self,
        s3: S3Client,
        sqs: SQSClient,
        *,
        source_bucket: str,
        final_bucket: str,
        queue_url: str,
        chunk: Chunk,
        on_progress: Callable[[Announcer], None] = lambda _: None,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._s3 = s3
        self._sqs = sqs
        self._source_bucket = source_bucket
        self._final_bucket = final_bucket
        self._queue_url = queue_url
        self._chunk = chunk
        self._on_progress = on_progress
        self._pauses = pauses
        self._stop = SignalSafeEvent()
        self.sent = 0  # pictures of the chunk that this attempt and earlier ones sent

    def __str__(self) -> str:
        """Progress, as Airflow's grid shows it: `5000 of 5000, 2026-01-03 to 2026-02-01`."""
        chunk = self._chunk
        return f"{self.sent} of {chunk.images}, {chunk.oldest:%Y-%m-%d} to {chunk.newest:%Y-%m-%d}"

    def stop(self) -> None:
        """Make `run` return after the current batch. Safe to call from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Send the pictures that were not sent yet, until the end of the chunk or until `stop` is called.

        :raises NotTakenError: when SQS does not accept an entry, even after several attempts.
        :raises ChunkGoneError: when the list of pictures was deleted.

        botocore's errors are raised when S3 or SQS denies a call or does not answer.
        """
        with tempfile.TemporaryFile() as lines:
            etag = self._fetch(lines)
            self.sent = self._read_mark(etag)
            if self.sent:
                log.info(
                    "an earlier attempt sent %d of %d pictures: continuing after them", self.sent, self._chunk.images
                )
            try:
                self._send_all(map(read_line, islice(lines, self.sent, None)), etag)
            finally:
                self._write_last_mark(etag)

    def _send_all(self, pictures: Iterator[ListedImage], etag: str) -> None:
        marked, said_at = self.sent, time.monotonic()
        while not self._stop.is_set() and (batch := list(islice(pictures, BATCH))):
            self._send(batch)
            self.sent += len(batch)
            if self.sent - marked >= _MARK_EVERY:
                self._write_mark(etag)
                marked = self.sent
            if time.monotonic() - said_at >= _PROGRESS_SECONDS:
                said_at = time.monotonic()
                self._on_progress(self)

    def _send(self, pictures: Iterable[ListedImage]) -> None:
        """Send a batch. Entries that SQS does not accept are sent again after a pause."""
        waiting: list[Any] = [
            {"Id": str(number), "MessageBody": event(self._source_bucket, picture, self._s3.meta.partition)}
            for number, picture in enumerate(pictures)
        ]
        for pause in (*self._pauses, None):
            answer = self._sqs.send_message_batch(QueueUrl=self._queue_url, Entries=waiting)
            failed = {failure["Id"]: failure for failure in answer.get("Failed", [])}
            waiting = [entry for entry in waiting if entry["Id"] in failed]
            if not waiting:
                return
            failure = failed[waiting[0]["Id"]]
            reason = f"{failure['Code']}: {failure.get('Message', '')}"
            if pause is None or self._stop.wait(pause):
                break
            log.warning("SQS did not accept %d messages (%s): sending them again", len(waiting), reason)
        raise NotTakenError(f"SQS did not accept {len(waiting)} messages: {reason}")

    def _fetch(self, lines: IO[bytes]) -> str:
        """Copy the chunk to a file, and return its eTag. Sending takes too long to keep a connection to S3 open."""
        try:
            answer = self._s3.get_object(Bucket=self._final_bucket, Key=self._chunk.key)
        except self._s3.exceptions.NoSuchKey:
            raise ChunkGoneError(
                f"s3://{self._final_bucket}/{self._chunk.key} is gone: clear plan_backfill to list the pictures again"
            ) from None
        shutil.copyfileobj(answer["Body"], lines)
        lines.seek(0)
        return answer["ETag"]

    @property
    def _mark_key(self) -> str:
        return self._chunk.key.removesuffix(".jsonl") + ".sent.json"

    def _read_mark(self, etag: str) -> int:
        """Pictures of this chunk that were sent. A mark with another eTag is of an older plan and counts as 0."""
        try:
            body = self._s3.get_object(Bucket=self._final_bucket, Key=self._mark_key)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return 0
        try:
            mark = json.loads(body)
            sent = int(mark["sent"]) if mark["chunk"] == etag else 0
        except (ValueError, KeyError, TypeError) as error:  # someone edited it
            log.warning(
                "s3://%s/%s is not a mark, so the whole chunk is sent again: %r",
                self._final_bucket,
                self._mark_key,
                error,
            )
            sent = 0
        return sent if 0 <= sent <= self._chunk.images else 0

    def _write_mark(self, etag: str) -> None:
        mark = {"chunk": etag, "sent": self.sent, "at": now()}
        self._s3.put_object(
            Bucket=self._final_bucket, Key=self._mark_key, Body=to_json(mark), ContentType="application/json"
        )

    def _write_last_mark(self, etag: str) -> None:
        """Write the mark at the end. An error is only logged: the next attempt then sends some messages again."""
        try:
            self._write_mark(etag)
        except aws_errors.AWS_ERRORS as error:
            log.warning(
                "s3://%s/%s could not be written, so another attempt sends the last few hundred messages again: %s",
                self._final_bucket,
                self._mark_key,
                error,
            )
