"""Stops a model and waits until it is off, through temporary errors of its service. For teardown and watchdog."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from label_detection import lag
from label_detection.hooks.clients import brief_config
from label_detection.hooks.model import ModelHook, ModelInUseError, ModelState, Phase, hook_for
from label_detection.waits import Waits
from label_detection_core import aws_errors
from label_detection_core.config.model_types import Model

log = logging.getLogger(__name__)


class Stopping:
    """Stops one model.

    Temporary errors of the service are retried here, not in the AWS client. A client would wait longer after each
    error, and the model costs money meanwhile.

    :param waits: the seconds between looks, and how long trouble is borne.
    :param before_stop: called right before each stop request. Its exceptions are passed on.
    """

    def __init__(
        self, model: Model, aws_conn_id: str, waits: Waits, before_stop: Callable[[], None] = lambda: None
    ) -> None:
        self.hook: ModelHook = hook_for(model, aws_conn_id, brief_config())
        self.waits = waits
        self.asked_at: datetime | None = None  # when the first stop request was accepted
        self.was_on = False
        self._before_stop = before_stop
        self._accepted: float | None = None  # time.monotonic() of the last accepted stop request
        self._trouble_since: float | None = None
        self._seen = ""

    def step(self) -> ModelState | None:
        """Get the model's state, and send a stop request if the model is on. None: the service does not answer now.

        A service refuses to stop a model that is starting; the next step sends the request again. A model that is
        still RUNNING after an accepted request gets no new one for a minute, because Describe lags.
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

    def until_off(self, start_asked_at: datetime | None = None) -> ModelState:
        """Stop the model, and return once it is off.

        A model that is off without an accepted stop request from here must stay off for `waits.linger`, and until
        Describe can no longer lag behind a start request made at `start_asked_at`.
        """
        off_since: float | None = None
        believed_at = lag.lags_until(start_asked_at, self.waits) if start_asked_at else datetime.now(UTC)
        while True:
            state = self.step()
            if state and not state.is_gone:
                off_since = None
            elif state:
                off_since = off_since or time.monotonic()
                stayed_off = time.monotonic() - off_since >= self.waits.linger and datetime.now(UTC) >= believed_at
                if self.asked_at or stayed_off:
                    return state
            time.sleep(self.waits.off if off_since else self.waits.on)

    def _was_just_accepted(self) -> bool:
        return self._accepted is not None and time.monotonic() - self._accepted < self.waits.lag

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
        """Handle a model that Describe does not find. Returns OFF if it was deleted: it costs nothing any more.

        The connection may also lead to another account now, where Describe cannot see the model. The stop request
        names the model by its ARN, so AWS refuses it in that case, and the error is raised.
        """
        self._before_stop()
        self._stop()
        return ModelState(Phase.OFF, "gone", str(error))

    def _stop(self) -> None:
        try:
            self.hook.stop()
            self.asked_at = self.asked_at or datetime.now(UTC)
            self._accepted = time.monotonic()
            log.info("sent the stop request")
        except ModelInUseError as error:
            log.info("the model cannot be stopped now: %s; trying again", error)
        except LookupError as error:  # deleted, before or after the Describe call
            log.info("there is nothing to stop: %s", error)

    def _bear(self, error: Exception) -> None:
        now = time.monotonic()
        self._trouble_since = self._trouble_since or now
        if not aws_errors.is_transient(error) or now - self._trouble_since > self.waits.patience:
            raise error
        log.warning("a temporary error of the model's service, trying again: %s", error)
