"""The end of a drain: when it ends for any count of SQS, and what it does not wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from label_detection_core.drain.drain import Drain
from label_detection_core.drain.message_worker import Tally
from label_detection_core.drain.waits import Waits
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeDrain
from tests.core.images import FOUND
from tests.core.queues import Counting, Watched, receive, return_after, wait_for

#: Seconds from the last answer to the end of `run`: two polls of a second each, and much for a busy machine. Each wait
#: that a test rules out is 55 seconds or longer.
END_SECONDS = 20.0
#: The same of a retry: its counts are up to 5 s old here, and must be zero for 6 s.
RETRY_END_SECONDS = 11.0 + END_SECONDS
FAILED: Any = {"Error": {"Code": "ServiceUnavailable"}, "ResponseMetadata": {"HTTPStatusCode": 503}}


class Model:
    """A model that answers after `seconds`, and records time and key. It fails for keys that contain "odd"."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.answers: list[tuple[float, str]] = []

    def __call__(self, image: ImageRef, _: object) -> Detection:
        time.sleep(self._seconds)
        self.answers.append((time.monotonic(), image.key))
        if "odd" in image.key:
            raise RuntimeError("the model fails for this image")
        return FOUND

    def asked(self, word: str) -> int:
        return sum(word in key for _, key in self.answers)

    def idle(self) -> float:
        """Seconds since the last answer for a key without "odd"."""
        return time.monotonic() - max(at for at, key in self.answers if "odd" not in key)


def upload(aws: Aws, count: int, picture: bytes) -> None:
    for number in range(count):
        aws.upload(f"{number}.png", picture + str(number).encode())


def hold_all(aws: Aws, seconds: int) -> None:
    """Receive every message as a consumer does that is killed then: they are visible again after `seconds`."""
    answer = aws.sqs.receive_message(
        QueueUrl=aws.settings.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=seconds, WaitTimeSeconds=1
    )
    assert answer["Messages"]


@pytest.mark.parametrize(
    "make_sqs",
    [
        pytest.param(Watched, id="correct counts"),
        pytest.param(lambda: Counting(visible=5, in_flight=0), id="counts with waiting messages"),
        pytest.param(lambda: Counting(visible=0, in_flight=5), id="counts with messages in flight"),
        pytest.param(lambda: Counting(visible=0, in_flight=0), id="counts of zero"),
    ],
)
def test_a_drain_labels_all_and_ends_soon_after_its_last_image_whatever_sqs_counts(
    aws: Aws, make_drain: MakeDrain, picture: bytes, make_sqs: Callable[[], Watched]
) -> None:
    upload(aws, 12, picture)
    model = Model(0.2)
    assert make_drain(detect=model, sqs=make_sqs()).run() == Tally(labelled=12)
    assert model.idle() < END_SECONDS
    assert aws.depth() == (0, 0)


