"""A chunk of pictures sent to the queue: as S3 announces them, in order, and complete after any interruption."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from label_detection_core.backfill.announcer import Announcer, ChunkGoneError, NotTakenError, event
from label_detection_core.backfill.backfill import Chunk, ListedImage, write_chunks
from label_detection_core.queue import messages
from label_detection_core.queue.messages import ImageRef
from sandbox.environment import PROJECT
from tests.conftest import Aws
from tests.core.conftest import client
from tests.core.queues import receive, wait_for
from tests.core.test_backfill import HARD_KEYS

FIRST = datetime(2026, 1, 3, 6, 0, tzinfo=UTC)


def chunk_of(aws: Aws, count: int, first: int = 0) -> Chunk:
    """A chunk of pictures `0000.png` and so on, an hour apart."""
    pictures = (
        ListedImage(f"{first + n:04d}.png", f"e{n}", n, FIRST + timedelta(hours=first + n, microseconds=1000))
        for n in range(count)
    )
    (chunk,) = write_chunks(aws.s3, aws.settings.final_bucket, "run", pictures, size=count)
    return chunk


def announcer(aws: Aws, chunk: Chunk, **parts: Any) -> Announcer:
    settings = aws.settings
    return Announcer(
        parts.get("s3") or client("s3"),
        parts.get("sqs") or client("sqs"),
        source_bucket=settings.source_bucket,
        final_bucket=settings.final_bucket,
        queue_url=settings.queue_url,
        chunk=chunk,
        pauses=(0.01, 0.01),
    )


def announced(aws: Aws) -> list[str]:
    """The keys on the queue, as a consumer receives them. The messages stay invisible."""
    keys = []
    aws.exactly_once()
    while received := receive(aws):
        for message in received:
            contents = messages.read(message["Body"])
            assert not contents.problems
            keys += [image.key for image in contents.images]
    return keys


def mark(aws: Aws, chunk: Chunk) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(aws.read(chunk.key.replace(".jsonl", ".sent.json")))
    return found


class Flaky:
    """A stand-in for SQS's client that refuses a part of a batch, which the embedded AWS never does."""

    def __init__(self, sqs: Any, refusals: dict[str, int]) -> None:
        self._sqs = sqs
        self.refusals = refusals  # by a part of the body: number of refusals

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803  # boto3's names
        refused = [entry for entry in Entries if self._refuses(entry["MessageBody"])]
        taken = [entry for entry in Entries if entry not in refused]
        answer = self._sqs.send_message_batch(QueueUrl=QueueUrl, Entries=taken) if taken else {"Successful": []}
        failed = [
            {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError", "Message": "try again"}
            for entry in refused
        ]
        return {**answer, "Failed": failed}

    def _refuses(self, body: str) -> bool:
        for part, left in self.refusals.items():
            if part in body and left:
                self.refusals[part] = left - 1
                return True
        return False


@pytest.mark.parametrize("key", HARD_KEYS, ids=ascii)
def test_an_event_is_read_as_the_picture_that_was_listed(key: str) -> None:
    body = event("source", ListedImage(key, "abc", 7, FIRST))
    assert messages.read(body).images == [ImageRef("source", key, "abc", None, 7)]
    assert body.isascii()
    assert len(body) < 1 << 18, "ten events must fit into SQS's 1 MiB per batch"


def test_a_chunk_is_sent_in_its_order_and_named_for_the_grid(aws: Aws) -> None:
    task = announcer(aws, chunk_of(aws, 25))
    task.run()
    assert announced(aws) == [f"{n:04d}.png" for n in range(25)]
    assert str(task) == "25 of 25, 2026-01-03 to 2026-01-04"


def test_a_chunk_that_was_sent_is_not_sent_again(aws: Aws) -> None:
    chunk = chunk_of(aws, 12)
    announcer(aws, chunk).run()
    again = announcer(aws, chunk)
    again.run()
    assert (again.sent, len(announced(aws))) == (12, 12)


def test_another_chunk_of_the_same_name_is_sent_from_its_beginning(aws: Aws) -> None:
    announcer(aws, chunk_of(aws, 12)).run()
    announcer(aws, chunk_of(aws, 12, first=100)).run()
    assert announced(aws)[12:] == [f"{n:04d}.png" for n in range(100, 112)]


def test_only_entries_that_sqs_has_refused_are_sent_again(aws: Aws) -> None:
    sqs = Flaky(client("sqs"), {"0003.png": 2, "0011.png": 1})
    announcer(aws, chunk_of(aws, 15), sqs=sqs).run()
    assert Counter(announced(aws)) == Counter(f"{n:04d}.png" for n in range(15))


def test_entries_that_sqs_always_refuses_are_an_error_and_the_next_attempt_continues_there(aws: Aws) -> None:
    chunk = chunk_of(aws, 25)
    with pytest.raises(NotTakenError, match="SQS did not accept 1 messages: InternalError: try again"):
        announcer(aws, chunk, sqs=Flaky(client("sqs"), {"0013.png": 99})).run()
    assert mark(aws, chunk)["sent"] == 10
    announcer(aws, chunk).run()
    counts = Counter(announced(aws))
    assert set(counts) == {f"{n:04d}.png" for n in range(25)}
    assert {key for key, times in counts.items() if times > 1} <= {f"{n:04d}.png" for n in range(10, 20)}


@pytest.mark.parametrize("status", [403, 503])
def test_a_refused_call_ends_the_attempt_and_the_next_continues_there(aws: Aws, status: int) -> None:
    chunk = chunk_of(aws, 30)
    aws.fail("sqs", "SendMessageBatch", status=status, key="0020.png", times=1)
    with pytest.raises(ClientError):
        announcer(aws, chunk).run()
    announcer(aws, chunk).run()
    assert announced(aws) == [f"{n:04d}.png" for n in range(30)]


def test_an_attempt_that_cannot_write_its_last_mark_still_reports_its_error(aws: Aws) -> None:
    chunk = chunk_of(aws, 30)
    aws.fail("sqs", "SendMessageBatch", status=403, code="AccessDenied", key="0020.png", times=1)
    aws.fail("s3", "PutObject", status=503, key=".sent.json")
    with pytest.raises(ClientError, match="SendMessageBatch"):
        announcer(aws, chunk).run()


def test_a_stop_ends_the_attempt_after_the_current_batch(aws: Aws) -> None:
    chunk = chunk_of(aws, 2000)
    task = announcer(aws, chunk)
    thread = threading.Thread(target=task.run)
    thread.start()
    wait_for(lambda: task.sent)
    task.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert 0 < task.sent < 2000
    assert mark(aws, chunk)["sent"] == task.sent


_ATTEMPT = """
import sys, boto3
from label_detection_core.backfill.announcer import Announcer
from label_detection_core.backfill.backfill import Chunk
source, final, queue, chunk = sys.argv[1:]
Announcer(boto3.client("s3"), boto3.client("sqs"), source_bucket=source, final_bucket=final, queue_url=queue,
          chunk=Chunk.model_validate_json(chunk)).run()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_kill_in_the_middle_no_picture_is_left_out_and_few_are_sent_twice(
    aws: Aws, when: str, tmp_path: Path
) -> None:
    chunk = chunk_of(aws, 1000)
    aws.fail("sqs", "SendMessageBatch", key="0600.png", when=when, delay=30, times=1)
    places = (aws.settings.source_bucket, aws.settings.final_bucket, aws.settings.queue_url)
    attempt = subprocess.Popen([sys.executable, "-c", _ATTEMPT, *places, chunk.model_dump_json()], cwd=PROJECT)
    wait_for(lambda: not aws.control("faults"))
    wait_for(lambda: aws.depth()[0] == (610 if when == "after" else 600))
    attempt.send_signal(signal.SIGKILL)
    attempt.wait(10)
    announcer(aws, chunk).run()
    counts = Counter(announced(aws))
    assert set(counts) == {f"{n:04d}.png" for n in range(1000)}
    assert sum(counts.values()) - 1000 == {"before": 100, "after": 110}[when]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"sent": 10}',
        b'{"sent": null, "chunk": "ETAG"}',
        b'{"sent": -5, "chunk": "ETAG"}',
        b'{"sent": 999, "chunk": "ETAG"}',
    ],
    ids=ascii,
)
def test_after_an_edited_mark_all_pictures_are_sent_again(aws: Aws, body: bytes) -> None:
    chunk = chunk_of(aws, 12)
    etag = aws.s3.head_object(Bucket=aws.settings.final_bucket, Key=chunk.key)["ETag"]
    body = body.replace(b'"ETAG"', json.dumps(etag).encode())
    key = chunk.key.replace(".jsonl", ".sent.json")
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=body)
    announcer(aws, chunk).run()
    assert len(announced(aws)) == 12
    assert mark(aws, chunk)["sent"] == 12


def test_a_missing_list_is_an_error_with_its_cure(aws: Aws) -> None:
    chunk = chunk_of(aws, 3)
    aws.s3.delete_object(Bucket=aws.settings.final_bucket, Key=chunk.key)
    with pytest.raises(ChunkGoneError, match=f"{chunk.key} is gone: clear plan_backfill to list"):
        announcer(aws, chunk).run()
