"""The pace: the rate at which a consumer asks the model, and the number of images that it works on at the same time.

The capacity of a model is unknown: the rate per unit is a guess, other consumers ask the same model, and AWS may add
units. So the rate starts near the guess, grows while no request is throttled, and steps back when one is.

The growth is that of TCP CUBIC (RFC 9438), as in botocore's `adaptive` mode: the rate steps back to just below the rate
that was too high, stays near that for a while, then grows faster and faster. Only the scale differs. botocore's mode is
made for hundreds of calls per second. At five per second its steps are so large that one call in ten is throttled, and
it slows down only after the first throttled call.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: The relative growth of the rate per second before the first throttled call. After some seconds without one, the guess
#: was too low, and the rate grows faster and faster: it doubles in 22 s, and is five times as high in 34 s.
_GROWTH = 0.02
_PATIENT_SECONDS = 12.0
_FASTER = 0.002
_MOST_IMPATIENT_SECONDS = 60.0
#: At most this much of the time between two calls counts as growth time: a long wait shows less than a short one.
_LONGEST_STEP_SECONDS = 5.0
#: The lowest rate, in calls per second. A request is signed before it waits for its turn, and AWS accepts a signature
#: for five minutes.
_SLOWEST = 0.05
#: Shares of the rate that was throttled: where the rate continues after the step back, and where its growth is slowest.
_STEP_BACK = 0.9
_PLATEAU = 0.95
#: The least time and the least number of images from a step back to the middle of the plateau. Each cycle ends with a
#: throttled call, and at most one call in a hundred should be throttled.
_PLATEAU_SECONDS = 15.0
_PLATEAU_IMAGES = 60.0
#: A late caller may make up for this many seconds: the machine was busy, and the model has unused capacity.
_CATCH_UP_SECONDS = 0.25
#: Images are received this many seconds before their turn, so that the model never waits for one.
AHEAD_SECONDS = 0.5
#: An overloaded model may queue requests instead of throttling them, and then answers later and later. So a consumer
#: holds at most as many images as were answered in the last this many seconds. SageMaker's time-out is 60 seconds.
_LONGEST_ANSWER_SECONDS = 20.0
_MOST_ANSWERS = 1000  # more than the threads of any consumer
#: Before the first answers, the number of images is computed for at most this many seconds per image.
_FIRST_SECONDS_PER_IMAGE = 2.0
#: The weight of the newest image in the moving average of seconds per image.
_NEWEST = 0.1


@dataclass
class Calls:
    """The calls to the model for one image.

    :param seconds: the duration of the last answer.
    :param throttled: the number of throttled requests.
    :param waited: seconds of waiting for the request rate.
    :param worked: seconds of all other work on the image.
    """

    seconds: float | None = None
    throttled: int = 0
    waited: float = 0.0
    worked: float = 0.0


class Pace:
    """The pace of one consumer. Safe to use from several threads; each thread has its own image and calls.

    :param images_per_second: the first rate: this consumer's share of the expected rate of the model.
    :param seconds_per_image: the first guess of the work per image, without the wait for its turn; then it is measured.
    """

    def __init__(
        self,
        images_per_second: float,
        seconds_per_image: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._begun_at = images_per_second
        self._seconds_per_image = seconds_per_image
        self._clock = clock
        self._lock = threading.Lock()
        self._own = threading.local()
        self._ended = threading.Event()
        self._sleep = sleep or self._ended.wait
        self._too_much: float | None = None  # the rate that was throttled last
        self._answered_since = True
        self._stepped_back_at = -math.inf
        self._grown = 0.0  # seconds since the step back in which the rate, not the callers, was the limit
        self._next = self._asked_at = clock()
        self._answers: deque[float] = deque(maxlen=_MOST_ANSWERS)  # times of the last answers
        self._at_first = self._at_once(min(seconds_per_image, _FIRST_SECONDS_PER_IMAGE))

    @property
    def images_per_second(self) -> float:
        """The current rate."""
        return max(self._rate(), _SLOWEST)

    def _rate(self) -> float:
        if self._too_much is None:
            impatient = min(max(self._grown - _PATIENT_SECONDS, 0.0), _MOST_IMPATIENT_SECONDS)
            return self._begun_at * math.exp(_GROWTH * self._grown + _FASTER * impatient**2)
        plateau = self._too_much * _PLATEAU
        seconds = max(_PLATEAU_SECONDS, _PLATEAU_IMAGES / plateau)
        return plateau * (1 + (1 - _STEP_BACK / _PLATEAU) * (self._grown / seconds - 1) ** 3)

    def images_at_once(self) -> int:
        """Return how many images to hold so that one is always ready when its turn comes (Little's law)."""
        with self._lock:
            self._forget_answers()
            return min(self._at_once(self._seconds_per_image), max(self._at_first, len(self._answers)))

    def _at_once(self, seconds_per_image: float) -> int:
        return math.ceil(self.images_per_second * (seconds_per_image + AHEAD_SECONDS)) + 1

    def _forget_answers(self) -> None:
        while self._answers and self._answers[0] < self._clock() - _LONGEST_ANSWER_SECONDS:
            self._answers.popleft()

    def wait(self) -> None:
        """Wait for the next turn to ask the model."""
        with self._lock:
            now = self._clock()
            if self._next > now:
                self._grown += min(now - self._asked_at, _LONGEST_STEP_SECONDS)
            self._asked_at = now
            turn = max(self._next, now - _CATCH_UP_SECONDS)
            self._next = turn + 1 / self.images_per_second
        if turn > now:
            self._sleep(turn - now)
        calls = self._calls()
        self._own.sent_at = self._clock()
        calls.waited += self._own.sent_at - now

    def answered(self, *, throttled: bool) -> None:
        """Note an answer of the model to the calling thread.

        When several calls are throttled at the same time, the rate falls only once, and not again before a call
        succeeds. A model that throttles everything for a while, for example while it adds units, shows nothing about
        its rate.
        """
        calls = self._calls()
        if not throttled:
            calls.seconds = self._clock() - self._own.sent_at
            with self._lock:
                self._answered_since = True
                self._forget_answers()
                self._answers.append(self._clock())
            return
        calls.throttled += 1
        with self._lock:
            if self._answered_since and self._own.sent_at > self._stepped_back_at:
                self._answered_since = False
                # The first time, the rate is further above the capacity: it grew faster, and the model had saved a
                # burst.
                self._too_much = self.images_per_second * (_STEP_BACK if self._too_much is None else 1.0)
                self._stepped_back_at = self._clock()
                self._grown = 0.0

    @contextmanager
    def image(self) -> Iterator[Calls]:
        """Measure the work on one image in the calling thread. The calls are complete at the end of the block."""
        calls = self._own.calls = Calls()
        started = self._clock()
        yield calls
        calls.worked = self._clock() - started - calls.waited
        with self._lock:
            self._seconds_per_image += _NEWEST * (calls.worked - self._seconds_per_image)

    def pause(self, seconds: float) -> bool:
        """Wait before a call is repeated. Return False if the pace has ended; then do not repeat it."""
        if not self.ended:
            self._sleep(seconds)
        return not self.ended

    def end(self) -> None:
        """End all present and future waits."""
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended.is_set()

    def _calls(self) -> Calls:
        calls: Calls = getattr(self._own, "calls", None) or Calls()  # a call without an image is not counted
        return calls
