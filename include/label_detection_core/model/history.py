"""Measurements of earlier runs with a model: the duration of its starts and stops, and the seconds per image."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

#: The prefix of the Airflow Variables that keep histories.
HISTORY_PREFIX = "label_detection_experience."
#: The number of starts and of stops that are remembered.
_LAST = 10
#: Limits, in seconds, of the interval between two polls of a starting model. The AWS waiter polls every 30 seconds.
_SHORTEST, _LONGEST = 1.0, 10.0
#: Without a history, the interval is this share of the time since the start request.
_SHARE = 0.05
#: The model is polled often from this share of the shortest known start to this multiple of the longest.
_EARLY, _LATE = 0.9, 1.2


#: Seconds, at most a day.
_Seconds = Annotated[float, Field(ge=0, le=86_400)]
#: A longer time is stored as this: it says nothing about the next image.
_MOST_SECONDS_PER_IMAGE = 60.0


class History(BaseModel):
    """The history of one model.

    `start_seconds`: from the request until it ran, for the last starts, newest last. `stop_seconds`: from the accepted
    stop request until it was off, for the last stops.
    """

    model_config = ConfigDict(frozen=True)

    start_seconds: tuple[_Seconds, ...] = ()
    stop_seconds: tuple[_Seconds, ...] = ()
    seconds_per_image: float | None = Field(default=None, gt=0, le=_MOST_SECONDS_PER_IMAGE)

    @property
    def start_range(self) -> tuple[float, float] | None:
        """The shortest and the longest of the last starts, in seconds; None without a known start."""
        return (min(self.start_seconds), max(self.start_seconds)) if self.start_seconds else None

    def learn(
        self, start_seconds: float | None, seconds_per_image: float | None, stop_seconds: float | None = None
    ) -> Self:
        """Return the history with the values of one more run. A value is None if the run did not measure it."""
        starts = (*self.start_seconds, start_seconds) if start_seconds is not None else self.start_seconds
        stops = (*self.stop_seconds, stop_seconds) if stop_seconds is not None else self.stop_seconds
        return self.model_copy(
            update={
                "start_seconds": starts[-_LAST:],
                "stop_seconds": stops[-_LAST:],
                "seconds_per_image": (
                    min(seconds_per_image, _MOST_SECONDS_PER_IMAGE) if seconds_per_image else self.seconds_per_image
                ),
            }
        )


def seconds_to_next_look(elapsed: float, usual: tuple[float, float] | None) -> float:
    """Return the seconds to wait before the next poll of a starting model.

    The model is polled every second around the time at which it usually becomes ready: with five units, each second
    costs half a cent. Before that time it is polled rarely, and after it less and less often. A failed start is noticed
    within ten seconds.

    :param elapsed: seconds since the start request.
    :param usual: the shortest and the longest known start, in seconds; None if none is known.
    """
    if usual is None:
        return min(max(elapsed * _SHARE, _SHORTEST), _LONGEST / 2)
    begin, end = usual[0] * _EARLY, usual[1] * _LATE + _SHORTEST
    if elapsed < begin:
        return min(max(begin - elapsed, _SHORTEST), _LONGEST)
    return min(max((elapsed - end) / 10, _SHORTEST), _LONGEST / 2)
