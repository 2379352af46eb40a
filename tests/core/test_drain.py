"""The drain: every message is finished, and none is held longer than the work on it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from label_detection_core.drain import drain as drain_module
from label_detection_core.drain.journal import read_lines
from label_detection_core.drain.message_worker import Tally
from label_detection_core.labelling.labels import Detection
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeDrain
from tests.core.images import FOUND
from tests.core.queues import Watched, receive, wait_for


def test_a_backlog_is_drained_and_the_queue_is_empty(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(30):
        aws.upload(f"{number}.png", picture + bytes([number]))
    assert make_drain().run() == Tally(labelled=30)
    assert (aws.depth(), aws.source_keys(), len(aws.final_keys())) == ((0, 0), [], 60)


def test_an_empty_queue_ends_the_drain(make_drain: MakeDrain) -> None:
    assert str(make_drain().run()) == "nothing to do"


def test_the_journal_has_a_line_for_each_image(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    aws.upload("猫\u2028.png", picture)
    aws.upload("bad.png", b"text")
    make_drain().run()
    lines = list(read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id))
    assert {(line["source"]["key"], line["outcome"]) for line in lines} == {
        ("猫\u2028.png", "labelled"),
        ("bad.png", "rejected"),
    }


def test_the_journal_has_the_time_from_announcement_to_outcome(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    before = time.time()
    aws.upload("a.png", picture)
    time.sleep(1.2)
    make_drain().run()
    (line,) = read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id)
    assert 1.1 <= line["lag"] <= time.time() - before + 0.1


def test_at_the_deadline_the_rest_stays_in_the_queue(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(20):
        aws.upload(f"{number}.png", picture)

    asked: list[object] = []

    def until_the_third(image: object, _: object) -> Detection:
        asked.append(image)
        if len(asked) >= 3:
            drain._deadline = time.time()
        return FOUND

    drain = make_drain(detect=until_the_third, workers=2)
    tally = drain.run()
    assert 3 <= tally.labelled < 20
    assert len(aws.source_keys()) == 20 - tally.labelled
    assert aws.depth() == (20 - tally.labelled, 0)


def test_a_stop_returns_held_messages_within_airflows_five_seconds(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    for number in range(10):
        aws.upload(f"{number}.png", picture)
    working = threading.Event()
    release = threading.Event()

    def hanging(*_: Any) -> Detection:
        working.set()
        release.wait(120)
        return FOUND

    drain = make_drain(detect=hanging, workers=3)
    thread = threading.Thread(target=drain.run)
    thread.start()
    assert working.wait(30)
    drain.stop()
    thread.join(60)
    is_over, depth = not thread.is_alive(), aws.depth()
    release.set()
    assert is_over, "it must not wait for the model, 120 seconds"
    assert depth == (10, 0)
    assert drain_module._STOP_GRACE_SECONDS <= 5 / 2, "Airflow's five seconds also hold the calls to SQS and S3"


class TaskTimeoutError(BaseException):
    """The exception that Airflow raises from a signal handler."""


def test_a_time_out_of_the_task_returns_held_messages_without_a_grace(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    working, release = threading.Event(), threading.Event()

    def hanging(*_: Any) -> Detection:
        working.set()
        release.wait(120)
        return FOUND

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
    assert took < 60, "it must wait neither for the model nor for the grace of a failure, 120 seconds each"
    assert depth == (1, 0)


def test_messages_in_work_are_kept_from_others_by_the_heartbeat(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    seen_by_others: list[int] = []

    class Extended(Watched):
        """Records by how many seconds each heartbeat extends a visibility timeout."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[int] = []

        def change_message_visibility_batch(self, **arguments: Any) -> Any:
            answer = self._sqs.change_message_visibility_batch(**arguments)
            self.seconds += [entry["VisibilityTimeout"] for entry in arguments["Entries"]]
            return answer

    sqs = Extended()

    def slow(*_: Any) -> Detection:
        begun = time.monotonic()
        wait_for(lambda: len(sqs.seconds) >= 4 and time.monotonic() - begun > 10)
        seen_by_others.append(len(receive(aws)))
        return FOUND

    assert make_drain(detect=slow, sqs=sqs, visibility_seconds=9).run() == Tally(labelled=1)
    assert seen_by_others == [0]
    assert set(sqs.seconds) == {9}


def test_a_worker_that_takes_long_does_not_disturb_the_receiver(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    aws.upload("b.png", picture)

    def slow(*_: Any) -> Detection:
        time.sleep(2.5)
        return FOUND

    assert make_drain(detect=slow, workers=1).run() == Tally(labelled=2)


def test_two_drains_share_a_queue_and_each_image_is_labelled_once(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    for number in range(40):
        aws.upload(f"{number}.png", picture + bytes([number]))
    at_work = [threading.Event(), threading.Event()]

    def both_at_work(number: int) -> Detection:
        at_work[number].set()
        assert at_work[1 - number].wait(60)
        return FOUND

    drains = [make_drain(detect=lambda *_, number=number: both_at_work(number)) for number in range(2)]
    threads = [threading.Thread(target=drain.run) for drain in drains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    tallies = [drain.tally for drain in drains]
    assert sum(tally.labelled for tally in tallies) == 40
    assert all(tally.labelled for tally in tallies)
    assert (aws.depth(), aws.source_keys()) == ((0, 0), [])


def test_an_image_that_lies_among_the_journals_parts_is_not_read_as_one(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload(f"runs/{RUN.run_id}/images/000-0123abcd-000000.jsonl", picture)
    make_drain().run()
    assert [line["outcome"] for line in read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id)] == ["labelled"]
