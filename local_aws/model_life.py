"""One model's life: its state, computed from the clock, and the rate its inference units allow."""

import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from local_aws.settings import ModelSettings


class WrongStateError(Exception):
    """The model's present state does not allow the operation; ``status`` is that state."""

    def __init__(self, status: "ModelStatus"):
        super().__init__(f"it is in the state {status}")
        self.status = status


class OverRateError(Exception):
    """More images per second than the running inference units allow."""


class ModelStatus(StrEnum):
    """The states of a model, with Rekognition's names; other services have fewer states."""

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
class Kind:
    """How a service runs models.

    ``words``: the states of the service's models, each with the service's name for it, or None if it has no name.
    ``startable`` and ``stoppable``: the states in which a model can be started and stopped.
    """

    name: str
    words: Mapping[ModelStatus, str | None]
    startable: AbstractSet[ModelStatus]
    stoppable: AbstractSet[ModelStatus]


@dataclass(frozen=True)
class StateChange:
    """A state and when it began, in seconds since 1970."""

    status: ModelStatus
    at: float


class ModelLife:
    """A trained model that can be started and stopped; thread-safe.

    STARTING and STOPPING end when their time is over; the change is computed when the state is next read. A state that
    ``put`` sets lasts until the next start, stop or put. All times are seconds since 1970, from ``clock``.
    """

    def __init__(
        self,
        arn: str,
        name: str,
        kind: Kind,
        settings: ModelSettings,
        clock: Callable[[], float] = time.time,
    ):
        self.arn = arn
        self.name = name
        self.kind = kind
        self.settings = settings
        self.created = clock()
        self.min_units = 0
        self.max_units: int | None = None
        self.detects = 0
        self.throttled = 0
        self.first_detect_at: float | None = None  # since the model last became RUNNING
        self.last_detect_at: float | None = None  # the end of the last detect
        self.start_outcome = ModelStatus.RUNNING
        self._clock = clock
        self._lock = threading.RLock()
        self._started_at: float | None = None
        self._due: StateChange | None = None
        self._due_message: str | None = None
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
    def says(self) -> str | None:
        """The service's name for the present state; None if the service has no name for it."""
        return self.kind.words.get(self.status)

    @property
    def message(self) -> str:
        """The status message of the present state."""
        with self._lock:
            self._settle()
            return self._message

    @property
    def units(self) -> int:
        """The inference units that are provisioned now: 0 while the model is off."""
        with self._lock:
            return self.min_units if self.status in ON else 0

    @property
    def history(self) -> tuple[StateChange, ...]:
        """Every state the model has been in, oldest first."""
        with self._lock:
            self._settle()
            return tuple(self._history)

    @property
    def started_for(self) -> float | None:
        """Seconds since a start ended in RUNNING; None in another state, or if ``put`` set the state."""
        with self._lock:
            self._settle()
            return None if self._started_at is None else self._clock() - self._started_at

    def seconds_in(self, states: frozenset[ModelStatus]) -> float:
        """Seconds spent in any of the states, the present one included."""
        with self._lock:
            history = self.history
            ends = [change.at for change in history[1:]] + [self._clock()]
        return sum(end - change.at for change, end in zip(history, ends, strict=True) if change.status in states)

    def start(self, min_units: int, max_units: int | None, flaw: str | None = None) -> ModelStatus:
        """Begin to start; returns STARTING. A ``flaw`` makes the start end in FAILED with this text as its message.

        Raises WrongStateError.
        """
        with self._lock:
            if (status := self.status) not in self.kind.startable:
                raise WrongStateError(status)
            self.min_units, self.max_units = min_units, max_units
            self._enter(ModelStatus.STARTING)
            outcome = self.start_outcome if flaw is None else ModelStatus.FAILED
            self._end_in(self.settings.start_seconds, outcome, flaw)
            return ModelStatus.STARTING

    def stop(self) -> ModelStatus:
        """Begin to stop; returns STOPPING. Raises WrongStateError."""
        with self._lock:
            if (status := self.status) not in self.kind.stoppable:
                raise WrongStateError(status)
            self._enter(ModelStatus.STOPPING)
            self._end_in(self.settings.stop_seconds, ModelStatus.STOPPED)
            return ModelStatus.STOPPING

    def put(self, status: ModelStatus, message: str | None = None) -> None:
        """Put the model into a state; it stays there until the next start, stop or put.

        A model that is put off forgets its units; one that is put on without any has 1.
        """
        with self._lock:
            self._settle()
            self._due = None
            self.min_units, self.max_units = (self.min_units or 1, self.max_units) if status in ON else (0, None)
            self._enter(status, message)

    def admit(self) -> None:
        """Admit one image. Raises WrongStateError if the model is not RUNNING, and OverRateError.

        A token bucket, filled with ``rate`` x units per second, with a capacity of one second.
        """
        with self._lock:
            if (status := self.status) is not ModelStatus.RUNNING:
                raise WrongStateError(status)
            rate = self.settings.rate * self.min_units
            if rate > 0:
                now = self._clock()
                self._tokens = min(max(1.0, rate), self._tokens + (now - self._filled) * rate)
                self._filled = now
                if self._tokens < 1.0:
                    self.throttled += 1
                    raise OverRateError
                self._tokens -= 1.0
            self.detects += 1
            self.first_detect_at = self.first_detect_at or self._clock()

    def detected(self) -> None:
        """Record that an admitted image is answered."""
        with self._lock:
            self.last_detect_at = self._clock()

    def _end_in(self, seconds: float, status: ModelStatus, message: str | None = None) -> None:
        self._due, self._due_message = StateChange(status, self._clock() + seconds), message

    def _settle(self) -> None:
        if self._due is not None and self._clock() >= self._due.at:
            due, self._due = self._due, None
            self._enter(due.status, self._due_message, due.at)
            self._started_at = due.at if due.status is ModelStatus.RUNNING else None

    def _enter(self, status: ModelStatus, message: str | None = None, at: float | None = None) -> None:
        now = self._clock() if at is None else at
        self._message = _MESSAGES.get(status, "") if message is None else message
        self._history.append(StateChange(status, now))
        self._started_at = None
        if status is ModelStatus.RUNNING:
            self.first_detect_at = self.last_detect_at = None
            self._tokens = max(1.0, self.settings.rate * self.min_units)
            self._filled = now
