"""The messages that a consumer returned to the queue, and whether the model may run until they become visible."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from label_detection_core.queue.messages import Message

#: A message that returned too late is made invisible for this long, so that it does not return during the last polls.
HIDDEN_SECONDS = 30.0
#: If a message was visible for this long and this consumer did not receive it, another consumer has it.
_TAKEN_SECONDS = 3.0


@dataclass(frozen=True)
class _Return:
    """`back_at`: when the message becomes visible, by the clock; infinite while this consumer works on it."""

    back_at: float
    took: float  # seconds of work in this delivery; the next one is expected to take as long


class Returned:
    """The messages that a consumer returned to the queue. Safe to use from several threads.

    All of them share one time budget. So images that fail at every delivery keep the model on for at most a minute.
    """

    def __init__(self, budget: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget  # seconds
        self._clock = clock
        self._returns: dict[str, _Return] = {}  # by message id
        self._others: set[str] = set()  # receipt handles of messages in work that were never returned
        self._others_at = clock()  # when the last of these got its outcome
        self._lock = threading.Lock()

    def is_in_time(self, message: Message) -> bool:
        """Whether to work on a received message. If not, the caller must return it with `HIDDEN_SECONDS`."""
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
        """Note a message that was worked on.

        :param took: seconds of work.
        :param hidden: seconds until the returned message becomes visible; None: the message is finished.
        """
        with self._lock:
            now = self._clock()
            known = self._returns.pop(message.id, None)
            self._others.discard(message.receipt_handle)
            if hidden is not None:
                self._returns = self._out(now)  # forget old ones, or the dict grows with the backlog
                self._returns[message.id] = _Return(now + hidden, took)
            elif known is None:
                self._others_at = now

    def is_one_awaited(self) -> bool:
        """Whether a returned message becomes visible, and can be worked on again, within the budget."""
        with self._lock:
            out = self._out(self._clock()).values()
            return any(self._is_in_budget(one.back_at, one) for one in out)

    def left(self) -> int:
        """Return the number of returned messages that no consumer has received again yet."""
        with self._lock:
            return len(self._out(self._clock()))

    def _is_in_budget(self, begin: float, one: _Return) -> bool:
        return begin + one.took <= self._others_at + self._budget

    def _out(self, now: float) -> dict[str, _Return]:
        """Return the messages that no other consumer has taken."""
        return {id_: one for id_, one in self._returns.items() if one.back_at + _TAKEN_SECONDS > now}
