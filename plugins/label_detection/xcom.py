"""The values that a run's tasks exchange by XCom."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel

from label_detection_core.config.model_types import NamesModel
from label_detection_core.model import at_work
from label_detection_core.run.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

SENSE_TASK = "wait_for_images"
PLAN_TASK = "plan_run"
START_TASK = "start_model"
WAIT_TASK = "wait_for_model"
STOP_TASK = at_work.STOP_TASK
#: Priority weight of tasks that stop a model, so that they get a worker first. The other tasks have 1.
STOP_FIRST = 1_000_000
_PLAN_KEY = "plan"
_WARNING_KEY = "warning"
_NO_PLAN = f"this run has no plan: run the task together with {PLAN_TASK}"


class Started(BaseModel):
    """The start of the model.

    `requested_at`: when the lease was taken, just before the request. `adopted`: whether the model was on already.
    `units`: its inference units. `deadline`: when workers must stop receiving. `accepted_at`: when the service accepted
    the request, which throttling can delay by minutes; None: no request, because the model was on already.
    """

    requested_at: AwareDatetime
    adopted: bool
    units: int
    deadline: AwareDatetime
    accepted_at: AwareDatetime | None = None

    @property
    def asked_at(self) -> datetime:
        """Time of the start request, behind which Describe may lag."""
        return self.accepted_at or self.requested_at


class Stopped(BaseModel):
    """The stop of the model.

    `stopped_at`: when the model was off, or was left on because another run holds it. `on_since`: since when this run
    had the model on; None: it was found off. `asked_at`: when the stop request was accepted; None: there was none.
    """

    stopped_at: AwareDatetime
    on_since: AwareDatetime | None = None
    asked_at: AwareDatetime | None = None


class PlannedModel(NamesModel):
    """The two options of a plan that a stop needs.

    A stop must not fail because other options of the plan are invalid: an upgrade in the middle of a run can make an
    option's check stricter.
    """

    model_arn: str
    aws_conn_id: str


def push_plan(context: Context, plan: Plan) -> None:
    """Store the plan for the run's other tasks."""
    context["ti"].xcom_push(_PLAN_KEY, plan.model_dump(mode="json"))


def pull_plan(context: Context) -> Plan | None:
    """The run's plan; None when there is none."""
    value = pull(context, PLAN_TASK, _PLAN_KEY)
    return Plan.model_validate(value) if value else None


def require_plan(context: Context) -> Plan:
    """The run's plan.

    :raises ValueError: when there is none, because the task was run alone.
    """
    plan = pull_plan(context)
    if plan is None:
        raise ValueError(_NO_PLAN)
    return plan


def require_planned_model(context: Context) -> PlannedModel:
    """The run's model. :raises ValueError: when there is no plan, because the task was run alone."""
    value = pull(context, PLAN_TASK, _PLAN_KEY)
    if not value:
        raise ValueError(_NO_PLAN)
    return PlannedModel.model_validate(value["settings"])


def pull_started(context: Context) -> Started | None:
    """The run's start of the model; None when there was none."""
    value = pull(context, START_TASK)
    return Started.model_validate(value) if value else None


def require_started(context: Context) -> Started:
    """The run's start of the model.

    :raises ValueError: when there is none, because the task was run alone.
    """
    started = pull_started(context)
    if started is None:
        raise ValueError(f"this run has not started the model: run the task together with {START_TASK}")
    return started


def pull_stopped(context: Context) -> Stopped | None:
    """The stop after the last start; None when there was none. A cleared run may still have an older stop in XCom."""
    value, started = pull(context, STOP_TASK), pull_started(context)
    stopped = Stopped.model_validate(value) if value else None
    return None if stopped and started and stopped.stopped_at < started.requested_at else stopped


def pull_running_at(context: Context) -> datetime | None:
    """When the model was seen running after the last start; None: not yet. A cleared run may have an older time."""
    value, started = pull(context, WAIT_TASK), pull_started(context)
    if not value or not started:
        return None
    # Airflow 3.3 encodes the value with which a trigger ends its task twice: the text has quotes around it.
    seen_at = datetime.fromisoformat(value.strip('"'))
    return seen_at if seen_at >= started.requested_at else None


def pull(context: Context, task_id: str, key: str = "return_value") -> Any:
    """The value that a task returned, or pushed under `key`; None when there is none."""
    return context["ti"].xcom_pull(task_ids=task_id, key=key)


def push_warning(context: Context, *warnings: str | None) -> None:
    """Store a task's warnings for the report; None is no warning. A second call replaces the first one's warnings."""
    if given := [warning for warning in warnings if warning]:
        context["ti"].xcom_push(_WARNING_KEY, given)


def pull_warnings(context: Context) -> list[str]:
    """All warnings of the run, in the order of its tasks."""
    pulled = (context["ti"].xcom_pull(task_ids=task, key=_WARNING_KEY) for task in (PLAN_TASK, START_TASK, STOP_TASK))
    # A run that an earlier version planned has one text here instead of a list.
    return [warning for found in pulled if found for warning in ([found] if isinstance(found, str) else found)]
