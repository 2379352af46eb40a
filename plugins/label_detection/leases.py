"""The leases on models, which outlive the runs that took them: an Airflow Variable for each model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from label_detection.configuration import run_pipeline
from label_detection.variables import Variable
from label_detection_core.model.lease import LEASE_PREFIX, Lease, lease_name, lease_of, lease_until, watchdog_of
from label_detection_core.run.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


class TakenOverError(Exception):
    """Another run, or the same one anew, holds the model by now; or it was given up."""


@dataclass(frozen=True)
class Leases:
    """Leases, and a line for each variable that has a lease's name and is none.

    `abandoned`: those of other watchdogs that expired so long ago that theirs seem not to be there.
    """

    leases: list[Lease]
    problems: list[str]
    abandoned: list[Lease] = field(default_factory=list)


def all_leases(watchdog_dag_id: str | None = None) -> Leases:
    """Every lease, whoever took it. Variables that a secrets backend holds are not listed; ours are never there.

    :param watchdog_dag_id: this watchdog's alone, and `abandoned`. What is no lease is every watchdog's, unless it
        names its own.
    """
    found = Leases([], [])
    for name in sorted(Variable.keys(prefix=LEASE_PREFIX)):
        try:
            value = _value(name)
            if not value:  # it has ended meanwhile
                continue
            if watchdog_dag_id is None or watchdog_of(value) in {None, watchdog_dag_id}:
                found.leases.append(lease_of(name, value))
            elif _is_abandoned(value):
                found.abandoned.append(lease_of(name, value))
        except Exception as error:  # noqa: BLE001  # whatever it is: one variable must not keep the others back
            found.problems.append(str(error))
    return found


def read_lease(model_arn: str) -> Lease | None:
    """Who holds the model, if anybody.

    :raises RuntimeError: when Airflow does not say.
    """
    name = lease_name(model_arn)
    value = _value(name)
    try:
        return lease_of(name, value) if value else None
    except ValueError as error:  # somebody has edited the variable
        log.warning("%s; taken for none", error)
        return None


def own_lease(context: Context, model_arn: str) -> Lease | None:
    """This run's lease on the model; None when somebody else holds it, or nobody."""
    lease = read_lease(model_arn)
    return lease if lease and lease.is_of(context["ti"].dag_id, context["ti"].run_id) else None


def take_lease(context: Context, plan: Plan, *, start_asked: bool = False) -> Lease:
    """Take the model from now on, or take it anew.

    :param start_asked: whether the model is asked for next.
    :raises RuntimeError: when another DAG holds it.
    """
    settings, ti, now = plan.settings, context["ti"], datetime.now(UTC)
    lease = Lease(
        model_arn=settings.model_arn,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        since=now,
        until=lease_until(now, settings.max_model_minutes, settings.watchdog_grace_minutes),
        units=plan.units,
        aws_conn_id=settings.aws_conn_id,
        sns_topic_arn=settings.sns_topic_arn,
        dead_man_switch=settings.dead_man_switch_role_arn is not None,
        start_asked=start_asked,
        watchdog_dag_id=run_pipeline(context).watchdog_dag_id,
    )
    return claim(lease)


def check_not_held(model_arn: str, dag_id: str) -> Lease | None:
    """The lease that a DAG's run may replace, if there is one.

    :raises RuntimeError: when another DAG holds the model.
    """
    held = read_lease(model_arn)
    if held and held.held_against(dag_id, datetime.now(UTC)):
        raise RuntimeError(f"the model is held by {held.dag_id}, run {held.run_id}, until {held.until}")
    return held


def claim(lease: Lease) -> Lease:
    """Take the model by a lease that begins now; as it is written.

    :raises RuntimeError: when another DAG holds it.
    """
    held = check_not_held(lease.model_arn, lease.dag_id)
    if held and held.dead_man_switch:  # the run before has left one: it is still there, whatever is configured by now
        lease = lease.model_copy(update={"dead_man_switch": True})
    return put_lease(lease)


def put_lease(lease: Lease) -> Lease:
    """Write a lease, in the place of the one that is there."""
    name = lease_name(lease.model_arn)
    Variable.set(name, lease.model_dump_json(), description="Who holds the model, until when")
    return lease


def end_lease(lease: Lease) -> None:
    """Give the model up, if it is still this very lease that holds it."""
    if read_lease(lease.model_arn) == lease:
        Variable.delete(lease_name(lease.model_arn))


def _is_abandoned(value: str) -> bool:
    try:
        return Lease.model_validate_json(value).seems_abandoned(datetime.now(UTC))
    except ValidationError:
        return False  # the watchdog that it names reports it


def _value(name: str) -> str | None:
    """A variable's value, None when there is no such variable.

    Airflow's `get` gives the default also when the API server cannot be asked; a list of names is an error then.
    """
    value: str | None = Variable.get(name, default=None)
    if value is None and name in Variable.keys(prefix=name):
        value = Variable.get(name, default=None)
        if value is None and name in Variable.keys(prefix=name):
            raise RuntimeError(f"the variable {name} cannot be read now: Airflow's API server does not give it")
    return value
