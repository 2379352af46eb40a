"""A run of the pipeline without a scheduler: its tasks in order; teardown and report run even if a task failed."""

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
    """The result of a run: its failed tasks, with their errors."""

    aws: Aws
    run: Run
    errors: dict[str, Exception] = field(default_factory=dict)

    def task(self, operator: BaseOperator) -> None:
        """Run a task, unless an earlier task failed."""
        name = operator.task_id
        if self.errors:
            self.run.states[name] = "upstream_failed"
        else:
            self.anyway(operator)

    def anyway(self, operator: BaseOperator, on_failure: Callable[[Any], None] = lambda _: None) -> None:
        """Run a task, even if an earlier task failed."""
        name = operator.task_id
        context = self.run.context(name)
        try:
            self._execute(operator, context)
        except Exception as error:  # noqa: BLE001  # the test checks the error
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
                    self.run.xcoms[operator.task_id, key] = json.dumps(value)  # Airflow encodes XComs twice
                return
            deferrable: Any = operator
            self.run.execute(operator, context, call=lambda c: deferrable.execute_complete(c, event.payload))


def run_pipeline(aws: Aws, run_id: str = "manual__1", *, look_early: bool = False) -> Ran:
    """Run all tasks. `look_early`: wait_for_model looks before the model runs, and so it defers."""
    ran = Ran(aws, Run(run_id=run_id))
    ran.task(QueueDepthSensor(task_id="wait_for_images"))
    ran.task(PlanRunOperator(task_id="plan_run"))
    planned = not ran.errors
    ran.task(StartModelOperator(task_id="start_model"))
    if not ran.errors and not look_early:
        wait_until(lambda: aws.model()["status"] == "RUNNING", 60, "the model")
    ran.task(ModelRunningSensor(task_id="wait_for_model"))
    ran.task(AnalyseImagesOperator(task_id="analyse_images", images_per_second=100))
    if planned:
        ran.anyway(StopModelOperator(task_id="stop_model"), notifications.stop_failed)
    else:
        ran.run.states["stop_model"] = "upstream_failed"
    ran.anyway(WriteReportOperator(task_id="write_report"), notifications.run_failed)
    return ran
