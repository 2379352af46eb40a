"""A service's Describe lags: for a while it may answer with the state from before a start or a stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from label_detection.hooks.model import ModelState, Phase

#: Seconds after a request during which Describe may still answer with the state from before it. No page of AWS names a
#: limit; a start takes minutes, so this delays nothing that is paid for.
LAG_SECONDS = 60.0
#: Seconds between two looks at a state that may be old.
LOOK_SECONDS = 1.0
#: What a model that was asked to start may seem to be. FAILED is one of them: it may be how the last start ended.
_BEFORE_A_START = frozenset({Phase.OFF, Phase.STOPPING})


def lags_until(asked_at: datetime) -> datetime:
    """Until when Describe may answer with the state from before a request that was made at `asked_at`."""
    return asked_at + timedelta(seconds=LAG_SECONDS)


def may_be_from_before(state: ModelState, start_asked_at: datetime) -> bool:
    """Whether a state may be older than a start request, and the model is starting.

    What remains of a failed start is not older: start_model takes that away, and waits until it is gone.
    """
    return state.phase in _BEFORE_A_START and not state.remains and datetime.now(UTC) < lags_until(start_asked_at)


def look_until(
    describe: Callable[[], ModelState],
    settled: Callable[[ModelState], bool],
    until: datetime,
) -> ModelState:
    """Look at a model repeatedly, until `settled` accepts its state as final or the time is up; the last state."""
    while not settled(state := describe()) and datetime.now(UTC) < until:
        time.sleep(LOOK_SECONDS)
    return state
