"""Detects, from the calls of all threads, an outage of a model's service, and a model that is not ready yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from label_detection.hooks.model import ModelState, Phase
from label_detection_core import aws_errors

#: Number of different requests that must fail, with no response in between, to count as an outage of the service.
_DIFFERENT = 3
#: Seconds after the first failure for which calls wait until the service is back. The model costs money meanwhile.
_OUTAGE_SECONDS = 30.0
#: Seconds for which a RUNNING model may answer that it is not ready.
_LAG_SECONDS = 120.0
#: Seconds between two Describe calls, for all threads together.
_LOOK_SECONDS = 5.0


class Outage:
    """Counts the failures of a service (5xx, lost connections) since its last response."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failing: set[int] = set()
        self._since = 0.0

    def goes_on(self, request: int) -> bool:
        """Record a failed request. Returns whether the caller should wait until the service is back.

        :param request: a checksum that tells different requests apart.
        """
        with self._lock:
            if not self._failing:
                self._since = self._clock()
            if len(self._failing) < _DIFFERENT:
                self._failing.add(request)
            return len(self._failing) >= _DIFFERENT and self._clock() - self._since < _OUTAGE_SECONDS

    def answered(self) -> None:
        """Record that the service has answered a request."""
        with self._lock:
            self._failing.clear()


class Readiness:
    """Decides whether a model that answers "not ready" will soon be ready.

    A part of AWS's service may learn the state of the model later than other parts.

    :param describe: returns the model's state.
    """

    def __init__(self, describe: Callable[[], ModelState], clock: Callable[[], float] = time.monotonic) -> None:
        self._describe = describe
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None  # time of the first such answer since the last other one
        self._looked_at: float | None = None
        self._is_on = True

    def may_come(self) -> bool:
        """Whether to send the request again: Describe shows the model as on, and the time limit has not passed."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since = now
            if now - self._since >= _LAG_SECONDS:
                return False
            if self._looked_at is not None and now - self._looked_at < _LOOK_SECONDS:
                return self._is_on
            self._looked_at = now  # so that the other threads do not call Describe as well
        self._is_on = self._look()
        return self._is_on

    def answered(self) -> None:
        """Record another answer of the model: labels, or another error."""
        with self._lock:
            self._since = None

    def _look(self) -> bool:
        try:
            # STARTING counts as well: Describe may return an old state.
            return self._describe().phase in {Phase.RUNNING, Phase.STARTING}
        except aws_errors.AWS_ERRORS as error:
            return aws_errors.is_transient(error)
        except LookupError:
            return False
