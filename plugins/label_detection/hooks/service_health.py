"""What the calls of all threads show about a model's service: an outage, or a model that is not ready yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from label_detection.hooks.model import ModelState, Phase
from label_detection_core import aws_errors

#: Different requests that fail, with none answered in between: the service is down, and no image is to blame.
_DIFFERENT = 3
#: Seconds from the first of them for which calls wait for the service to come back, with the model on.
_OUTAGE_SECONDS = 30.0
#: Seconds for which a model that is RUNNING may say that it is not ready.
_LAG_SECONDS = 120.0
#: Between two looks at the model's state, for all threads together.
_LOOK_SECONDS = 5.0


class Outage:
    """Failures of a service (5xx, lost connections) since it last answered anything."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failing: set[int] = set()
        self._since = 0.0

    def goes_on(self, request: int) -> bool:
        """Note that a request has failed; whether to wait for the service to come back."""
        with self._lock:
            if not self._failing:
                self._since = self._clock()
            if len(self._failing) < _DIFFERENT:
                self._failing.add(request)
            return len(self._failing) >= _DIFFERENT and self._clock() - self._since < _OUTAGE_SECONDS

    def answered(self) -> None:
        """The service has answered a request."""
        with self._lock:
            self._failing.clear()


class Readiness:
    """Whether a model that says it is not ready will be. AWS: parts of a service may know its state later than others.

    :param describe: the model's state.
    """

    def __init__(self, describe: Callable[[], ModelState], clock: Callable[[], float] = time.monotonic) -> None:
        self._describe = describe
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None  # when it first said so, with nothing answered since
        self._looked_at: float | None = None
        self._is_on = True

    def may_come(self) -> bool:
        """Whether to ask the model again: it is on by its state, and has not said so for longer than it may."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since = now
            if now - self._since >= _LAG_SECONDS:
                return False
            if self._looked_at is not None and now - self._looked_at < _LOOK_SECONDS:
                return self._is_on
            self._looked_at = now  # the other threads do not look meanwhile
        self._is_on = self._look()
        return self._is_on

    def answered(self) -> None:
        """The model has answered, with labels or another error."""
        with self._lock:
            self._since = None

    def _look(self) -> bool:
        try:
            # STARTING: this answer, too, may come from a part of the service that lags behind.
            return self._describe().phase in {Phase.RUNNING, Phase.STARTING}
        except aws_errors.AWS_ERRORS as error:
            return aws_errors.is_transient(error)
        except LookupError:
            return False
