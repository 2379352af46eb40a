"""Work that the caller shares with a limited number of helper threads."""

from __future__ import annotations

import threading

import pytest

from label_detection_core.drain.side_by_side import SideBySide


@pytest.mark.parametrize("things", [0, 1, 2, 100])
def test_each_piece_of_work_is_done_once(things: int) -> None:
    done: list[int] = []
    SideBySide(4).each(done.append, range(things))
    assert sorted(done) == list(range(things))


def test_no_more_helpers_than_there_may_be_and_the_caller_work_at_once() -> None:
    shared, working, most, lock = SideBySide(3), 0, 0, threading.Lock()
    full = threading.Barrier(4)

    def work(number: int) -> None:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        if number < 4:
            full.wait(20)
        with lock:
            working -= 1

    shared.each(work, range(50))
    assert most == 4


def test_a_caller_does_its_work_alone_while_the_helpers_are_busy_elsewhere() -> None:
    shared, busy, release = SideBySide(1), threading.Barrier(3), threading.Event()

    def hold(_: int) -> None:
        busy.wait(20)
        release.wait(20)

    other = threading.Thread(target=shared.each, args=(hold, range(2)))
    other.start()
    busy.wait(20)
    done: list[int] = []
    shared.each(done.append, range(10))
    release.set()
    other.join(20)
    assert done == list(range(10))


@pytest.mark.parametrize("at", [0, 7])
def test_an_error_is_raised_and_work_that_has_not_begun_is_left(at: int) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == at:
            raise LookupError(number)
        done.append(number)
        threading.Event().wait(0.001)

    with pytest.raises(LookupError):
        SideBySide(1).each(work, range(10_000))
    assert len(done) < 10_000 - 1
