"""The drain: every message is finished, and none is held longer than the work on it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from label_detection_core.drain.journal import read_lines
from label_detection_core.drain.message_worker import Tally
from label_detection_core.labelling.labels import Detection
from tests.conftest import Aws
from tests.core.conftest import RUN, MakeDrain
from tests.core.images import FOUND
from tests.core.queues import receive


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

    def slow(*_: Any) -> Detection:
        time.sleep(0.3)
        return FOUND

    tally = make_drain(detect=slow, workers=2, seconds=1.5).run()
    assert 0 < tally.labelled < 20
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
        release.wait(20)
        return FOUND

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
    """The exception that Airflow raises from a signal handler."""


def test_a_time_out_of_the_task_returns_held_messages_without_a_grace(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    working, release = threading.Event(), threading.Event()

    def hanging(*_: Any) -> Detection:
        working.set()
        release.wait(20)
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
    assert took < 6
    assert depth == (1, 0)


def test_messages_in_work_are_kept_from_others_by_the_heartbeat(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    seen_by_others: list[int] = []

    def slow(*_: Any) -> Detection:
        for _n in range(4):
            time.sleep(1)
            seen_by_others.append(len(receive(aws)))
        return FOUND

    assert make_drain(detect=slow, visibility_seconds=2).run() == Tally(labelled=1)
    assert seen_by_others == [0, 0, 0, 0]


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


def test_an_image_that_lies_among_the_journals_parts_is_not_read_as_one(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload(f"runs/{RUN.run_id}/images/000-0123abcd-000000.jsonl", picture)
    make_drain().run()
    assert [line["outcome"] for line in read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id)] == ["labelled"]
