"""Describe lags: after a start or a stop, the service may return the old state of the model for some time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from label_detection.hooks.model import ModelState, Phase
from label_detection.waits import Waits

#: Phases that Describe may return right after a start request. OFF includes FAILED: the last start may have failed.
_BEFORE_A_START = frozenset({Phase.OFF, Phase.STOPPING})


def lags_until(asked_at: datetime, waits: Waits) -> datetime:
    """Until when Describe may return the state from before a request made at `asked_at`."""
    return asked_at + timedelta(seconds=waits.lag)


def may_be_from_before(state: ModelState, start_asked_at: datetime, waits: Waits) -> bool:
    """Whether a state may be older than the start request, so that the model may be starting.

    A state with leftovers of a failed start (`remains`) is never older: start_model removes leftovers before its
    request, and waits until they are gone.
    """
    lags = datetime.now(UTC) < lags_until(start_asked_at, waits)
    return lags and state.phase in _BEFORE_A_START and not state.remains


def look_until(
    describe: Callable[[], ModelState],
    settled: Callable[[ModelState], bool],
    until: datetime,
    waits: Waits,
) -> ModelState:
    """Call `describe` until `settled` accepts the state, or until the time `until`. Returns the last state."""
    while not settled(state := describe()) and datetime.now(UTC) < until:
        time.sleep(waits.look)
    return state
