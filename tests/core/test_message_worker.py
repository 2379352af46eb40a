"""One message, several images, many messages: when a refusal ends the whole task."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from label_detection_core.drain.journal import Journal, read_lines
from label_detection_core.drain.message_worker import DrainError, MessageWorker, RefusedError, Tally
from label_detection_core.drain.pace import Pace
from label_detection_core.drain.signal_safe import SignalSafeEvent
from label_detection_core.drain.waits import Waits
from label_detection_core.labelling.decisions import UNDECIDED_SECONDS
from label_detection_core.labelling.doubts import ENOUGH
from label_detection_core.labelling.labeller import (
    ImageRefusedError,
    ImageUnreadableError,
    Outcome,
    Result,
    TryAgainError,
)
from label_detection_core.labelling.labels import Detection, Error, RunInfo
from label_detection_core.queue.messages import ImageRef, Message
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeLabeller
from tests.core.images import FOUND, TEXT, detect, outcomes, upload
from tests.core.refusals import kept, kinds_of_refusals, refuse
from tests.core.test_messages import direct, record

_NUMBERS = count()


class Worker(MessageWorker):
    """A worker, with its parts as attributes."""

    def __init__(self, aws: Aws, make_labeller: MakeLabeller, run: RunInfo = RUN, **parts: Any) -> None:
        self.stopped = SignalSafeEvent()
        labeller = make_labeller(run=run, **({"detect": detect} | parts))
        self.journal = Journal(aws.s3, aws.settings.final_bucket, run)
        super().__init__(labeller, self.journal, Pace(100_000, 0.1), self.stopped, Waits(others=0.0))


MakeWorker = Callable[..., Worker]


@pytest.fixture
def make_worker(aws: Aws, make_labeller: MakeLabeller) -> MakeWorker:
    return lambda **parts: Worker(aws, make_labeller, **parts)


def announcing(*images: ImageRef, receives: int = 1) -> Message:
    """A new message that announces these keys."""
    records = [record(image.key, image.bucket) for image in images]
    for made, image in zip(records, images, strict=True):
        made["s3"]["object"]["eTag"] = image.etag
    return Message(f"00000000-0000-0000-0000-{next(_NUMBERS):012}", "handle", direct(*records), receives)


def again(message: Message) -> Message:
    return replace(message, receives=message.receives + 1)


@kinds_of_refusals
def test_the_message_of_an_unreadable_object_is_kept_and_the_object_stays(
    aws: Aws, make_worker: MakeWorker, picture: bytes, kind: str
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    refuse(aws, kind)
    worker = make_worker(max_receives=2)
    message = announcing(odd)
    assert worker.work(message) == 2
    assert worker.work(announcing(good)) is None
    assert worker.work(again(message)) is None
    worker.conclude()
    assert worker.tally == Tally(labelled=1, failed=1, unreadable=1)
    (document,) = kept(aws)
    assert document["message"] == {"id": message.id, "body": message.body}
    assert odd.url in document["error"]["message"]
    assert outcomes(aws, odd) == ["pending"]
    worker.journal.write()
    lines = [line for line in read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id) if line["outcome"] != "failed"]
    assert {(line["outcome"], line["source"]["key"]) for line in lines} == {
        ("labelled", "good.png"),
        ("unreadable", "odd.png"),
    }


def test_a_message_is_kept_for_its_unreadable_image_when_all_its_others_are_done(
    aws: Aws, make_worker: MakeWorker, picture: bytes
) -> None:
    odd, good, late = (upload(aws, f"{name}.png", picture) for name in ("odd", "good", "late"))
    refuse(aws, "archived")
    aws.fail("s3", "CopyObject", status=503, code="SlowDown", key="late", times=1)
    worker = make_worker(max_receives=1)
    message = announcing(odd, good, late, good)
    assert worker.work(message) == 2
    assert kept(aws) == []
    assert worker.work(again(message)) is None
    assert worker.tally == Tally(labelled=2, failed=2, unreadable=1)
    (document,) = kept(aws)
    assert odd.url in document["error"]["message"]
    assert [outcomes(aws, image) for image in (odd, good, late)] == [["pending"], ["labelled"], ["labelled"]]


def odd_model(error: Exception) -> Any:
    def looks(image: ImageRef, _: float) -> Detection:
        if image.key.startswith("odd"):
            raise error
        return FOUND

    return looks


UNREAD = ImageUnreadableError(Error("InvalidS3ObjectException", "Unable to get object metadata from S3"))
WRONG = ImageRefusedError(Error("InvalidParameterException", "Request has invalid parameters"), doubtful=True)
#: Refusals of every image: how they are made, and what the error that ends the task must name.
REFUSED_FOR_ALL: dict[str, tuple[Any, list[str]]] = {
    "S3 refuses": (None, ["odd", "GetObject", "s3:GetObject", "kms:Decrypt", "another account", "AccessDenied"]),
    "S3 refuses the delete": ("DeleteObject", ["odd", "DeleteObject", "s3:DeleteObject"]),
    "the model's service cannot read": (UNREAD, ["odd", "policy", "KMS key", "Region", "InvalidS3ObjectException"]),
    "every request is wrong": (WRONG, ["odd", "request", "InvalidParameterException"]),
}
for_all = pytest.mark.parametrize("how", REFUSED_FOR_ALL)


def refuse_all(aws: Aws, make_worker: MakeWorker, how: str) -> Worker:
    cause, _ = REFUSED_FOR_ALL[how]
    if cause is None:
        refuse(aws, "another account's")
    elif isinstance(cause, str):
        aws.fail("s3", cause, status=403, code="AccessDenied", key="odd")
    return make_worker(detect=odd_model(cause) if isinstance(cause, Exception) else detect, max_receives=3)


@for_all
def test_a_refusal_of_twenty_different_images_without_any_label_ends_the_task(
    aws: Aws, make_worker: MakeWorker, picture: bytes, how: str
) -> None:
    messages = [announcing(upload(aws, f"odd {n}.png", picture), receives=9) for n in range(ENOUGH)]
    worker = refuse_all(aws, make_worker, how)
    for message in messages[:-1]:
        assert worker.work(message) == 2
    with pytest.raises(RefusedError) as refused:
        worker.work(messages[-1])
    assert [word for word in REFUSED_FOR_ALL[how][1] if word not in str(refused.value)] == []
    assert len(aws.source_keys()) == ENOUGH
    assert [key for key in aws.final_keys() if key.startswith("rejected/")] == []


@for_all
def test_at_the_end_of_the_queue_one_refusal_ends_the_task_if_nothing_was_labelled(
    aws: Aws, make_worker: MakeWorker, picture: bytes, how: str
) -> None:
    message = announcing(upload(aws, "odd.png", picture))
    worker = refuse_all(aws, make_worker, how)
    worker.work(message)
    if how == "S3 refuses":  # only this object: a key without an object shows that the role may read
        worker.conclude()
        aws.fail("s3", "GetObject", status=403, code="AccessDenied")
        worker = refuse_all(aws, make_worker, how)
        worker.work(message)
    with pytest.raises(RefusedError, match=r"odd\.png"):
        worker.conclude()


def test_a_doubtful_image_that_was_finally_rejected_fails_no_task(
    aws: Aws, make_worker: MakeWorker, picture: bytes
) -> None:
    message = announcing(upload(aws, "odd.png", picture), receives=5)
    worker = make_worker(detect=odd_model(WRONG))
    assert [worker.work(message), worker.work(again(message))] == [2, None]
    worker.conclude()
    assert worker.tally == Tally(failed=1, rejected=1)


@for_all
def test_a_repeated_image_counts_once_and_no_drain_waits_for_its_second_delivery(
    aws: Aws, make_worker: MakeWorker, picture: bytes, how: str
) -> None:
    images = [upload(aws, f"odd {n}.png", picture) for n in range(3)]
    worker = refuse_all(aws, make_worker, how)
    for delivery in range(2 * ENOUGH):
        for image in images:
            assert worker.work(announcing(image)) == (UNDECIDED_SECONDS if delivery else 2)
    assert Waits().returned < UNDECIDED_SECONDS


@for_all
@pytest.mark.parametrize("seed", range(3))
def test_odd_images_among_good_ones_end_no_task_in_whatever_order_they_come(
    aws: Aws, make_worker: MakeWorker, picture: bytes, how: str, seed: int
) -> None:
    odd = [announcing(upload(aws, f"odd {n}.png", picture)) for n in range(ENOUGH - 1)]
    good = [announcing(upload(aws, f"good {n}.png", picture)) for n in range(3)]
    worker = refuse_all(aws, make_worker, how)
    todo = [*odd, *good]
    random.Random(seed).shuffle(todo)  # noqa: S311
    while todo:
        message = todo.pop(0)
        if worker.work(message) is not None:
            todo.append(again(message))
    worker.conclude()
    assert worker.tally.labelled == len(good)
    assert worker.tally.unreadable + worker.tally.rejected == len(odd)


def test_a_hundred_objects_that_s3_refuses_before_the_first_good_one_end_no_task(
    aws: Aws, make_worker: MakeWorker, picture: bytes
) -> None:
    odd = [announcing(upload(aws, f"odd {n}.png", picture)) for n in range(100)]
    good = announcing(*(upload(aws, f"good {n}.png", picture) for n in range(30)))
    refuse(aws, "another account's")
    worker = make_worker()
    assert {worker.work(message) for message in odd} == {2}
    assert worker.work(good) is None
    worker.conclude()
    assert worker.tally == Tally(labelled=30, failed=100)


def test_a_label_of_another_task_shows_that_the_image_is_the_cause(
    aws: Aws, make_worker: MakeWorker, picture: bytes
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    other = make_worker(run=RunInfo(RUN.dag_id, RUN.run_id, 1))
    other.work(announcing(good))
    worker = make_worker(detect=odd_model(UNREAD))
    worker.work(announcing(odd))
    with pytest.raises(RefusedError):
        worker.conclude()
    other.journal.write()
    worker.conclude()


def test_a_model_that_fails_for_all_images_fails_the_task(aws: Aws, make_worker: MakeWorker, picture: bytes) -> None:
    odd = upload(aws, "odd.png", picture)
    worker = make_worker(detect=odd_model(TryAgainError(Error("InternalServerError", "cannot"), throttled=False)))
    assert [worker.work(announcing(odd, receives=receives)) for receives in (1, 2, 3)] == [2, 8, 32]
    with pytest.raises(RefusedError, match="InternalServerError: cannot"):
        worker.conclude()


@pytest.mark.parametrize("odd", [5, ENOUGH])
def test_a_few_images_that_fail_each_time_are_not_a_service_that_is_down(
    aws: Aws, make_worker: MakeWorker, picture: bytes, odd: int
) -> None:
    worker = make_worker(detect=odd_model(TryAgainError(Error("InternalServerError", "cannot"), throttled=False)))
    worker.work(announcing(upload(aws, "good.png", picture)))
    images = [upload(aws, f"odd {n}.png", picture) for n in range(odd)]

    def work() -> None:
        for receives in (1, 2, 3, 4):
            for image in images:
                worker.work(announcing(image, receives=receives))
        worker.conclude()

    if odd < ENOUGH:
        work()
    else:
        with pytest.raises(DrainError, match="in a row"):
            work()


def foreign(bucket: str = "elsewhere", receives: int = 1) -> Message:
    return announcing(ImageRef(bucket, "a.png", "abc"), receives=receives)


def test_messages_of_another_bucket_only_end_the_task_and_none_is_deleted(aws: Aws, make_worker: MakeWorker) -> None:
    worker = make_worker()
    messages = [foreign() for _ in range(ENOUGH)]
    assert {worker.work(message) for message in messages[:-1]} == {2}
    with pytest.raises(RefusedError, match=f"'elsewhere'.*{aws.settings.source_bucket}"):
        worker.work(messages[-1])
    assert aws.final_keys() == []


def test_an_access_points_alias_at_the_end_of_the_queue_fails_the_task(aws: Aws, make_worker: MakeWorker) -> None:
    worker = make_worker()
    worker.work(foreign("images-abcdefgh1234-s3alias"))
    with pytest.raises(RefusedError, match=r"s3alias.*source_bucket"):
        worker.conclude()


@pytest.mark.parametrize("why", ["an image of ours came", "received max_receives times"])
def test_a_message_of_another_bucket_is_refused_at_its_second_delivery_and(
    aws: Aws, make_worker: MakeWorker, picture: bytes, why: str
) -> None:
    worker = make_worker(max_receives=3)
    message = foreign()
    assert worker.work(message) == 2
    if why == "an image of ours came":
        worker.work(announcing(upload(aws, "good.png", picture)))
        message = again(message)
    else:
        message = replace(message, receives=3)
    assert worker.work(message) is None
    (document,) = kept(aws)
    assert document["error"]["code"] == "ForeignBucket"
    worker.conclude()  # the message has its outcome, so no message is left that could show a wrong source_bucket


def test_300_records_of_deleted_objects_take_seconds_and_no_call_to_the_model(
    aws: Aws, make_worker: MakeWorker
) -> None:
    asked: list[ImageRef] = []

    def looks(image: ImageRef, _: float) -> Detection:
        asked.append(image)
        return FOUND

    worker = make_worker(detect=looks)
    begun = time.process_time()
    gone = [ImageRef(aws.settings.source_bucket, f"gone {n}.png", "abc") for n in range(300)]
    assert worker.work(announcing(*gone)) is None
    assert time.process_time() - begun < 5
    assert (worker.tally, asked) == (Tally(ignored=300), [])


def test_images_of_one_message_are_worked_on_side_by_side(aws: Aws, make_worker: MakeWorker, picture: bytes) -> None:
    together = threading.Barrier(5)

    def looks(*_: Any) -> Detection:
        together.wait(20)
        return FOUND

    images = [upload(aws, f"{n}.png", picture) for n in range(5)]
    assert make_worker(detect=looks).work(announcing(*images)) is None
    assert [outcomes(aws, image) for image in images] == [["labelled"]] * 5


def test_a_stop_ends_a_message_of_many_images_and_loses_none(aws: Aws, make_worker: MakeWorker, picture: bytes) -> None:
    images = [upload(aws, f"{n}.png", picture) for n in range(40)]

    def detect_and_stop(*_: object) -> Detection:
        worker.stopped.set()
        return FOUND

    worker = make_worker(detect=detect_and_stop)
    message = announcing(*images)
    assert worker.work(message) == 0
    assert worker.tally.labelled < 40
    assert make_worker().work(again(message)) is None
    assert [outcomes(aws, image) for image in images] == [["labelled"]] * 40


def test_an_error_that_ends_the_task_is_raised_from_a_message_of_many_images(
    aws: Aws, make_worker: MakeWorker, picture: bytes
) -> None:
    images = [upload(aws, f"{n}.png", picture) for n in range(15)]
    aws.fail("s3", "PutObject", status=403, code="AccessDenied")
    with pytest.raises(RefusedError, match="PutObject"):
        make_worker().work(announcing(*images))


def test_each_ignored_event_is_noted_with_its_image(aws: Aws, make_worker: MakeWorker) -> None:
    bucket = aws.settings.source_bucket
    events = [record(f"{n}.png", bucket, eventName="ObjectTagging:Put") for n in range(3)]
    worker = make_worker()
    assert worker.work(Message("1", "handle", direct(*events))) is None
    worker.journal.write()
    lines = list(read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id))
    assert [line["source"]["key"] for line in lines] == ["0.png", "1.png", "2.png"]
    assert worker.tally == Tally(ignored=3)


def test_a_deleted_and_an_overwritten_image_have_different_reasons(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    first = upload(aws, "a.png", picture)
    upload(aws, "a.png", TEXT)
    labeller = make_labeller(detect=detect)

    def why(image: ImageRef) -> Result:
        result = labeller.label(image, 1)
        assert result.outcome is Outcome.IGNORED
        return result

    assert why(first).ignored == "overwritten, its own event follows"
    assert why(replace(first, key="gone.png")).ignored == "gone"
