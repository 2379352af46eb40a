"""What earlier runs have seen of a model: how long it starts, and how long an image takes."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

#: What the names of all histories begin with.
HISTORY_PREFIX = "label_detection_experience."
_STARTS = 10
#: Seconds between two looks at a model that starts. AWS's own waiter looks every 30.
_SHORTEST, _LONGEST = 1.0, 10.0
#: Without a history: between two looks, this share of the time that has passed.
_SHARE = 0.05
#: Around the starts that were seen: from so much before the quickest to so much after the slowest.
_EARLY, _LATE = 0.9, 1.2


#: Seconds. AWS lets nothing run for longer; an image that takes longer than that says nothing about the next.
_Start = Annotated[float, Field(ge=0, le=86_400)]
_MOST_SECONDS_PER_IMAGE = 60.0


class History(BaseModel):
    """One model's. `start_seconds`: the last starts, from the request until it was running, the newest last."""

    model_config = ConfigDict(frozen=True)

    start_seconds: tuple[_Start, ...] = ()
    seconds_per_image: float | None = Field(default=None, gt=0, le=_MOST_SECONDS_PER_IMAGE)

    @property
    def start_range(self) -> tuple[float, float] | None:
        """The quickest and the slowest of the last starts."""
        return (min(self.start_seconds), max(self.start_seconds)) if self.start_seconds else None

    def learn(self, start_seconds: float | None, seconds_per_image: float | None) -> Self:
        """With what one more run has seen; None: it has not."""
        starts = (*self.start_seconds, start_seconds) if start_seconds is not None else self.start_seconds
        return self.model_copy(
            update={
                "start_seconds": starts[-_STARTS:],
                "seconds_per_image": (
                    min(seconds_per_image, _MOST_SECONDS_PER_IMAGE) if seconds_per_image else self.seconds_per_image
                ),
            }
        )


def seconds_to_next_look(elapsed: float, usual: tuple[float, float] | None) -> float:
    """How long to wait before looking again at a model that has been starting for `elapsed` seconds.

    Every second around the time that it `usual`ly takes: at five units each second is half a cent. Rarely before, and
    after it less and less often. A model that fails to start is so noticed within ten seconds.
    """
    if usual is None:
        return min(max(elapsed * _SHARE, _SHORTEST), _LONGEST / 2)
    begin, end = usual[0] * _EARLY, usual[1] * _LATE + _SHORTEST
    if elapsed < begin:
        return min(max(begin - elapsed, _SHORTEST), _LONGEST)
    return min(max((elapsed - end) / 10, _SHORTEST), _LONGEST / 2)
