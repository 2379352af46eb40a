"""Fixtures for the tests of the tasks that start and stop the model, and of the watchdog."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from label_detection.operators.model import StartModelOperator, StopModelOperator
from label_detection.operators.watchdog import StopExpiredModelsOperator
from label_detection.xcom import Started
from label_detection_core.config.pipeline import WATCHDOG_DAG
from label_detection_core.model.lease import Lease
from tests.plugins.conftest import DAG_ID, Run, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws


def start(run: Run) -> Started:
    """Execute `start_model` with a new operator, as a retry is a new process."""
    return Started.model_validate(run.execute(StartModelOperator(task_id="start_model")))


def stop(run: Run) -> datetime:
    """Execute `stop_model` with a new operator, as a retry is a new process."""
    return datetime.fromisoformat(run.execute(StopModelOperator(task_id="stop_model"))["stopped_at"])


@pytest.fixture
def planned(aws: Aws, run: Run) -> Run:
    run.plan(aws.settings)
    return run


#: The API server's answer for a run that does not exist, as the supervisor passes it on.
NOT_FOUND = {"status_code": 404, "message": "Server returned error", "detail": {"detail": {"reason": "not_found"}}}


#: As the Task SDK has it: a text, but printed as DagRunState.success.
class DagRunState(str, Enum):  # noqa: UP042  # a StrEnum is printed as its value
    queued = "queued"
    running = "running"
    success = "success"
    failed = "failed"


class Airflow:
    """Airflow's answers about runs. `runs`: (state of the run, state of its stop_model), or the detail of an error."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, str | None] | dict[str, Any] | Exception] = {}
        #: States of a running run's analysis tasks, one entry per call; the last entry is repeated.
        self.looks: list[dict[str, str | None]] = [{"analyse_images_0": "running"}]
        self.is_paused = False

    def dag(self, dag_id: str) -> SimpleNamespace:
        return SimpleNamespace(dag_id=dag_id, is_paused=self.is_paused)

    def dagrun_state(self, dag_id: str, run_id: str) -> str:
        found = self.runs.get(run_id, NOT_FOUND)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, dict):
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=found))
        return DagRunState(found[0])

    def task_states(
        self, dag_id: str, run_ids: list[str], task_ids: list[str] | None = None
    ) -> dict[str, dict[str, str | None]]:
        (run_id,) = run_ids
        states: dict[str, str | None] = {"stop_model": self.runs[run_id][1]}  # type: ignore[index]
        if task_ids is None:
            states |= self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {run_id: states}


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def watch(airflow: Airflow, variables: Variables) -> Watch:
    """Executes the watchdog of a DAG."""

    def watch(dag_id: str = WATCHDOG_DAG) -> list[dict[str, Any]]:
        ti = SimpleNamespace(
            dag_id=dag_id,
            get_dagrun_state=airflow.dagrun_state,
            get_task_states=airflow.task_states,
            get_dag=airflow.dag,
        )
        context: Any = {"ti": ti}
        return StopExpiredModelsOperator(task_id="stop_expired_models").execute(context)

    return watch


Watch = Callable[..., list[dict[str, Any]]]


def lease_on(aws: Aws, version: str = "", minutes: float = 60, **more: Any) -> Lease:
    """A lease on a model that ends in `minutes`."""
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    facts = {"dag_id": DAG_ID, "run_id": "r1", "since": until - timedelta(minutes=75), "until": until, "units": 2}
    return Lease(model_arn=aws.model(version)["arn"], **(facts | more))
