"""What a signal handler may use while the thread that it interrupts is using it too."""

from __future__ import annotations

import os
import select
import weakref
from contextlib import suppress


class SignalSafeEvent:
    """`threading.Event`, as far as it is used here, without the lock that a handler would wait for, for ever.

    A handler runs in the main thread, between any two steps of it, also while that thread is inside `wait` and holds
    the lock of a `threading.Event`. A pipe has none: there is something to read once it was set.
    """

    def __init__(self) -> None:
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._writes, False)
        weakref.finalize(self, _close, self._reads, self._writes)

    def set(self) -> None:
        """Let every `wait`, now and later, return at once."""
        with suppress(BlockingIOError):  # it was set so often that the pipe is full
            os.write(self._writes, b".")

    def is_set(self) -> bool:
        """Whether it was set."""
        return self.wait(0)

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until it is set; whether it is."""
        poll = select.poll()
        poll.register(self._reads, select.POLLIN)
        return bool(poll.poll(timeout * 1000))


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
