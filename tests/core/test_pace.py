"""The pace with a rate-limited model, on a simulated clock, so that the tests take no time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from label_detection_core.drain.pace import Pace

LATENCY = 0.2


@dataclass
class Model:
    """A token bucket for one second, as the embedded AWS has it; full when the model begins to run."""

    rate: float
    answered: int = 0
    throttled: int = 0
    _tokens: float = field(init=False)
    _filled: float = 0.0

    def __post_init__(self) -> None:
        self._tokens = self.rate

    def ask(self, now: float) -> bool:
        """Whether the model answers a call now."""
        self._tokens = min(self.rate, self._tokens + (now - self._filled) * self.rate)
        self._filled = now
        if self._tokens < 1:
            self.throttled += 1
            return False
        self._tokens -= 1
        self.answered += 1
        return True


class Consumer:
    """A consumer that always has another image, with a simulated clock."""

    def __init__(self, images_per_second: float) -> None:
        self.now = 0.0
        self.answered = 0
        self.pace = Pace(images_per_second, LATENCY, clock=lambda: self.now, sleep=self._sleep)
        self.pace.wait()

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, model: Model) -> None:
        answered = model.ask(self.now)
        self.answered += answered
        self.pace.answered(throttled=not answered)
        self.pace.wait()


@dataclass
class Queueing:
    """A container that does one image after the other, and never throttles."""

    seconds_per_image: float
    free_at: float = 0.0

    def ask(self, now: float) -> float:
        """The time at which it will answer."""
        self.free_at = max(self.free_at, now) + self.seconds_per_image
        return self.free_at


def run(model: Model, consumers: list[Consumer], until: float) -> None:
    """Let the consumers call the model, each when its turn comes."""
    sends = 0
    while (first := min(consumers, key=lambda consumer: consumer.now)).now < until:
        sends += 1
        assert sends < 200_000, "the simulation does not end"
        first.ask(model)


@pytest.mark.parametrize("consumers", [1, 2, 4])
@pytest.mark.parametrize("units", [1, 5, 20])
def test_the_model_is_busy_and_hardly_throttles(units: int, consumers: int) -> None:
    model = Model(5.0 * units)
    run(model, [Consumer(model.rate / consumers) for _ in range(consumers)], until=400)
    assert model.answered / (model.rate * 400) > 0.97
    sends = model.answered + model.throttled
    assert model.throttled / sends < 0.02


@pytest.mark.parametrize("guess", [0.2, 5.0], ids=["five times too low", "five times too high"])
def test_a_wrong_first_rate_is_corrected(guess: float) -> None:
    model = Model(10.0)
    consumer = Consumer(10.0 * guess)
    run(model, [consumer], until=120)
    before = model.answered, model.throttled
    run(model, [consumer], until=240)
    assert model.answered - before[0] > 0.95 * 10 * 120
    assert model.throttled - before[1] < 0.02 * 10 * 120


@pytest.mark.parametrize("seconds", [5, 30, 120])
def test_a_model_that_throttled_everything_for_a_while_is_busy_again_immediately(seconds: int) -> None:
    model = Model(5.0)
    consumers = [Consumer(2.5), Consumer(2.5)]
    run(model, consumers, until=120)
    model.rate = 1e-9
    run(model, consumers, until=120 + seconds)
    model.rate = 5.0
    before = model.answered
    run(model, consumers, until=180 + seconds)
    assert model.answered - before > 0.85 * 5 * 60


@pytest.mark.parametrize("rate", [0.0005, 0.05, 1000.0])
def test_the_rate_stays_within_its_bounds_for_any_first_rate(rate: float) -> None:
    consumer = Consumer(rate)
    for _ in range(50):
        before = consumer.pace.images_per_second
        consumer.pace.wait()
        assert 0.05 <= consumer.pace.images_per_second < before * 4
        assert consumer.pace.images_at_once() >= 2


def test_units_that_are_added_are_used() -> None:
    model = Model(5.0)
    consumer = Consumer(5.0)
    run(model, [consumer], until=100)
    model.rate = 15.0
    run(model, [consumer], until=220)
    before = model.answered
    run(model, [consumer], until=280)
    assert model.answered - before > 0.9 * 15 * 60


def test_consumers_with_different_first_rates_share_the_model_in_the_end() -> None:
    model = Model(20.0)
    consumers = [Consumer(rate) for rate in (14.0, 2.0, 2.0, 2.0)]
    run(model, consumers, until=1500)
    for consumer in consumers:
        consumer.answered = 0
    run(model, consumers, until=1800)
    share = [consumer.answered / (20 * 300) for consumer in consumers]
    assert min(share) > 0.1, share


def test_a_rate_that_the_callers_do_not_use_does_not_grow() -> None:
    now = [0.0]
    pace = Pace(10.0, LATENCY, clock=lambda: now[0], sleep=lambda _: None)
    for _ in range(1000):
        now[0] += 0.5  # five times slower than possible
        pace.wait()
    assert pace.images_per_second == 10.0


def test_a_caller_that_comes_late_catches_up_a_little_and_no_more() -> None:
    now = [0.0]
    slept: list[float] = []
    pace = Pace(10.0, LATENCY, clock=lambda: now[0], sleep=slept.append)
    pace.wait()
    now[0] = 60.0
    for _ in range(4):
        pace.wait()
    assert [round(seconds, 2) for seconds in slept] == [0.05]


def test_of_calls_that_are_throttled_together_the_rate_falls_once() -> None:
    pace = Pace(10.0, LATENCY, clock=lambda: 0.0, sleep=lambda _: None)
    barrier = threading.Barrier(4)

    def ask() -> None:
        pace.wait()
        barrier.wait()
        pace.answered(throttled=True)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pace.images_per_second == pytest.approx(8.1)


def test_images_are_held_only_if_they_are_worked_on_or_come_next() -> None:
    now = [0.0]
    pace = Pace(10.0, 0.3, clock=lambda: now[0], sleep=lambda _: None)
    assert pace.images_at_once() == 10 * (0.3 + 0.5) + 1
    for _ in range(100):
        with pace.image():
            now[0] += 1.5
    for _ in range(100):  # as many threads at once do
        pace.wait()
        pace.answered(throttled=False)
    assert pace.images_at_once() == pytest.approx(10 * (1.5 + 0.5) + 1, abs=1)


def test_waiting_does_not_count_as_work_and_each_thread_has_its_own_calls() -> None:
    class Clock(threading.local):
        """A simulated clock for each thread."""

        now = 0.0

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    clock = Clock()
    pace = Pace(5.0, LATENCY, clock=lambda: clock.now, sleep=clock.sleep)
    seen = []

    def label() -> None:
        with pace.image() as calls:
            pace.wait()
            pace.answered(throttled=True)
            pace.wait()
            clock.sleep(0.03)
            pace.answered(throttled=False)
            clock.sleep(0.02)
        seen.append(calls)

    threads = [threading.Thread(target=label) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [calls.throttled for calls in seen] == [1, 1, 1]
    assert max(calls.waited for calls in seen) > 0.5
    assert [calls.worked for calls in seen] == pytest.approx([0.05] * 3)
    assert [calls.seconds for calls in seen] == pytest.approx([0.03] * 3)


def test_a_stopped_pace_ends_all_waits() -> None:
    pace = Pace(0.001, LATENCY)
    pace.wait()
    waiting = threading.Thread(target=pace.wait)
    waiting.start()
    pace.end()
    waiting.join(60)
    assert not waiting.is_alive()


@pytest.mark.parametrize("seconds_per_image", [0.2, 1.5, 3.0], ids=lambda seconds: f"{seconds:g} s an image")
def test_a_model_that_queues_calls_gets_no_more_than_it_can_answer_in_time(seconds_per_image: float) -> None:
    """The pace asks for 2.5 images a second, whatever the container can do. SageMaker ends a call after 60 s."""
    now, model, slowest, answered = [0.0], Queueing(seconds_per_image), 0.0, 0
    pace = Pace(2.5, 0.5, clock=lambda: now[0], sleep=lambda _: None)
    held: list[tuple[float, float]] = []  # for each image: when it will be answered, and since when it is held
    while now[0] < 600:
        while len(held) < min(32, pace.images_at_once()):
            held.append((model.ask(now[0]), now[0]))
        done, since = min(held)
        held.remove((done, since))
        now[0] = since
        with pace.image():
            pace._own.sent_at = since
            now[0] = done
            pace.answered(throttled=False)
        answered += 1
        slowest = max(slowest, done - since)
    assert slowest < 30
    assert answered > 0.95 * 600 / seconds_per_image
