"""The drain: every message to its end, whatever it says, and none held longer than it is worked on."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from include import drain as drain_module
from include.drain import DrainError, RefusedError, Tally
from include.journal import read_lines
from include.messages import ImageRef
from tests.conftest import Aws
from tests.include.conftest import RUN, MakeDrain, client
from tests.include.images import LABELS
from tests.include.queues import receive
from tests.include.test_messages import direct, record


def test_a_backlog_is_drained_and_the_queue_is_empty(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(30):
        aws.upload(f"{number}.png", picture + bytes([number]))
    assert make_drain().run() == Tally(labelled=30)
    assert (aws.depth(), aws.source_keys(), len(aws.final_keys())) == ((0, 0), [], 60)


def test_an_empty_queue_ends_the_drain_at_once(make_drain: MakeDrain) -> None:
    started = time.monotonic()
    assert str(make_drain().run()) == "nothing to do"
    assert time.monotonic() - started < 10


def test_the_journal_has_a_line_for_each_image(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    aws.upload("猫\u2028.png", picture)
    aws.upload("bad.png", b"text")
    make_drain().run()
    lines = list(read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id))
    assert {(line["source"]["key"], line["outcome"]) for line in lines} == {
        ("猫\u2028.png", "labelled"),
        ("bad.png", "rejected"),
    }


def test_at_the_deadline_the_rest_stays_in_the_queue(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(20):
        aws.upload(f"{number}.png", picture)

    def slow(*_: Any) -> list[dict[str, Any]]:
        time.sleep(0.3)
        return LABELS

    tally = make_drain(detect=slow, workers=2, seconds=1.5).run()
    assert 0 < tally.labelled < 20
    assert len(aws.source_keys()) == 20 - tally.labelled
    assert aws.depth() == (20 - tally.labelled, 0)


def test_a_stop_gives_back_what_is_held_within_airflows_five_seconds(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    for number in range(10):
        aws.upload(f"{number}.png", picture)
    working = threading.Event()
    release = threading.Event()

    def hanging(*_: Any) -> list[dict[str, Any]]:
        working.set()
        release.wait(20)
        return LABELS

    drain = make_drain(detect=hanging, workers=3)
    thread = threading.Thread(target=drain.run)
    thread.start()
    working.wait(10)
    started = time.monotonic()
    drain.stop()
    thread.join(10)
    took = time.monotonic() - started
    depth = aws.depth()
    release.set()
    assert took < 5
    assert depth == (10, 0)


class TaskTimeoutError(BaseException):
    """As Airflow raises it, from a signal handler."""


def test_a_time_out_of_the_task_gives_back_what_is_held_without_a_grace(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    working, release = threading.Event(), threading.Event()

    def hanging(*_: Any) -> list[dict[str, Any]]:
        working.set()
        release.wait(20)
        return LABELS

    class TimesOut:
        def __getattr__(self, name: str) -> Any:
            if name == "receive_message" and working.is_set():
                raise TaskTimeoutError
            return getattr(aws.sqs, name)

    started = time.monotonic()
    with pytest.raises(TaskTimeoutError):
        make_drain(detect=hanging, sqs=TimesOut()).run()
    took, depth = time.monotonic() - started, aws.depth()
    release.set()
    assert took < 6
    assert depth == (1, 0)


def test_messages_in_work_are_kept_from_others_by_the_heartbeat(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    seen_by_others: list[int] = []

    def slow(*_: Any) -> list[dict[str, Any]]:
        for _n in range(4):
            time.sleep(1)
            seen_by_others.append(len(receive(aws)))
        return LABELS

    assert make_drain(detect=slow, visibility_seconds=2).run() == Tally(labelled=1)
    assert seen_by_others == [0, 0, 0, 0]


def test_the_drain_waits_for_messages_that_others_hold_and_may_give_back(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    (message,) = receive(aws)
    handle = {"QueueUrl": aws.settings.queue_url, "ReceiptHandle": message["ReceiptHandle"]}
    threading.Timer(3, lambda: aws.sqs.change_message_visibility(**handle, VisibilityTimeout=0)).start()
    assert make_drain().run() == Tally(labelled=1)


def test_the_drain_does_not_wait_for_them_for_ever(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_PATIENCE_SECONDS", 1)
    aws.upload("a.png", picture)
    receive(aws)
    assert make_drain(visibility_seconds=1).run() == Tally()


def test_a_worker_that_takes_long_does_not_disturb_the_receiver(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    aws.upload("b.png", picture)

    def slow(*_: Any) -> list[dict[str, Any]]:
        time.sleep(2.5)
        return LABELS

    assert make_drain(detect=slow, workers=1).run() == Tally(labelled=2)


def test_two_drains_share_a_queue_and_each_image_is_labelled_once(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    for number in range(40):
        aws.upload(f"{number}.png", picture + bytes([number]))
    drains = [make_drain(), make_drain()]
    threads = [threading.Thread(target=drain.run) for drain in drains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    tallies = [drain.tally for drain in drains]
    assert sum(tally.labelled for tally in tallies) == 40
    assert all(tally.labelled for tally in tallies)
    assert (aws.depth(), aws.source_keys()) == ((0, 0), [])


def test_an_image_that_fails_is_tried_again_and_then_rejected(
    aws: Aws, make_drain: MakeDrain, picture: bytes, quick_retries: None
) -> None:
    aws.upload("good.png", picture)
    aws.upload("poison.png", picture)
    aws.fail("rekognition", "DetectCustomLabels", status=500, key="poison")
    assert make_drain(max_receives=3).run() == Tally(labelled=1, rejected=1, failed=2)
    assert aws.depth() == (0, 0)


@pytest.mark.parametrize(
    ("service", "operation", "status", "code"),
    [
        pytest.param("rekognition", "DetectCustomLabels", 400, "AccessDeniedException", id="detect"),
        pytest.param("s3", "CopyObject", 403, "AccessDenied", id="copy"),
        pytest.param("sqs", "DeleteMessageBatch", 403, "AccessDenied", id="delete message"),
        pytest.param("sqs", "ReceiveMessage", 403, "AccessDenied", id="receive"),
    ],
)
def test_a_refused_call_ends_the_drain_naming_it_and_nothing_is_lost(
    aws: Aws, make_drain: MakeDrain, picture: bytes, service: str, operation: str, status: int, code: str
) -> None:
    for number in range(5):
        aws.upload(f"{number}.png", picture)
    aws.fail(service, operation, status=status, code=code)
    with pytest.raises(RefusedError, match=f"{code}.*{operation}"):
        make_drain().run()
    aws.control("faults", "DELETE")
    assert sum(aws.depth()) == 5
    assert aws.depth()[1] == 0
    make_drain().run()
    assert (aws.depth(), aws.source_keys(), len(aws.final_keys())) == ((0, 0), [], 10)


def test_a_service_that_is_down_ends_the_drain_before_deliveries_are_used_up(
    aws: Aws, make_drain: MakeDrain, picture: bytes, quick_retries: None
) -> None:
    for number in range(60):
        aws.upload(f"{number}.png", picture)
    aws.fail("rekognition", "DetectCustomLabels", status=500)
    with pytest.raises(DrainError, match="images in a row") as caught:
        make_drain(max_receives=5).run()
    assert not isinstance(caught.value, RefusedError)
    assert (aws.final_keys(), len(aws.source_keys())) == ([], 60)


class SomeDeletesFail:
    """SQS that answers 200 with a `Failed` list, once for each message."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.failed: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803  # boto3's own names
        fresh = [entry for entry in Entries if entry["ReceiptHandle"] not in self.failed]
        self.failed.update(entry["ReceiptHandle"] for entry in fresh)
        rest = [entry for entry in Entries if entry not in fresh]
        if rest:
            self._sqs.delete_message_batch(QueueUrl=QueueUrl, Entries=rest)
        return {"Failed": [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in fresh]}


