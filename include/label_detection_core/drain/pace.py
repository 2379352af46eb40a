"""The pace: how often a consumer asks the model, and how many images it works on at once.

Nobody says what a model can do: units and latency are a guess, other consumers ask the same model, and AWS may add
units. So the rate starts near the guess, grows while nothing is throttled, and steps back when something is. The growth
is TCP CUBIC's (RFC 9438), as in botocore's `adaptive` mode: back to just below the rate that was too high, a while
there, then ever faster beyond it. What differs is the scale. botocore's is made for hundreds of calls a second: at five
a second its steps are so large that one call in ten is throttled, and it first slows down when it is.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: Growth of the rate while nothing was throttled yet, a second; after some seconds without, the guess was too low, and
#: it grows faster and faster: twice as much in 22 s, five times in 34.
_GROWTH = 0.02
_PATIENT_SECONDS = 12.0
_FASTER = 0.002
_MOST_IMPATIENT_SECONDS = 60.0
#: A long wait for a turn says less than a short one of how well it goes.
_LONGEST_STEP_SECONDS = 5.0
#: The lowest rate, a second: a send is signed before it waits for its turn, and AWS takes a signature for five minutes.
_SLOWEST = 0.05
#: What is left of the rate after a throttled call, and where the growth is slowest: just below what was too much.
_STEP_BACK = 0.9
_PLATEAU = 0.95
#: From a step back to the middle of the plateau: so many seconds, and so many images. Each way there and beyond ends
#: with a throttled call, which is to be one in a hundred at most.
_PLATEAU_SECONDS = 15.0
_PLATEAU_IMAGES = 60.0
#: A caller that comes late may catch up on so much: the machine was busy, and the model has saved that up.
_CATCH_UP_SECONDS = 0.25
#: Images are taken from the queue so long before their turn, so that the model waits for none of them.
AHEAD_SECONDS = 0.5
#: A model that queues what it cannot do at once answers later and later, and throttles nothing. So no more images are
#: held than were answered in so many seconds: then none waits much longer. SageMaker gives up after 60.
_LONGEST_ANSWER_SECONDS = 20.0
_MOST_ANSWERS = 1000  # more are more than any consumer has threads
#: Before that is known: as many as would do, were an image to take at most so long.
_FIRST_SECONDS_PER_IMAGE = 2.0
#: How much the newest image counts in the mean of how long one takes.
_NEWEST = 0.1


@dataclass
class Calls:
    """What the model was asked for one image.

    `throttled`: sends; in seconds: what the last answer took, the wait for its turn, and all the rest of its way.
    """

    seconds: float | None = None
    throttled: int = 0
    waited: float = 0.0
    worked: float = 0.0


class Pace:
    """One consumer's pace. Safe to use from several threads, of which each has its own images and calls.

    :param images_per_second: where to begin: this consumer's share of what the model is expected to do.
    :param seconds_per_image: how long an image is worked on, but for waiting for its turn; measured from then on.
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
        self._too_much: float | None = None  # the rate at the last step back
        self._answered_since = True
        self._stepped_back_at = -math.inf
        self._grown = 0.0  # seconds since then in which the rate, not the callers, was the limit
        self._next = self._asked_at = clock()
        self._answers: deque[float] = deque(maxlen=_MOST_ANSWERS)  # when the last ones came
        self._at_first = self._at_once(min(seconds_per_image, _FIRST_SECONDS_PER_IMAGE))

    @property
    def images_per_second(self) -> float:
        """The rate now."""
        return max(self._rate(), _SLOWEST)

    def _rate(self) -> float:
        if self._too_much is None:
            impatient = min(max(self._grown - _PATIENT_SECONDS, 0.0), _MOST_IMPATIENT_SECONDS)
            return self._begun_at * math.exp(_GROWTH * self._grown + _FASTER * impatient**2)
        plateau = self._too_much * _PLATEAU
        seconds = max(_PLATEAU_SECONDS, _PLATEAU_IMAGES / plateau)
        return plateau * (1 + (1 - _STEP_BACK / _PLATEAU) * (self._grown / seconds - 1) ** 3)

    def images_at_once(self) -> int:
        """How many images to hold, so that there is always one whose turn it is (Little's law)."""
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
        """The model has answered the calling thread.

        Of several calls that are throttled at once the rate falls only once, and not again before one was answered: a
        model that throttles everything for a while, as one that is adding units, says nothing about its rate.
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
                # The first time it has passed what the model does by more: it grew faster, and a burst was saved up.
                self._too_much = self.images_per_second * (_STEP_BACK if self._too_much is None else 1.0)
                self._stepped_back_at = self._clock()
                self._grown = 0.0

    @contextmanager
    def image(self) -> Iterator[Calls]:
        """One image on its way, in the calling thread; the calls are complete when it has ended."""
        calls = self._own.calls = Calls()
        started = self._clock()
        yield calls
        calls.worked = self._clock() - started - calls.waited
        with self._lock:
            self._seconds_per_image += _NEWEST * (calls.worked - self._seconds_per_image)

    def pause(self, seconds: float) -> bool:
        """Wait in the calling thread before a call is sent again. False, at once: the pace has ended."""
        if not self.ended:
            self._sleep(seconds)
        return not self.ended

    def end(self) -> None:
        """Nobody waits any longer."""
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether the consumer was asked to stop."""
        return self._ended.is_set()

    def _calls(self) -> Calls:
        calls: Calls = getattr(self._own, "calls", None) or Calls()  # a call that is made for no image counts nowhere
        return calls
