"""The seam between the pipeline and a service that runs models: describe, start, stop, detect, and its waiters."""

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
    """Where a model is in its life, whatever words its service has for it."""

    OFF = "off"  # can be started
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    UNUSABLE = "unusable"  # cannot be started from here


@dataclass(frozen=True)
class ModelState:
    """A model's phase, the service's own word for it, and what there is to say about it.

    :param units: inference units, or instances, that it has now.
    :param fixed_units: the number that it always starts with, whatever is requested.
    :param remains: it is off, but something of it is left at its service, which `stop` takes away.
    """

    phase: Phase
    status: str
    reason: str = ""
    units: int | None = None
    fixed_units: int | None = None
    remains: bool = False

    @property
    def is_on(self) -> bool:
        """Whether it costs money, or is about to."""
        return self.phase in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING}

    @property
    def is_gone(self) -> bool:
        """Whether it is off, and nothing remains of it."""
        return not self.is_on and not self.remains

    def __str__(self) -> str:
        return f"{self.status} ({self.reason})" if self.reason else self.status


@dataclass(frozen=True)
class StopTarget:
    """What EventBridge Scheduler has to call to stop a model: a universal target's ARN, and the request."""

    arn: str
    input: dict[str, Any]


class ServiceEndedError(LookupError):
    """The service that runs the model is no more; the message says what to do."""


class ModelInUseError(Exception):
    """The service will not start or stop the model in the state it is in now."""


class QuotaExceededError(Exception):
    """The account may not have more of the service now: a quota. The message names it and says what to do.

    A request that is sent again gets the same answer, until another model is stopped or AWS has raised the quota.
    """


class ModelHook(Protocol):
    """One model at one service. Waiters `model_running` and `model_stopped` come from the hook's waiter file.

    `STATUS`: where the waiters' answers have the model's state, in JMESPath.
    """

    STATUS: str

    def describe(self) -> ModelState:
        """Where the model is now."""

    def start(self, units: int, max_units: int | None = None) -> None:
        """Ask for the model; its service may add units, up to `max_units`.

        :raises ModelInUseError: when it is not off; QuotaExceededError: when the account's quota is used up.
        """

    def stop(self) -> None:
        """Ask for its end. :raises ModelInUseError: when it is not running; LookupError: when there is none."""

    def keep_pace(self, pace: Pace) -> None:
        """From now on each send of `detect` waits for its turn, and tells the pace whether it was throttled.

        And `detect` waits for a model that is on and says that it is not ready yet, until the pace ends.
        """

    def detect(self, image: ImageRef, min_confidence: float | None) -> Detection:
        """What is in an image (`label_detection_core.labelling.labeller.Detect` says which errors mean what).

        :param min_confidence: 0-100; None: the model's own thresholds hold.
        """

    def stop_target(self) -> StopTarget:
        """The same for somebody who has no hook: the dead man's switch."""

    def waiter_args(self) -> dict[str, Any]:
        """What the waiters' operation is called with."""

    def get_waiter(self, waiter_name: str) -> Any:
        """A waiter of the service's client, or of the hook's own file."""


def hook_class(model: Model) -> Any:
    """The class of a model's hook."""
    return import_string(model.type.hook)


def hook_for(model: Model, aws_conn_id: str | None, config: Config | dict[str, Any] | None, **more: Any) -> ModelHook:
    """The hook for a model, in its Region."""
    hook = hook_class(model)(model, aws_conn_id=aws_conn_id, region_name=model.region, config=config, **more)
    return cast(ModelHook, hook)


def model_hook(settings: Settings) -> ModelHook:
    """The hook for the settings' model."""
    return hook_for(settings.model, settings.aws_conn_id, client_config())


def paced_model_hook(settings: Settings, workers: int, pace: Pace) -> ModelHook:
    """The same for `workers` threads, whose detections keep a pace."""
    # Two that slow down at once would be one too many: the pace does what `adaptive` is for.
    hook = hook_for(settings.model, settings.aws_conn_id, client_config(workers, mode="standard"))
    hook.keep_pace(pace)
    return hook
