"""A model of Rekognition Custom Labels: a model's life, with the service's errors."""

import time
from collections.abc import Callable

from include.local_aws.model_life import Kind, ModelLife, ModelStatus, OverRateError, WrongStateError
from include.local_aws.rekognition.exceptions import (
    ProvisionedThroughputExceeded,
    ResourceInUse,
    ResourceNotReady,
)
from include.local_aws.settings import ModelSettings

REKOGNITION = Kind(
    "rekognition",
    words={status: status.value for status in ModelStatus},
    startable=frozenset(
        {
            ModelStatus.TRAINING_COMPLETED,
            ModelStatus.COPYING_COMPLETED,
            ModelStatus.STOPPED,
            ModelStatus.FAILED,
        }
    ),
    stoppable=frozenset({ModelStatus.RUNNING}),
)


class ProjectVersion(ModelLife):
    """A version of a project."""

    def __init__(
        self,
        arn: str,
        project_arn: str,
        name: str,
        settings: ModelSettings,
        clock: Callable[[], float] = time.time,
    ):
        super().__init__(arn, name, REKOGNITION, settings, clock)
        self.project_arn = project_arn

    def start(self, min_units: int, max_units: int | None, flaw: str | None = None) -> ModelStatus:
        """Begin to start. ResourceInUse unless the model is ready, stopped or failed."""
        try:
            return super().start(min_units, max_units, flaw)
        except WrongStateError as error:
            raise ResourceInUse(f"The model {self.arn} cannot be started: {error}.") from error

    def stop(self) -> ModelStatus:
        """Begin to stop. ResourceInUse unless the model is running."""
        try:
            return super().stop()
        except WrongStateError as error:
            raise ResourceInUse(f"The model {self.arn} cannot be stopped: {error}.") from error

    def admit(self) -> None:
        """Let one image in, or raise ResourceNotReady or ProvisionedThroughputExceeded."""
        try:
            super().admit()
        except WrongStateError as error:
            raise ResourceNotReady(f"The model {self.arn} is not ready: {error}.") from error
        except OverRateError as error:
            raise ProvisionedThroughputExceeded() from error