def test_a_drain_does_not_wait_for_messages_of_other_consumers(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    upload(aws, 2, picture)
    hold_all(aws, 60)
    aws.upload("ours.png", picture)
    model = Model()
    assert make_drain(detect=model).run() == Tally(labelled=1)
    assert model.idle() < END_SECONDS
    assert aws.depth() == (0, 2)


def test_a_drain_ends_while_another_is_still_at_work(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    aws.upload("theirs.png", picture)
    working, release = threading.Event(), threading.Event()

    def hanging(*_: Any) -> Detection:
        working.set()
        assert release.wait(120)
        return FOUND

    other = make_drain(detect=hanging)
    thread = threading.Thread(target=other.run)
    thread.start()
    assert working.wait(30)
    begun = time.monotonic()
    assert make_drain().run() == Tally()
    took = time.monotonic() - begun
    release.set()
    thread.join(30)
    assert (took < END_SECONDS, other.tally) == (True, Tally(labelled=1))


def test_a_retry_labels_the_images_of_its_killed_predecessor(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    upload(aws, 3, picture)
    hold_all(aws, 5)
    model = Model()
    assert make_drain(detect=model, patience=60).run() == Tally(labelled=3)
    assert model.idle() < RETRY_END_SECONDS
    assert aws.depth() == (0, 0)


def test_a_retry_waits_no_longer_than_a_predecessor_can_have_held_a_message(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.set_oddities(count_age=[0, 0])
    upload(aws, 1, picture)
    hold_all(aws, 60)
    begun = time.monotonic()
    assert make_drain(patience=4).run() == Tally()
    assert 4 <= time.monotonic() - begun < 4 + END_SECONDS


def test_a_retry_waits_for_seconds_when_no_message_is_in_flight(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    upload(aws, 1, picture)
    model = Model()
    assert make_drain(detect=model, patience=60).run() == Tally(labelled=1)
    assert model.idle() < RETRY_END_SECONDS


def test_a_retry_does_not_trust_counts_that_miss_a_message_on_its_way_back(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    """The older count no longer has it in flight; the other count does not have it visible yet."""
    upload(aws, 1, picture)
    hold_all(aws, 4)
    sqs = Counting(visible=0, in_flight=0)
    assert make_drain(sqs=sqs, patience=20).run() == Tally(labelled=1)


def test_messages_that_arrive_during_the_last_polls_are_received(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    upload(aws, 1, picture)
    late = iter(["second.png", "third.png"])

    class Late(Watched):
        """Uploads an image right before the poll that would be the last one."""

        def receive_message(self, **arguments: Any) -> Any:
            if self.empty and (key := next(late, "")):
                aws.upload(key, picture)
            return super().receive_message(**arguments)

    assert make_drain(sqs=Late()).run() == Tally(labelled=3)


def test_while_the_last_image_is_worked_on_sqs_is_not_polled_repeatedly(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    upload(aws, 1, picture)
    sqs, model = Watched(), Model(4)
    assert make_drain(detect=model, sqs=sqs).run() == Tally(labelled=1)
    assert model.idle() < END_SECONDS
    assert len(sqs.received) < 10
    assert all(seconds for _, seconds, _ in sqs.received), "a short poll cannot show that the queue is empty"


def test_an_error_of_sqs_does_not_count_as_an_empty_queue(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    upload(aws, 5, picture)

    class Troubled(Watched):
        trouble = 3

        def receive_message(self, **arguments: Any) -> Any:
            if self.trouble:
                self.trouble -= 1
                raise ClientError(FAILED, "ReceiveMessage")
            return super().receive_message(**arguments)

    assert make_drain(sqs=Troubled()).run() == Tally(labelled=5)


def test_a_message_that_comes_twice_at_once_is_worked_on_once_and_both_deliveries_are_deleted(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    upload(aws, 3, picture)

    class Twice(Watched):
        """Delivers each message again, with another receipt handle, while the first delivery is worked on."""

        def __init__(self) -> None:
            super().__init__()
            self.delivered: dict[str, list[str]] = {}
            self.deleted: set[str] = set()

        def receive_message(self, **arguments: Any) -> Any:
            answer = super().receive_message(**arguments)
            for message in answer.get("Messages", []):
                handles = self.delivered.setdefault(message["MessageId"], [])
                handles.append(message["ReceiptHandle"])
                if len(handles) == 1:
                    self._sqs.change_message_visibility(
                        QueueUrl=arguments["QueueUrl"], ReceiptHandle=handles[0], VisibilityTimeout=0
                    )
            return answer

        def delete_message_batch(self, **arguments: Any) -> Any:
            self.deleted |= {entry["ReceiptHandle"] for entry in arguments["Entries"]}
            return self._sqs.delete_message_batch(**arguments)

    sqs, model = Twice(), Model(2)
    assert make_drain(detect=model, sqs=sqs, workers=8).run() == Tally(labelled=3)
    assert len(model.answers) == 3
    assert [len(handles) for handles in sqs.delivered.values()] == [2, 2, 2]
    assert sqs.deleted == {handle for handles in sqs.delivered.values() for handle in handles}
    assert aws.depth() == (0, 0)


def test_a_receipt_handle_that_sqs_no_longer_knows_ends_no_drain(
    aws: Aws, make_drain: MakeDrain, picture: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    upload(aws, 2, picture)

    class Stale(Watched):
        """Fails the first delete, as if the message had been delivered again meanwhile."""

        refused = False

        def delete_message_batch(self, **arguments: Any) -> Any:
            answer = self._sqs.delete_message_batch(**arguments)
            if not self.refused:
                self.refused = True
                failed = {"SenderFault": True, "Code": "ReceiptHandleIsInvalid", "Message": "it has expired"}
                return {"Failed": [{"Id": entry["Id"], **failed} for entry in arguments["Entries"]]}
            return answer

    assert make_drain(sqs=Stale()).run() == Tally(labelled=2)
    assert "could not be deleted, and will be delivered again: it has expired" in caplog.text


def run_with_odd(aws: Aws, drain: Drain, picture: bytes, odd: int = 1) -> Tally:
    upload(aws, 10, picture)
    for number in range(odd):
        aws.upload(f"odd-{number}.png", picture)
    return drain.run()


def test_a_failed_message_is_hidden_for_the_time_that_its_worker_returns(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    return_after(monkeypatch, 2.5)
    model = Model()
    drain = make_drain(detect=model, max_receives=2)
    tally = run_with_odd(aws, drain, picture)
    first, second = (at for at, key in model.answers if "odd" in key)
    assert (tally.labelled, tally.failed, tally.rejected) == (10, 1, 1)
    assert second - first >= 2.5


def test_a_failed_message_that_cannot_be_returned_is_waited_for_until_its_visibility_timeout(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("odd.png", picture)
    aws.fail("sqs", "ChangeMessageVisibilityBatch", status=403, code="AccessDenied")
    model = Model()
    tally = make_drain(detect=model, max_receives=2, visibility_seconds=5).run()
    assert (tally.failed, tally.rejected) == (1, 1)


def test_a_message_that_would_return_too_late_is_left_to_the_next_run_immediately(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    return_after(monkeypatch, 120)
    model = Model()
    assert run_with_odd(aws, make_drain(detect=model), picture, odd=2) == Tally(labelled=10, failed=2)
    assert model.idle() < END_SECONDS
    assert aws.depth() == (0, 2), "the message must be hidden until the next run"
    assert "2 failed messages become visible too late for this run" in caplog.text


@pytest.mark.parametrize(
    ("odd", "seconds"),
    [
        pytest.param(1, 0, id="one that returns immediately"),
        pytest.param(1, 1, id="one that returns with a delay"),
        pytest.param(3, 1, id="three that return with a delay"),
    ],
)
def test_images_that_fail_every_time_keep_the_model_on_for_one_budget_all_together(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch, odd: int, seconds: float
) -> None:
    return_after(monkeypatch, seconds)
    model = Model(0.5)

    def detect(image: ImageRef, least: object) -> Detection:
        if image.key == "9.png":
            wait_for(lambda: model.asked("odd") > odd)
        return model(image, least)

    tally = run_with_odd(aws, make_drain(detect=detect, max_receives=1000, waits=Waits(returned=4.0)), picture, odd)
    assert (tally.labelled, tally.rejected) == (10, 0)
    assert model.idle() < 4 + END_SECONDS
    assert model.asked("odd") > odd, "the image must be tried again"
    assert sum(aws.depth()) == odd


def test_while_others_are_worked_on_a_failed_image_is_retried(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    return_after(monkeypatch, 1)
    aws.upload("slow.png", picture)
    aws.upload("odd.png", picture)
    odd = Model()

    def detect(image: ImageRef, least: object) -> Detection:
        if image.key == "slow.png":
            wait_for(lambda: odd.asked("odd") == 3)
        return odd(image, least)

    make_drain(detect=detect, max_receives=3, waits=Waits(returned=0.5)).run()
    assert odd.asked("odd") == 3
    assert aws.depth() == (0, 0)


def test_a_stop_returns_held_messages_immediately_and_without_their_delay(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    return_after(monkeypatch, 300)
    working = threading.Event()

    class Stopped(Model):
        def __call__(self, image: ImageRef, least: object) -> Detection:
            working.set()
            time.sleep(1)
            return super().__call__(image, least)

    aws.upload("odd.png", picture)
    drain = make_drain(detect=Stopped())
    thread = threading.Thread(target=drain.run)
    thread.start()
    assert working.wait(30)
    drain.stop()
    thread.join(60)
    assert aws.depth() == (1, 0)
    assert len(receive(aws)) == 1
