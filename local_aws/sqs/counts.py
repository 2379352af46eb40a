"""The numbers of messages in a queue, now and in the last minutes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from local_aws.oddities import MAX_COUNT_AGE

#: Seconds; changes within this time are recorded as one.
_GRAIN = 0.01
_TIDY = 10_000


@dataclass(frozen=True)
class Counts:
    """The number of messages in each state."""

    visible: int = 0
    in_flight: int = 0
    delayed: int = 0


class CountHistory:
    """The counts of the last minutes. Not thread-safe: callers must hold the queue's lock."""

    def __init__(self) -> None:
        self._times = [0.0]
        self._counts = [Counts()]

    def note(self, at: float, counts: Counts) -> None:
        """Record the counts from ``at`` on, in seconds since 1970; ``at`` must not precede the last record."""
        if at - self._times[-1] < _GRAIN:
            self._counts[-1] = counts
            return
        self._times.append(at)
        self._counts.append(counts)
        if len(self._times) > _TIDY:
            gone = bisect_right(self._times, at - MAX_COUNT_AGE) - 1
            del self._times[: max(0, gone)], self._counts[: max(0, gone)]

    def at(self, moment: float) -> Counts:
        """The counts at a moment, in seconds since 1970; before the first record, the counts of that record."""
        return self._counts[max(0, bisect_right(self._times, moment) - 1)]

    def forget(self) -> None:
        """Forget earlier counts: ``at`` then returns the present counts for every moment."""
        self._times, self._counts = [0.0], [self._counts[-1]]
