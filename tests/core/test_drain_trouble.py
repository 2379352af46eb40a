"""Errors in a drain: which of them end it, and that no image is lost."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection_core.drain.journal import read_lines
from label_detection_core.drain.message_worker import DrainError, RefusedError, Tally
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeDrain, client
from tests.core.images import FOUND
from tests.core.queues import return_after
from tests.core.test_messages import direct, record
from tests.model_calls import KINDS

kinds = pytest.mark.kinds(*KINDS)


@kinds
@pytest.mark.usefixtures("quick_retries")
def test_an_image_that_fails_is_tried_again_and_then_rejected(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    return_after(monkeypatch, 0)
    aws.upload("good.png", picture)
    aws.upload("poison.png", picture + b"poison")  # in its key and in its bytes, because some models are sent the bytes
    aws.fail_model("detect", status=500, key="poison")
    drain = make_drain(max_receives=3, workers=1)  # in sequence: the good image shows that the model works
    assert drain.run() == Tally(labelled=1, rejected=1, failed=2)
    assert aws.depth() == (0, 0)


@pytest.mark.parametrize(
    ("service", "operation", "status", "code"),
    [
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


@kinds
def test_a_model_that_refuses_the_caller_ends_the_drain_naming_it_and_nothing_is_lost(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    for number in range(5):
        aws.upload(f"{number}.png", picture)
    drain = make_drain()
    aws.fail_model("detect", status=400, code="AccessDeniedException")
    with pytest.raises(RefusedError, match=f"AccessDeniedException.*{aws.calls.operations['detect']}"):
        drain.run()
    assert (aws.depth(), len(aws.source_keys())) == ((5, 0), 5)


@kinds
def test_a_service_that_is_down_ends_the_drain_before_deliveries_are_used_up(
    aws: Aws, make_drain: MakeDrain, picture: bytes, quick_retries: None
) -> None:
    for number in range(60):
        aws.upload(f"{number}.png", picture)
    aws.fail_model("detect", status=500)
    with pytest.raises(DrainError, match="pictures in a row") as caught:
        make_drain(max_receives=5).run()
    assert not isinstance(caught.value, RefusedError)
    assert (aws.final_keys(), len(aws.source_keys())) == ([], 60)


class SomeDeletesFail:
    """An SQS that answers 200 with a `Failed` list, once for each message."""

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


def test_a_delete_that_sqs_failed_is_repeated(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(12):
        aws.upload(f"{number}.png", picture)
    sqs = SomeDeletesFail(client("sqs"))
    assert make_drain(sqs=sqs).run() == Tally(labelled=12)
    assert len(sqs.failed) == 12
    assert aws.depth() == (0, 0)


def test_an_error_of_the_journal_ends_no_drain(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
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


def test_a_message_that_fails_for_no_known_reason_is_kept_and_blocks_no_other(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    return_after(monkeypatch, 0)
    aws.upload("stuck.png", picture)
    aws.upload("good.png", picture)

    def detect(image: ImageRef, _: float | None) -> Detection:
        if image.key == "stuck.png":
            raise RuntimeError("an error that no code expects")
        return FOUND

    assert make_drain(detect=detect, max_receives=3).run() == Tally(labelled=1, rejected=1, failed=2)
    assert (aws.depth(), aws.source_keys()) == ((0, 0), ["stuck.png"])
    assert len([key for key in aws.final_keys() if key.startswith("rejected/messages/")]) == 1
