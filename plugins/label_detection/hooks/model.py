"""The interface between the pipeline and a model service: describe, start, stop, detect, and waiters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, cast

from airflow.providers.common.compat.module_loading import import_string
from botocore.config import Config

from label_detection.hooks.clients import client_config
from label_detection_core.config.model_types import Model
from label_detection_core.config.settings import Settings
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef


class Phase(Enum):
    """Phase of a model's life, independent of the state names of its service."""

    OFF = "off"  # and can be started
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    UNUSABLE = "unusable"  # no start is possible in this state


@dataclass(frozen=True)
class ModelState:
    """State of a model.

    :param phase: the phase, independent of the service.
    :param status: the service's name of the state.
    :param reason: the service's explanation of the state, and what to do about it.
    :param units: inference units, or instances, that the model has now.
    :param fixed_units: the number of units that it always starts with, whatever number is requested.
    :param remains: whether a model that is off has left something at its service, which `stop` removes.
    """

    phase: Phase
    status: str
    reason: str = ""
    units: int | None = None
    fixed_units: int | None = None
    remains: bool = False

    @property
    def is_on(self) -> bool:
        """Whether the model costs money, or soon will."""
        return self.phase in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING}

    @property
    def is_held(self) -> bool:
        """Whether the model is on and stays on until somebody stops it."""
        return self.phase in {Phase.STARTING, Phase.RUNNING}

    @property
    def is_gone(self) -> bool:
        """Whether the model is off and has left nothing at its service."""
        return not self.is_on and not self.remains

    def __str__(self) -> str:
        return f"{self.status} ({self.reason})" if self.reason else self.status


@dataclass(frozen=True)
class StopTarget:
    """The call with which EventBridge Scheduler stops a model: ARN of a universal target, and the request's JSON."""

    arn: str
    input: dict[str, Any]


class ServiceEndedError(LookupError):
    """AWS has ended the service that runs the model. The message tells what to do."""


class ModelInUseError(Exception):
    """The service refuses to start or stop the model in its current state."""


class QuotaExceededError(Exception):
    """A quota of the account is used up. The message names the quota and tells what to do.

    Sending the request again does not help until another model is stopped or AWS has raised the quota.
    """


class ModelHook(Protocol):
    """One model at one service. The hook's waiter file has the waiters `model_running` and `model_stopped`.

    `STATUS`: JMESPath of the model's state in the responses that the waiters get.
    """

    STATUS: str

    def describe(self) -> ModelState:
        """The model's state now. :raises LookupError: when there is no such model."""

    def start(self, units: int, max_units: int | None = None) -> None:
        """Request a start with `units` inference units; the service may add more, up to `max_units`.

        :raises ModelInUseError: when the model is not off.
        :raises QuotaExceededError: when a quota of the account is used up.
        """

    def stop(self) -> None:
        """Request a stop.

        :raises ModelInUseError: when the model is not running.
        :raises LookupError: when there is nothing to stop.
        """

    def keep_pace(self, pace: Pace) -> None:
        """From now on each request of `detect` waits for its turn, and reports to the pace whether it was throttled.

        `detect` then also waits for a model that is on but answers that it is not ready yet, until the pace ends.
        """

    def detect(self, image: ImageRef, min_confidence: float | None) -> Detection:
        """Detect labels in an image. `label_detection_core.labelling.labeller.Detect` lists the errors.

        :param min_confidence: 0-100; None: the model's own thresholds hold.
        """

    def stop_target(self) -> StopTarget:
        """The stop request for the dead man's switch, which EventBridge Scheduler sends without this hook."""

    def waiter_args(self) -> dict[str, Any]:
        """Arguments of the operation that the waiters call."""

    def get_waiter(self, waiter_name: str) -> Any:
        """A waiter of the service's client, or from the hook's waiter file."""


def hook_class(model: Model) -> Any:
    """The hook class for a model's type."""
    return import_string(model.type.hook)


def hook_for(model: Model, aws_conn_id: str | None, config: Config | dict[str, Any] | None, **more: Any) -> ModelHook:
    """A hook for a model, with clients in the model's Region."""
    hook = hook_class(model)(model, aws_conn_id=aws_conn_id, region_name=model.region, config=config, **more)
    return cast(ModelHook, hook)


def model_hook(settings: Settings) -> ModelHook:
    """A hook for the model of the settings."""
    return hook_for(settings.model, settings.aws_conn_id, client_config())


def paced_model_hook(settings: Settings, workers: int, pace: Pace) -> ModelHook:
    """A hook for the model of the settings, for `workers` threads; its `detect` keeps the pace."""
    # Not `adaptive`: the pace already slows down when the model throttles, and the two would disturb each other.
    hook = hook_for(settings.model, settings.aws_conn_id, client_config(workers, mode="standard"))
    hook.keep_pace(pace)
    return hook
