"""A model of Rekognition Custom Labels: its states and its rate limit, with the service's errors."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from local_aws.model_life import Kind, ModelLife, ModelStatus, OverRateError, WrongStateError
from local_aws.oddities import OdditiesInForce
from local_aws.rekognition.exceptions import (
    ProvisionedThroughputExceeded,
    ResourceInUse,
    ResourceNotReady,
)
from local_aws.settings import ModelSettings

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


@dataclass(frozen=True)
class Description:
    """A version's state, as DescribeProjectVersions shows it; ``min_units`` is 0 while the model is off."""

    status: ModelStatus
    message: str
    min_units: int
    max_units: int | None


class ProjectVersion(ModelLife):
    """A version of a project.

    With the oddities ``describe_lag`` and ``ready_lag``, DescribeProjectVersions shows a change of state late, and a
    model that has become RUNNING is ready late.
    """

    def __init__(
        self,
        arn: str,
        project_arn: str,
        name: str,
        settings: ModelSettings,
        oddities: OdditiesInForce | None = None,
        clock: Callable[[], float] = time.time,
    ):
        super().__init__(arn, name, REKOGNITION, settings, clock)
        self.project_arn = project_arn
        self._oddities = oddities or OdditiesInForce()
        self._before: Description | None = None  # the state before the last accepted start or stop
        self._asked_at = 0.0

    def describe(self) -> Description:
        """The state that DescribeProjectVersions shows: the old one until ``describe_lag`` after a start or a stop."""
        with self._lock:
            if self._before is not None and self._clock() < self._asked_at + self._oddities.now.describe_lag:
                return self._before
            return self._describe()

    def _describe(self) -> Description:
        units = self.units
        return Description(self.status, self.message, units, self.max_units if units else None)

    def _ask(self, before: Description) -> None:
        self._before, self._asked_at = before, self._clock()

    def put(self, status: ModelStatus, message: str | None = None) -> None:
        """Put the model into a state, for a control page; DescribeProjectVersions shows it without a lag."""
        with self._lock:
            self._before = None
            super().put(status, message)

    def start(self, min_units: int, max_units: int | None, flaw: str | None = None) -> ModelStatus:
        """Begin to start; returns STARTING.

        Raises ResourceInUse unless the model is trained, copied, stopped or failed.
        """
        try:
            with self._lock:
                before = self._describe()
                status = super().start(min_units, max_units, flaw)
                self._ask(before)
                return status
        except WrongStateError as error:
            raise ResourceInUse(f"The model {self.arn} cannot be started: {error}.") from error

    def stop(self) -> ModelStatus:
        """Begin to stop; returns STOPPING. Raises ResourceInUse unless the model is RUNNING."""
        try:
            with self._lock:
                before = self._describe()
                status = super().stop()
                self._ask(before)
                return status
        except WrongStateError as error:
            raise ResourceInUse(f"The model {self.arn} cannot be stopped: {error}.") from error

    def admit(self) -> None:
        """Admit one image. Raises ResourceNotReady or ProvisionedThroughputExceeded."""
        if self.started_for is not None and self.started_for < self._oddities.now.ready_lag:
            raise ResourceNotReady(f"The model {self.arn} is not ready.")
        try:
            super().admit()
        except WrongStateError as error:
            raise ResourceNotReady(f"The model {self.arn} is not ready: {error}.") from error
        except OverRateError as error:
            raise ProvisionedThroughputExceeded() from error
