"""Behaviour that AWS documents and most emulators lack: an option for each oddity, and one seed for random choices.

``/_local/oddities`` and the command line have the same options. ``Oddities()`` turns all of them off.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from enum import StrEnum
from random import Random
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

#: Seconds for which a queue remembers its counts.
MAX_COUNT_AGE = 300.0


class InvalidOddityError(ValueError):
    """An invalid value; the message names the option and the error."""


class Conditions(StrEnum):
    """How this S3 treats conditional writes, copies and deletes; not all S3-compatible stores obey them."""

    OBEYED = "obeyed"
    REFUSED = "refused"
    IGNORED = "ignored"


def _ages(value: Any) -> Any:
    """Least and most, from a pair, a number, or a text such as ``1-5``."""
    parts = value.split("-") if isinstance(value, str) else value
    if isinstance(parts, int | float):
        parts = [parts]
    return [*parts, *parts] if isinstance(parts, list) and len(parts) == 1 else parts


def _names(value: Any) -> Any:
    return [name for name in value.split(",") if name] if isinstance(value, str) else value


_Age = Annotated[float, Field(ge=0, le=MAX_COUNT_AGE)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Seconds = Annotated[float, Field(ge=0, le=3600)]


class Oddities(BaseModel, frozen=True, extra="forbid"):
    """The oddities that are on, with their strength; the descriptions are the help of the command-line options."""

    seed: int = Field(default=0, ge=0, description="seed of all random choices; default: random, printed in the log")
    count_age: Annotated[tuple[_Age, _Age], BeforeValidator(_ages)] = Field(
        default=(0.0, 0.0),
        description="age of the counts that GetQueueAttributes returns, in seconds: LEAST-MOST, or one number",
    )
    short_poll_share: _Share = Field(
        default=1.0, description="share of the messages that a short poll (without a wait time) finds, 0-1"
    )
    duplicate_share: _Share = Field(default=0.0, description="share of the messages that are delivered twice, 0-1")
    conditions: Conditions = Field(
        default=Conditions.OBEYED,
        description="conditional puts, copies and deletes in S3 are: obeyed, as in AWS; refused with 501; or ignored",
    )
    ready_lag: _Seconds = Field(
        default=0.0,
        description="seconds for which a model that has just become RUNNING still answers ResourceNotReadyException",
    )
    describe_lag: _Seconds = Field(
        default=0.0, description="seconds for which DescribeProjectVersions shows the old state after a start or a stop"
    )
    unreadable_buckets: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        default=(), description="buckets that Rekognition may not read, though its caller may; separated by commas"
    )

    def words(self) -> list[str]:
        """A short text for each oddity that is on."""
        least, most = self.count_age
        on = {
            f"queue counts are {least:g} to {most:g} s old": most > 0,
            f"a short poll sees {self.short_poll_share:.0%} of the messages": self.short_poll_share < 1,
            f"{self.duplicate_share:.0%} of the messages are delivered twice": self.duplicate_share > 0,
            f"conditional requests to S3 are {self.conditions}": self.conditions is not Conditions.OBEYED,
            f"a model that has become RUNNING is not ready for {self.ready_lag:g} s": self.ready_lag > 0,
            f"DescribeProjectVersions lags {self.describe_lag:g} s behind starts and stops": self.describe_lag > 0,
            f"Rekognition may not read {', '.join(self.unreadable_buckets)}": bool(self.unreadable_buckets),
        }
        return [words for words, is_on in on.items() if is_on]


#: ``all`` (the default): what a test can notice; ``quick``: only what adds no delay; ``none``: nothing.
PRESETS: Mapping[str, Oddities] = {
    "all": Oddities(count_age=(1, 5), short_poll_share=0.5, duplicate_share=0.01, ready_lag=1, describe_lag=1),
    "quick": Oddities(short_poll_share=0.5, duplicate_share=0.01),
    "none": Oddities(),
}


def changed(oddities: Oddities, changes: Any) -> Oddities:
    """The oddities with the changes of the decoded JSON. Raises InvalidOddityError."""
    if not isinstance(changes, dict):
        raise InvalidOddityError("the oddities must be a JSON object")
    try:
        return Oddities.model_validate(oddities.model_dump() | changes)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            names = ", ".join(Oddities.model_fields)
            raise InvalidOddityError(f"there is no oddity {first['loc'][0]!r}: there are {names}") from error
        raise InvalidOddityError(f"{first['loc'][0]}: {first['msg']}, not {first['input']!r}") from error


class OdditiesInForce:
    """The oddities that are on now, and their random generators; thread-safe."""

    def __init__(self, at_start: Oddities | None = None) -> None:
        self._at_start = at_start or Oddities()
        self._lock = threading.Lock()
        self._dice: dict[str, Random] = {}
        self.now = self._at_start

    def change(self, changes: Any) -> None:
        """Apply the changes of the decoded JSON; a seed restarts all random generators.

        Raises InvalidOddityError and then changes nothing.
        """
        oddities = changed(self.now, changes)
        with self._lock:
            self.now = oddities
            if "seed" in changes:
                self._dice.clear()

    def reset(self) -> None:
        """Restore the oddities of the start; the random generators continue."""
        self.now = self._at_start

    def describe(self) -> dict[str, Any]:
        """The oddities as JSON; ``on``: a short text for each oddity that is on."""
        return {**self.now.model_dump(mode="json"), "on": self.now.words()}

    def draw(self, what: str) -> float:
        """A random number, at least 0 and below 1, from the random generator of ``what``."""
        with self._lock:
            if what not in self._dice:
                self._dice[what] = Random(f"{self.now.seed} {what}")  # noqa: S311
            return self._dice[what].random()

    def count_age(self) -> float:
        """The age of a count, in seconds: a random value between the least and the most."""
        least, most = self.now.count_age
        return least + (most - least) * self.draw("count_age") if most > 0 else 0.0
