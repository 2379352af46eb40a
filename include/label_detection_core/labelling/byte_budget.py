"""A limit on the bytes that all threads together hold in memory. Threads get their turn in order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: A waiting thread checks at this interval, in seconds, whether it must give up.
_LOOK_SECONDS = 0.5


class NoRoomError(Exception):
    """The thread gave up waiting."""


class Room:
    """The bytes of the budget that one thread holds. `resize` may wait."""

    def __init__(self, budget: ByteBudget, gives_up: Callable[[], bool]) -> None:
        self._budget = budget
        self._gives_up = gives_up
        self.held = 0

    def resize(self, size: int) -> None:
        """Hold `size` bytes. To get more, it first frees all that it holds, so that no two threads wait for each other.

        :raises NoRoomError: when the thread gives up.
        """
        wanted = min(size, self._budget.most)
        if wanted <= self.held:
            self._budget.give_back(self.held - wanted)
            self.held = wanted
            return
        held, self.held = self.held, 0
        self._budget.give_back(held)
        self._budget.take(wanted, self._gives_up)
        self.held = wanted


class ByteBudget:
    """A budget of `most` bytes for all threads. A larger request gets the whole budget."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def room(self, size: int, gives_up: Callable[[], bool] = lambda: False) -> Iterator[Room]:
        """Wait for `size` bytes, and hold them until the end of the block.

        :param gives_up: called repeatedly while the thread waits; True ends the wait.
        :raises NoRoomError: when it gave up.
        """
        room = Room(self, gives_up)
        room.resize(size)
        try:
            yield room
        finally:
            room.resize(0)

    def take(self, size: int, gives_up: Callable[[], bool]) -> None:
        """Wait until all earlier threads have their bytes and `size` bytes are free; then take them."""
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                while self._waiting[0] is not turn or self._free < size:
                    if gives_up():
                        raise NoRoomError
                    self._changed.wait(_LOOK_SECONDS)
                self._free -= size
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()

    def give_back(self, size: int) -> None:
        """Free `size` bytes."""
        with self._changed:
            self._free += size
            self._changed.notify_all()