def test_a_delete_that_sqs_failed_is_made_again(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(12):
        aws.upload(f"{number}.png", picture)
    sqs = SomeDeletesFail(client("sqs"))
    assert make_drain(sqs=sqs).run() == Tally(labelled=12)
    assert len(sqs.failed) == 12
    assert aws.depth() == (0, 0)


def test_trouble_with_the_journal_ends_no_drain(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    aws.upload("a.png", picture)
    aws.fail("s3", "PutObject", status=403, code="AccessDenied", key="runs/")
    assert make_drain().run() == Tally(labelled=1)


def test_half_a_surrogate_pair_in_an_event_ends_no_drain(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    aws.upload("a.png", picture)
    aws.sqs.send_message(
        QueueUrl=aws.settings.queue_url, MessageBody=direct(record("b.png", eventName="\ud800")).replace("parts", "x")
    )
    assert make_drain().run() == Tally(labelled=1, ignored=1)
    lines = list(read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id))
    assert sorted(line["outcome"] for line in lines) == ["ignored", "labelled"]


def test_an_image_that_lies_among_the_journals_parts_is_not_read_as_one(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload(f"runs/{RUN.run_id}/images/000-0123abcd-000000.jsonl", picture)
    make_drain().run()
    assert [line["outcome"] for line in read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id)] == ["labelled"]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param({"s3": ("CopyObject", "InvalidRequest")}, id="S3 will never copy it"),
        pytest.param({"bug": RuntimeError("what nobody thought of")}, id="a bug"),
    ],
)
def test_a_message_that_fails_for_no_known_reason_is_kept_and_blocks_no_other(
    aws: Aws, make_drain: MakeDrain, picture: bytes, trouble: dict[str, Any]
) -> None:
    aws.upload("stuck.png", picture)
    aws.upload("good.png", picture)

    def detect(image: ImageRef, _: float) -> list[dict[str, Any]]:
        if image.key == "stuck.png" and "bug" in trouble:
            raise trouble["bug"]
        return LABELS

    if "s3" in trouble:
        operation, code = trouble["s3"]
        aws.fail("s3", operation, status=400, code=code, key="stuck")
    assert make_drain(detect=detect, max_receives=3).run() == Tally(labelled=1, rejected=1, failed=2)
    assert (aws.depth(), aws.source_keys()) == ((0, 0), ["stuck.png"])
    assert len([key for key in aws.final_keys() if key.startswith("rejected/messages/")]) == 1
