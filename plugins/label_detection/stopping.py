"""Getting a model off, through whatever its service answers: for the teardown and for the watchdog."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from label_detection import lag
from label_detection.hooks.clients import brief_config
from label_detection.hooks.model import ModelHook, ModelInUseError, ModelState, Phase, hook_for
from label_detection_core import aws_errors
from label_detection_core.config.model_types import Model

log = logging.getLogger(__name__)

#: Seconds between two looks at a model that is on, and at one that is off.
ON_SECONDS = 3.0
_OFF_SECONDS = 1.0
#: Seconds of nothing but throttling, 5xx and lost connections before a stop is failed. Six tries of the teardown make
#: some twelve minutes of that, then the watchdog goes on.
_PATIENCE_SECONDS = 120.0


class Stopping:
    """A model on its way off.

    The service's trouble that passes is waited out here, not in the client: a client would back off for longer and
    longer, and the model is on meanwhile.

    :param before_stop: called right before each request to stop; what it raises comes through.
    """

    def __init__(self, model: Model, aws_conn_id: str, before_stop: Callable[[], None] = lambda: None) -> None:
        self.hook: ModelHook = hook_for(model, aws_conn_id, brief_config())
        self.asked_at: datetime | None = None  # when a request to stop was accepted
        self.was_on = False
        self._before_stop = before_stop
        self._accepted: float | None = None  # time.monotonic() of the last request to stop that was accepted
        self._trouble_since: float | None = None
        self._seen = ""

    def step(self) -> ModelState | None:
        """Look at the model, and ask for its end if it is on. None: the service gives no answer now.

        A model that is starting refuses to be stopped: asked again at the next step. One that still says RUNNING after
        a request that was accepted is not asked again at once: Describe lags.
        """
        try:
            state = self._look()
            stoppable = state.phase is Phase.STARTING or state.remains
            if stoppable or (state.phase is Phase.RUNNING and not self._was_just_accepted()):
                self._before_stop()
                self._stop()
        except aws_errors.AWS_ERRORS as error:
            self._bear(error)
            return None
        self._trouble_since = None
        return state

    def until_off(self, linger_seconds: float, start_asked_at: datetime | None = None) -> ModelState:
        """Stop the model, and return once it is off.

        A model that is off although no request of ours has stopped it must stay off for `linger_seconds`, and for as
        long as Describe may lag behind a start request that was made at `start_asked_at`.
        """
        off_since: float | None = None
        believed_at = lag.lags_until(start_asked_at) if start_asked_at else datetime.now(UTC)
        while True:
            state = self.step()
            if state and not state.is_gone:
                off_since = None
            elif state:
                off_since = off_since or time.monotonic()
                stayed_off = time.monotonic() - off_since >= linger_seconds and datetime.now(UTC) >= believed_at
                if self.asked_at or stayed_off:
                    return state
            time.sleep(_OFF_SECONDS if off_since else ON_SECONDS)

    def _was_just_accepted(self) -> bool:
        return self._accepted is not None and time.monotonic() - self._accepted < lag.LAG_SECONDS

    def _look(self) -> ModelState:
        try:
            state = self.hook.describe()
        except LookupError as error:
            state = self._gone(error)
        self.was_on = self.was_on or state.is_on
        if str(state) != self._seen:
            self._seen = str(state)
            log.info("the model is %s", state)
        return state

    def _gone(self, error: LookupError) -> ModelState:
        """Deleted meanwhile: it costs nothing any more. Or the connection leads to another account now, where nobody
        sees it: a request to stop goes by the ARN alone, and is refused there.
        """
        self._before_stop()
        self._stop()
        return ModelState(Phase.OFF, "gone", str(error))

    def _stop(self) -> None:
        try:
            self.hook.stop()
            self.asked_at = self.asked_at or datetime.now(UTC)
            self._accepted = time.monotonic()
            log.info("asked it to stop")
        except ModelInUseError as error:
            log.info("it cannot be stopped now: %s; trying again", error)
        except LookupError as error:  # gone before, or since the look
            log.info("there is nothing to stop: %s", error)

    def _bear(self, error: Exception) -> None:
        now = time.monotonic()
        self._trouble_since = self._trouble_since or now
        if not aws_errors.is_transient(error) or now - self._trouble_since > _PATIENCE_SECONDS:
            raise error
        log.warning("the model's service is in trouble, trying again: %s", error)
