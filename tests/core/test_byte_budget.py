"""A memory budget that threads share."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from label_detection_core.labelling.byte_budget import ByteBudget, NoRoomError
from sandbox.waiting import wait_until


def holder(budget: ByteBudget, size: int, order: list[int]) -> threading.Thread:
    """A thread that takes `size` of the budget, records the size, and returns it."""

    def hold() -> None:
        with budget.room(size):
            order.append(size)

    thread = threading.Thread(target=hold)
    thread.start()
    return thread


def waiting(budget: ByteBudget) -> int:
    return len(budget._waiting)


def test_a_large_image_is_not_overtaken_by_small_ones_that_would_fit() -> None:
    budget, order = ByteBudget(10), list[int]()
    with budget.room(6):
        large = holder(budget, 8, order)
        wait_until(lambda: waiting(budget) == 1, 30, "the large one to wait")
        small = holder(budget, 1, order)
        wait_until(lambda: waiting(budget) == 2, 30, "the small one to wait")
        assert order == []
    for thread in (large, small):
        thread.join(30)
    assert order == [8, 1]


def test_an_image_larger_than_the_budget_gets_all_of_it() -> None:
    budget = ByteBudget(10)
    with budget.room(25) as room:
        assert room.held == 10
    with budget.room(10):
        pass


def test_two_images_larger_than_announced_do_not_wait_for_each_other() -> None:
    budget, done = ByteBudget(10), threading.Barrier(2)

    def grow() -> None:
        with budget.room(5) as room:
            done.wait(30)
            room.resize(9)

    threads = [threading.Thread(target=grow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_an_image_smaller_than_announced_leaves_room_for_others() -> None:
    budget = ByteBudget(10)
    with budget.room(10) as room, ExitStack() as others:
        room.resize(4)
        others.enter_context(budget.room(6))


def test_a_stopped_thread_waits_no_longer_and_takes_nothing() -> None:
    budget = ByteBudget(10)
    with budget.room(10), pytest.raises(NoRoomError), budget.room(1, gives_up=lambda: True):
        pass
    with budget.room(10):
        pass


def test_room_is_returned_when_the_work_fails() -> None:
    budget = ByteBudget(10)
    with pytest.raises(ZeroDivisionError), budget.room(10):
        raise ZeroDivisionError
    with budget.room(10):
        pass
