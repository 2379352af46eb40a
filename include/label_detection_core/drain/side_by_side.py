"""Runs the parts of one worker's job in parallel, with a limited number of threads that all workers share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class SideBySide:
    """A pool of at most `helpers` threads, which help the callers of `each`. Safe to use from several threads."""

    def __init__(self, helpers: int) -> None:
        self._helpers = helpers
        self._pool = ThreadPoolExecutor(helpers, thread_name_prefix="helper")

    def each(self, work: Callable[[T], None], things: Iterable[T]) -> None:
        """Call `work` for each thing. The calling thread works too, so it never waits for busy helpers.

        :raises BaseException: the first exception of `work`. Things that were not started by then are skipped.
        """
        todo = deque(things)

        def take() -> None:
            while True:
                try:
                    thing = todo.popleft()
                except IndexError:
                    return
                try:
                    work(thing)
                except BaseException:
                    todo.clear()
                    raise

        helping: list[Future[None]] = [self._pool.submit(take) for _ in range(min(len(todo) - 1, self._helpers))]
        try:
            take()
        finally:
            errors = [helper.exception() for helper in helping if not helper.cancel()]
        for error in errors:
            if error:
                raise error
