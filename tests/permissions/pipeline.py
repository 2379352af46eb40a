"""A run of the pipeline as Airflow's scheduler makes it: task after task, teardown and report whatever happens."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TaskSuccessEvent

from label_detection import notifications
from label_detection.operators.images import AnalyseImagesOperator
from label_detection.operators.model import StartModelOperator, StopModelOperator
from label_detection.operators.run import PlanRunOperator, WriteReportOperator
from label_detection.sensors.model import ModelRunningSensor
from label_detection.sensors.sqs import QueueDepthSensor
from sandbox.waiting import wait_until
from tests.plugins.conftest import Run, events_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import BaseOperator

    from tests.conftest import Aws


@dataclass
class Ran:
    """What became of a run: the tasks that failed, and with what."""

    aws: Aws
    run: Run
    errors: dict[str, Exception] = field(default_factory=dict)

    def task(self, operator: BaseOperator) -> None:
        """Run a task, unless one before it has failed."""
        name = operator.task_id
        if self.errors:
            self.run.states[name] = "upstream_failed"
        else:
            self.anyway(operator)

    def anyway(self, operator: BaseOperator, on_failure: Callable[[Any], None] = lambda _: None) -> None:
        """Run a task whatever happened before."""
        name = operator.task_id
        context = self.run.context(name)
        try:
            self._execute(operator, context)
        except Exception as error:  # noqa: BLE001  # it is looked at by the test
            self.errors[name] = error
            self.run.states[name] = "failed"
            on_failure({**context, "exception": error})
        else:
            self.run.states[name] = "success"

    def _execute(self, operator: BaseOperator, context: dict[str, Any]) -> None:
        try:
            self.run.execute(operator, context)
        except TaskDeferred as deferred:
            (event,) = events_of(deferred.trigger, 20)
            if isinstance(event, TaskSuccessEvent):
                for key, value in (event.xcoms or {}).items():
                    self.run.xcoms[operator.task_id, key] = json.dumps(value)  # Airflow encodes them twice
                return
            deferrable: Any = operator
            self.run.execute(operator, context, call=lambda c: deferrable.execute_complete(c, event.payload))


def run_pipeline(aws: Aws, run_id: str = "manual__1", *, look_early: bool = False) -> Ran:
    """One run. `look_early`: wait_for_model defers, or else finds the model running."""
    ran = Ran(aws, Run(run_id=run_id))
    ran.task(QueueDepthSensor(task_id="wait_for_images"))
    ran.task(PlanRunOperator(task_id="plan_run"))
    planned = not ran.errors
    ran.task(StartModelOperator(task_id="start_model"))
    if not ran.errors and not look_early:
        wait_until(lambda: aws.model()["status"] == "RUNNING", 10, "the model")
    ran.task(ModelRunningSensor(task_id="wait_for_model"))
    ran.task(AnalyseImagesOperator(task_id="analyse_images", images_per_second=100))
    if planned:
        ran.anyway(StopModelOperator(task_id="stop_model"), notifications.stop_failed)
    else:
        ran.run.states["stop_model"] = "upstream_failed"
    ran.anyway(WriteReportOperator(task_id="write_report"), notifications.run_failed)
    return ran
