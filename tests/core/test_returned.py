"""Which of the messages that a consumer returned to the queue it waits for."""

from __future__ import annotations

import pytest

from label_detection_core.drain.returned import HIDDEN_SECONDS, Returned
from label_detection_core.drain.waits import Waits
from label_detection_core.queue.messages import Message

BUDGET_SECONDS = Waits().returned


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def messages(clock: Clock) -> Returned:
    return Returned(BUDGET_SECONDS, clock)


ODD, OTHER = Message("odd", "handle-1", ""), Message("other", "handle-2", "")


def deliver(messages: Returned, clock: Clock, message: Message, took: float, hidden: float | None) -> None:
    """Receive a message, work on it for some time, and return it to the queue or finish it."""
    assert messages.is_in_time(message)
    clock.now += took
    messages.worked(message, took, hidden)


@pytest.mark.parametrize(
    ("took", "hidden", "awaited"),
    [
        pytest.param(1, 10, True, id="soon back, soon done"),
        pytest.param(1, BUDGET_SECONDS - 2, True, id="back and done right before the budget's end"),
        pytest.param(1, BUDGET_SECONDS, False, id="back after the budget's end"),
        pytest.param(BUDGET_SECONDS / 2, 10, False, id="soon back, and done after the budget's end"),
        pytest.param(BUDGET_SECONDS + 1, 0, False, id="its first delivery took longer than the budget"),
    ],
)
def test_a_message_is_awaited_while_its_next_delivery_fits_into_the_budget(
    messages: Returned, clock: Clock, took: float, hidden: float, awaited: bool
) -> None:
    deliver(messages, clock, ODD, took, hidden)
    assert (messages.is_one_awaited(), messages.left()) == (awaited, 1)


def test_the_budget_counts_from_the_last_outcome_of_another_message(messages: Returned, clock: Clock) -> None:
    deliver(messages, clock, ODD, 1, BUDGET_SECONDS)
    deliver(messages, clock, OTHER, 10, None)
    assert messages.is_one_awaited()


@pytest.mark.parametrize("hidden", [None, 5], ids=["an outcome", "another failure"])
def test_the_outcome_of_a_returned_message_prolongs_the_budget_of_no_other(
    messages: Returned, clock: Clock, hidden: float | None
) -> None:
    deliver(messages, clock, OTHER, 1, 20)
    deliver(messages, clock, ODD, 1, BUDGET_SECONDS)
    clock.now += 20
    deliver(messages, clock, OTHER, 1, hidden)
    assert messages.left() == (1 if hidden is None else 2)
    clock.now += BUDGET_SECONDS - 30
    assert not messages.is_one_awaited()


def test_a_message_that_comes_back_after_the_budget_is_not_worked_on(messages: Returned, clock: Clock) -> None:
    deliver(messages, clock, ODD, 1, BUDGET_SECONDS)
    clock.now += BUDGET_SECONDS
    assert not messages.is_in_time(ODD)
    assert not messages.is_one_awaited()
    clock.now += HIDDEN_SECONDS - 1
    assert messages.left() == 1


def test_while_another_message_is_in_work_there_is_time_for_all(messages: Returned, clock: Clock) -> None:
    deliver(messages, clock, ODD, 1, 10)
    assert messages.is_in_time(OTHER)
    clock.now += 10 * BUDGET_SECONDS
    assert messages.is_in_time(ODD)


def test_a_message_that_another_consumer_has_taken_is_not_awaited(messages: Returned, clock: Clock) -> None:
    deliver(messages, clock, ODD, 1, 10)
    clock.now += 14
    assert (messages.is_one_awaited(), messages.left()) == (False, 0)


def test_messages_that_others_have_taken_are_forgotten(messages: Returned, clock: Clock) -> None:
    for number in range(1000):
        deliver(messages, clock, Message(str(number), str(number), ""), 1, 5)
    assert messages.left() < 10
    assert len(messages._returns) < 10
