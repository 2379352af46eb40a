"""One model's life: its state, computed from the clock, and the rate its inference units allow."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from include.local_aws.rekognition.exceptions import (
    ProvisionedThroughputExceeded,
    ResourceInUse,
    ResourceNotReady,
)
from include.local_aws.settings import ModelSettings


class ModelStatus(StrEnum):
    """The states of a project version, as Rekognition's service model lists them."""

    TRAINING_IN_PROGRESS = "TRAINING_IN_PROGRESS"
    TRAINING_COMPLETED = "TRAINING_COMPLETED"
    TRAINING_FAILED = "TRAINING_FAILED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    DELETING = "DELETING"
    COPYING_IN_PROGRESS = "COPYING_IN_PROGRESS"
    COPYING_COMPLETED = "COPYING_COMPLETED"
    COPYING_FAILED = "COPYING_FAILED"
    DEPRECATED = "DEPRECATED"
    EXPIRED = "EXPIRED"


STARTABLE = frozenset(
    {
        ModelStatus.TRAINING_COMPLETED,
        ModelStatus.COPYING_COMPLETED,
        ModelStatus.STOPPED,
        ModelStatus.FAILED,
    }
)
ON = frozenset({ModelStatus.STARTING, ModelStatus.RUNNING, ModelStatus.STOPPING})

_MESSAGES = {
    ModelStatus.TRAINING_COMPLETED: "The model is ready to run.",
    ModelStatus.STARTING: "The model is being started.",
    ModelStatus.RUNNING: "The model is running.",
    ModelStatus.STOPPING: "The model is being stopped.",
    ModelStatus.STOPPED: "The model has been stopped.",
    ModelStatus.FAILED: "The model failed to start.",
}


@dataclass(frozen=True)
class StateChange:
    """A state and when it began, in seconds since 1970."""

    status: ModelStatus
    at: float


class ProjectVersion:
    """A trained model that can be started and stopped; safe under threads.

    STARTING and STOPPING end when their time is up, whenever somebody looks. A state that was put by hand
    has no end. All times are seconds since 1970 as ``clock`` gives them.
    """

    def __init__(
        self,
        arn: str,
        project_arn: str,
        name: str,
        settings: ModelSettings,
        clock: Callable[[], float] = time.time,
    ):
        self.arn = arn
        self.project_arn = project_arn
        self.name = name
        self.settings = settings
        self.created = clock()
        self.min_units = 0
        self.max_units: int | None = None
        self.detects = 0
        self.throttled = 0
        self.first_detect_at: float | None = None  # of the present, or the last, time it was RUNNING
        self.last_detect_at: float | None = None  # its end
        self.start_outcome = ModelStatus.RUNNING
        self._clock = clock
        self._lock = threading.RLock()
        self._due: StateChange | None = None
        self._message = _MESSAGES[ModelStatus.TRAINING_COMPLETED]
        self._history = [StateChange(ModelStatus.TRAINING_COMPLETED, self.created)]
        self._tokens = 0.0
        self._filled = self.created

    @property
    def status(self) -> ModelStatus:
        """The state now."""
        with self._lock:
            self._settle()
            return self._history[-1].status

    @property
    def message(self) -> str:
        """What the service says about the state."""
        with self._lock:
            self._settle()
            return self._message

    @property
    def units(self) -> int:
        """Inference units that are provisioned now: 0 when the model is off."""
        with self._lock:
            return self.min_units if self.status in ON else 0

    @property
    def history(self) -> tuple[StateChange, ...]:
        """Every state the model has been in, oldest first."""
        with self._lock:
            self._settle()
            return tuple(self._history)

    def seconds_in(self, states: frozenset[ModelStatus]) -> float:
        """Seconds spent in any of the states, the present one included."""
        with self._lock:
            history = self.history
            ends = [change.at for change in history[1:]] + [self._clock()]
        return sum(end - change.at for change, end in zip(history, ends, strict=True) if change.status in states)

    def start(self, min_units: int, max_units: int | None) -> ModelStatus:
        """Begin to start. ResourceInUse unless the model is ready, stopped or failed."""
        with self._lock:
            status = self.status
            if status not in STARTABLE:
                raise ResourceInUse(f"The model {self.arn} cannot be started: it is in the state {status}.")
            self.min_units, self.max_units = min_units, max_units
            self._enter(ModelStatus.STARTING)
            self._due = StateChange(self.start_outcome, self._clock() + self.settings.start_seconds)
            return ModelStatus.STARTING

    def stop(self) -> ModelStatus:
        """Begin to stop. ResourceInUse unless the model is running."""
        with self._lock:
            status = self.status
            if status is not ModelStatus.RUNNING:
                raise ResourceInUse(f"The model {self.arn} cannot be stopped: it is in the state {status}.")
            self._enter(ModelStatus.STOPPING)
            self._due = StateChange(ModelStatus.STOPPED, self._clock() + self.settings.stop_seconds)
            return ModelStatus.STOPPING

    def put(self, status: ModelStatus, message: str | None = None) -> None:
        """Put the model into a state by hand, and leave it there."""
        with self._lock:
            self._settle()
            self._due = None
            self.min_units = self.min_units or 1
            self._enter(status, message)

    def admit(self) -> None:
        """Let one image in, or raise ResourceNotReady or ProvisionedThroughputExceeded.

        A bucket of tokens, filled at ``rate`` x units a second, that holds one second's worth.
        """
        with self._lock:
            status = self.status
            if status is not ModelStatus.RUNNING:
                raise ResourceNotReady(f"The model {self.arn} is not ready: it is in the state {status}.")
            rate = self.settings.rate * self.min_units
            if rate > 0:
                now = self._clock()
                self._tokens = min(max(1.0, rate), self._tokens + (now - self._filled) * rate)
                self._filled = now
                if self._tokens < 1.0:
                    self.throttled += 1
                    raise ProvisionedThroughputExceeded()
                self._tokens -= 1.0
            self.detects += 1
            self.first_detect_at = self.first_detect_at or self._clock()

    def detected(self) -> None:
        """An image that was let in has had its answer."""
        with self._lock:
            self.last_detect_at = self._clock()

    def _settle(self) -> None:
        if self._due is not None and self._clock() >= self._due.at:
            due, self._due = self._due, None
            self._enter(due.status, at=due.at)

    def _enter(self, status: ModelStatus, message: str | None = None, at: float | None = None) -> None:
        now = self._clock() if at is None else at
        self._message = _MESSAGES.get(status, "") if message is None else message
        self._history.append(StateChange(status, now))
        if status is ModelStatus.RUNNING:
            self.first_detect_at = self.last_detect_at = None
            self._tokens = max(1.0, self.settings.rate * self.min_units)
            self._filled = now
