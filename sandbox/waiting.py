"""Waiting for something to become true, with an end and a look at what could make it impossible."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    timeout: float,
    what: str,
    check: Callable[[], None] = lambda: None,
    every: float = 0.2,
) -> T:
    """Call `condition` every so many seconds until it returns something true, and return that.

    `check` is called before each look and raises when waiting is of no use. Raises TimeoutError naming `what` after
    `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        check()
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:.0f} seconds")
        time.sleep(every)
