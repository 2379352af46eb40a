"""What a run's tasks tell each other, by XCom."""

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
#: Of tasks that wait for a worker, those that stop a model come first: the others have 1.
STOP_FIRST = 100
_PLAN_KEY = "plan"
_WARNING_KEY = "warning"
_NO_PLAN = f"this run has no plan: run it together with {PLAN_TASK}"


class Started(BaseModel):
    """The start request: when it was made, whether the model was on already, and when workers must stop receiving.

    `accepted_at`: when the service had accepted the request, which throttling can delay by minutes; None: it was not
    made, because the model was on already.
    """

    requested_at: AwareDatetime
    adopted: bool
    units: int
    deadline: AwareDatetime
    accepted_at: AwareDatetime | None = None

    @property
    def asked_at(self) -> datetime:
        """From when on Describe may lag behind the request."""
        return self.accepted_at or self.requested_at


class Stopped(BaseModel):
    """When the model was off, or left to another run that holds it.

    `on_since`: since when this run had it on; None: found off. `asked_at`: when its end was asked for.
    """

    stopped_at: AwareDatetime
    on_since: AwareDatetime | None = None
    asked_at: AwareDatetime | None = None


class PlannedModel(NamesModel):
    """What a stop needs of a plan, and no more: a plan whose other options are not valid any more must not prevent it.

    An option's check can become stricter by an upgrade in the middle of a run.
    """

    model_arn: str
    aws_conn_id: str


def push_plan(context: Context, plan: Plan) -> None:
    """Make the plan known to the run's other tasks."""
    context["ti"].xcom_push(_PLAN_KEY, plan.model_dump(mode="json"))


def pull_plan(context: Context) -> Plan | None:
    """The run's plan; None when none was made."""
    value = pull(context, PLAN_TASK, _PLAN_KEY)
    return Plan.model_validate(value) if value else None


def require_plan(context: Context) -> Plan:
    """The run's plan.

    :raises ValueError: when there is none, because the task was run by itself.
    """
    plan = pull_plan(context)
    if plan is None:
        raise ValueError(_NO_PLAN)
    return plan


def require_planned_model(context: Context) -> PlannedModel:
    """The run's model. :raises ValueError: when there is no plan, because the task was run by itself."""
    value = pull(context, PLAN_TASK, _PLAN_KEY)
    if not value:
        raise ValueError(_NO_PLAN)
    return PlannedModel.model_validate(value["settings"])


def pull_started(context: Context) -> Started | None:
    """The start request; None when none was made."""
    value = pull(context, START_TASK)
    return Started.model_validate(value) if value else None


def require_started(context: Context) -> Started:
    """The start request.

    :raises ValueError: when there is none, because the task was run by itself.
    """
    started = pull_started(context)
    if started is None:
        raise ValueError(f"this run has not asked for the model: run it together with {START_TASK}")
    return started


def pull_stopped(context: Context) -> Stopped | None:
    """The stop; None when there was none since the start request: a cleared run may still have its first time's."""
    value, started = pull(context, STOP_TASK), pull_started(context)
    stopped = Stopped.model_validate(value) if value else None
    return None if stopped and started and stopped.stopped_at < started.requested_at else stopped


def pull_running_at(context: Context) -> datetime | None:
    """When the model was seen running since the start request; a cleared run may still have its first time's moment."""
    value, started = pull(context, WAIT_TASK), pull_started(context)
    if not value or not started:
        return None
    # What a trigger ends its task with is encoded twice by Airflow 3.3: a text in quotes.
    seen_at = datetime.fromisoformat(value.strip('"'))
    return seen_at if seen_at >= started.requested_at else None


def pull(context: Context, task_id: str, key: str = "return_value") -> Any:
    """What a task returned, or pushed under another key; None when it did not."""
    return context["ti"].xcom_pull(task_ids=task_id, key=key)


def push_warning(context: Context, *warnings: str | None) -> None:
    """Keep a task's warnings for the report; None is no warning. A second call replaces those of the first."""
    if given := [warning for warning in warnings if warning]:
        context["ti"].xcom_push(_WARNING_KEY, given)


def pull_warnings(context: Context) -> list[str]:
    """What went wrong beside the run, in the order of its tasks."""
    pulled = (context["ti"].xcom_pull(task_ids=task, key=_WARNING_KEY) for task in (PLAN_TASK, START_TASK, STOP_TASK))
    # A run that was planned by an earlier version has one text here.
    return [warning for found in pulled if found for warning in ([found] if isinstance(found, str) else found)]
