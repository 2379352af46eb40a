"""Room in memory, counted in bytes, that threads share: first come, first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Between two looks whether a thread that waits should give up.
_LOOK_SECONDS = 0.5


class NoRoomError(Exception):
    """The thread gave up waiting."""


class Room:
    """What one thread holds of a budget, in bytes; `resize` may wait."""

    def __init__(self, budget: ByteBudget, gives_up: Callable[[], bool]) -> None:
        self._budget = budget
        self._gives_up = gives_up
        self.held = 0

    def resize(self, size: int) -> None:
        """Hold `size` bytes. More than now: all is returned first, so that no two threads wait for each other.

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
    """`most` bytes for all threads. One that wants more than all of it gets all of it, alone."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = most
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def room(self, size: int, gives_up: Callable[[], bool] = lambda: False) -> Iterator[Room]:
        """Hold `size` bytes, once there is room, until the end of the block.

        :param gives_up: asked while the thread waits.
        :raises NoRoomError: when it gave up.
        """
        room = Room(self, gives_up)
        room.resize(size)
        try:
            yield room
        finally:
            room.resize(0)

    def take(self, size: int, gives_up: Callable[[], bool]) -> None:
        """Wait until `size` bytes are free and all threads that came before have theirs."""
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
