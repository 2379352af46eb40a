"""How many messages a queue has, and had a while ago."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from local_aws.oddities import MAX_COUNT_AGE

#: Seconds: changes that follow each other more closely are one.
_GRAIN = 0.01
_TIDY = 10_000


@dataclass(frozen=True)
class Counts:
    """How many messages there are of each kind."""

    visible: int = 0
    in_flight: int = 0
    delayed: int = 0


class CountHistory:
    """The counts of the last minutes. Not safe under threads: the queue's lock is held."""

    def __init__(self) -> None:
        self._times = [0.0]
        self._counts = [Counts()]

    def note(self, at: float, counts: Counts) -> None:
        """These are the counts from ``at`` on, in seconds since 1970; not before what was noted last."""
        if at - self._times[-1] < _GRAIN:
            self._counts[-1] = counts
            return
        self._times.append(at)
        self._counts.append(counts)
        if len(self._times) > _TIDY:
            gone = bisect_right(self._times, at - MAX_COUNT_AGE) - 1
            del self._times[: max(0, gone)], self._counts[: max(0, gone)]

    def at(self, moment: float) -> Counts:
        """The counts at a moment, in seconds since 1970; of the first ones that are known before that."""
        return self._counts[max(0, bisect_right(self._times, moment) - 1)]

    def forget(self) -> None:
        """Forget earlier counts: the present ones hold for every moment."""
        self._times, self._counts = [0.0], [self._counts[-1]]
