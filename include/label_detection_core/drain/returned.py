"""The messages that one consumer returned to the queue, and whether the model may stay on until they come back."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from label_detection_core.queue.messages import Message

#: The model stays on for returned messages alone until this long after the last outcome of any other message. With the
#: last polls and the stop request that is about a minute.
BUDGET_SECONDS = 55.0
#: A message that came back too late is hidden for this long, so that it does not come back during the last polls.
HIDDEN_SECONDS = 30.0
#: A message that could be received for this long, and was not, is with another consumer.
_TAKEN_SECONDS = 3.0


@dataclass(frozen=True)
class _Return:
    """`back_at`: when the message can be received again, on the clock; infinite while this consumer works on it."""

    back_at: float
    took: float  # seconds of work before it was returned; the next delivery is expected to take as long


class Returned:
    """What a consumer knows of the messages that it returned. Safe to use from several threads.

    All of them together share one budget: an image that fails every time, or several, keep the model on for a minute
    at most.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._returns: dict[str, _Return] = {}  # by message id
        self._others: set[str] = set()  # receipt handles: in work, and not returned before
        self._others_at = clock()  # when the last of them came to its outcome
        self._lock = threading.Lock()

    def is_in_time(self, message: Message) -> bool:
        """Whether to work on a message that was received now; if not, hide it for `HIDDEN_SECONDS`."""
        with self._lock:
            known = self._returns.get(message.id)
            if known is None:
                self._others.add(message.receipt_handle)
                return True
            in_time = bool(self._others) or self._is_in_budget(self._clock(), known)
            back_at = math.inf if in_time else self._clock() + HIDDEN_SECONDS
            self._returns[message.id] = replace(known, back_at=back_at)
            return in_time

    def worked(self, message: Message, took: float, hidden: float | None) -> None:
        """Note a message that was worked on for `took` seconds.

        :param hidden: seconds for which it was returned to the queue; None: it has its outcome.
        """
        with self._lock:
            now = self._clock()
            known = self._returns.pop(message.id, None)
            self._others.discard(message.receipt_handle)
            if hidden is not None:
                self._returns = self._out(now)  # else it would grow with the backlog
                self._returns[message.id] = _Return(now + hidden, took)
            elif known is None:
                self._others_at = now

    def is_one_awaited(self) -> bool:
        """Whether one comes back, and can be worked on again, within the budget."""
        with self._lock:
            out = self._out(self._clock()).values()
            return any(self._is_in_budget(one.back_at, one) for one in out)

    def left(self) -> int:
        """How many are still to come back."""
        with self._lock:
            return len(self._out(self._clock()))

    def _is_in_budget(self, begin: float, one: _Return) -> bool:
        return begin + one.took <= self._others_at + BUDGET_SECONDS

    def _out(self, now: float) -> dict[str, _Return]:
        """Those that no other consumer has taken."""
        return {id_: one for id_, one in self._returns.items() if one.back_at + _TAKEN_SECONDS > now}
