"""What a run's tasks tell each other, by XCom; and the lease, which outlives the run, in an Airflow Variable."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable
from pydantic import AwareDatetime, BaseModel, ValidationError

from include.lease import Lease, lease_name, lease_until
from include.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

SENSE_TASK = "wait_for_images"
PLAN_TASK = "plan_run"
START_TASK = "start_model"
WAIT_TASK = "wait_for_model"
STOP_TASK = "stop_model"
_PLAN_KEY = "plan"


class Started(BaseModel):
    """The start request: when it was made, whether the model was on already, and when workers must stop receiving."""

    requested_at: AwareDatetime
    adopted: bool
    units: int
    deadline: AwareDatetime


class Stopped(BaseModel):
    """When the model was off, and since when this run had it on; None: it was found off."""

    stopped_at: AwareDatetime
    on_since: AwareDatetime | None = None


def push_plan(context: Context, plan: Plan) -> None:
    """Make the plan known to the run's other tasks."""
    context["ti"].xcom_push(_PLAN_KEY, plan.model_dump(mode="json"))


def pull_plan(context: Context) -> Plan | None:
    """The run's plan; None when none was made."""
    value = context["ti"].xcom_pull(task_ids=PLAN_TASK, key=_PLAN_KEY)
    return Plan.model_validate(value) if value else None


def require_plan(context: Context) -> Plan:
    """The run's plan.

    :raises ValueError: when there is none, because the task was run by itself.
    """
    plan = pull_plan(context)
    if plan is None:
        raise ValueError(f"this run has no plan: run it together with {PLAN_TASK}")
    return plan


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
    """The stop; None when there was none."""
    value = pull(context, STOP_TASK)
    return Stopped.model_validate(value) if value else None


def pull(context: Context, task_id: str) -> Any:
    """What a task returned; None when it did not."""
    return context["ti"].xcom_pull(task_ids=task_id)


def read_lease(model_arn: str) -> Lease | None:
    """Who holds the model, if anybody."""
    value = Variable.get(lease_name(model_arn), default=None)
    try:
        return Lease.model_validate_json(value) if value else None
    except ValidationError as error:  # somebody has edited the variable
        log.warning("%s is not a lease, and is taken for none: %s", lease_name(model_arn), error)
        return None


def own_lease(context: Context, model_arn: str) -> Lease | None:
    """This run's lease on the model; None when somebody else holds it, or nobody."""
    lease = read_lease(model_arn)
    return lease if lease and lease.is_of(context["ti"].dag_id, context["run_id"]) else None


def take_lease(context: Context, plan: Plan) -> Lease:
    """Take the model from now on, or take it anew.

    :raises RuntimeError: when another DAG holds it.
    """
    arn, dag_id, now = plan.settings.model_arn, context["ti"].dag_id, datetime.now(UTC)
    held = read_lease(arn)
    if held and held.held_against(dag_id, now):
        raise RuntimeError(f"the model is held by {held.dag_id}, run {held.run_id}, until {held.until}")
    until = lease_until(now, plan.settings.max_model_minutes)
    lease = Lease(model_arn=arn, dag_id=dag_id, run_id=context["run_id"], since=now, until=until, units=plan.units)
    Variable.set(lease_name(arn), lease.model_dump_json(), description="Who holds the model, until when")
    return lease


def end_lease(context: Context, model_arn: str) -> None:
    """Give the model up, if it is this run that holds it."""
    if own_lease(context, model_arn):
        Variable.delete(lease_name(model_arn))
