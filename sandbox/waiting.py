"""Wait for a condition, with a timeout and a check that can end the wait."""

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
    """Call `condition` every `every` seconds until it returns a true value, and return that value.

    `check` is called before each call of `condition`; it raises an error if waiting is useless.

    :raises TimeoutError: after `timeout` seconds; the message names `what`.
    """
    deadline = time.monotonic() + timeout
    while True:
        check()
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {timeout:.0f} seconds: {what}")
        time.sleep(every)
