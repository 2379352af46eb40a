"""An event that is safe in a signal handler, even if the interrupted thread is using the event."""

from __future__ import annotations

import os
import select
import weakref
from contextlib import suppress


class SignalSafeEvent:
    """A `threading.Event` without `clear`, made with a pipe instead of a lock.

    A signal handler interrupts the main thread at any point, even inside `wait`, where the thread holds the lock of a
    `threading.Event`. Then the handler would wait for this lock forever. A pipe has no lock: once the event is set, the
    pipe has a byte to read.
    """

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._writes, False)
        weakref.finalize(self, _close, self._reads, self._writes)

    def set(self) -> None:
        """Set the event. Every present and future `wait` returns immediately."""
        with suppress(BlockingIOError):  # the pipe is full after very many calls
            os.write(self._writes, b".")

    def is_set(self) -> bool:
        """Whether the event is set."""
        return self.wait(0)

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the event. Return whether it is set."""
        poll = select.poll()
        poll.register(self._reads, select.POLLIN)
        return bool(poll.poll(timeout * 1000))


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
