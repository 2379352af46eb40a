"""The leases on models, one Airflow Variable per model. A lease outlives the run that took it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from label_detection.configuration import run_pipeline
from label_detection.hooks import switch
from label_detection.variables import Variable
from label_detection_core.model.lease import LEASE_PREFIX, Lease, lease_name, lease_of, lease_until, watchdog_of
from label_detection_core.run.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

#: How often the removal of a replaced lease's switch is tried, and seconds between two tries.
_TRIES, _PAUSE = 3, 5.0


class TakenOverError(Exception):
    """The lease has changed: another run, or a later try of this run, holds the model now, or the lease was ended."""


@dataclass(frozen=True)
class Leases:
    """Result of reading the leases. `problems`: one line per variable that has a lease's name but is not a lease.

    `abandoned`: expired leases of other watchdogs that have not acted on them, so that these watchdogs seem missing.
    """

    leases: list[Lease]
    problems: list[str]
    abandoned: list[Lease] = field(default_factory=list)


def all_leases(watchdog_dag_id: str | None = None) -> Leases:
    """Every lease, of all runs and DAGs.

    Airflow does not list Variables of a secrets backend. Leases are never stored in one.

    :param watchdog_dag_id: return in `leases` only those that name this watchdog, and fill `abandoned`. A variable
        that is not a lease is reported to every watchdog, unless it names another one. None: all leases.
    """
    found = Leases([], [])
    for name in sorted(Variable.keys(prefix=LEASE_PREFIX)):
        try:
            value = _value(name)
            if not value:  # the lease was ended meanwhile
                continue
            if watchdog_dag_id is None or watchdog_of(value) in {None, watchdog_dag_id}:
                found.leases.append(lease_of(name, value))
            elif _is_abandoned(value):
                found.abandoned.append(lease_of(name, value))
        except Exception as error:  # noqa: BLE001  # any error: one variable must not hide the others
            found.problems.append(str(error))
    return found


def read_lease(model_arn: str) -> Lease | None:
    """The lease on the model; None when there is none.

    :raises RuntimeError: when Airflow cannot read the variable.
    """
    name = lease_name(model_arn)
    value = _value(name)
    try:
        return lease_of(name, value) if value else None
    except ValueError as error:  # a person has edited the variable
        log.warning("%s; the model counts as not leased", error)
        return None


def own_lease(context: Context, model_arn: str) -> Lease | None:
    """This run's lease on the model; None when another run or no run holds the model."""
    lease = read_lease(model_arn)
    return lease if lease and lease.is_of(context["ti"].dag_id, context["ti"].run_id) else None


def take_lease(context: Context, plan: Plan, *, start_asked: bool = False) -> tuple[Lease, str | None]:
    """Take the lease on the plan's model, or renew it; it begins now. Returns it, and the warning of `claim`.

    :param start_asked: whether the switch and the start request follow.
    :raises RuntimeError: when another DAG holds the model.
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
        dead_man_switch=start_asked and settings.dead_man_switch_role_arn is not None,
        start_asked=start_asked,
        watchdog_dag_id=run_pipeline(context).watchdog_dag_id,
        kept_for_late_start=False,  # given, so that the lease is not taken for one of version 1.0.0
    )
    return lease, claim(lease)


def check_not_held(model_arn: str, dag_id: str) -> Lease | None:
    """The current lease on the model, which a run of this DAG may replace; None when there is none.

    :raises RuntimeError: when another DAG holds the model.
    """
    held = read_lease(model_arn)
    if held and held.held_against(dag_id, datetime.now(UTC)):
        raise RuntimeError(
            f"the model is held by {held.dag_id}, run {held.run_id}, until {held.until}: "
            "try again when that run has ended"
        )
    return held


def claim(lease: Lease) -> str | None:
    """Write a lease that begins now. The switch of the lease that it replaces is removed first.

    :return: a warning when that switch could not be removed, else None.
    :raises RuntimeError: when another DAG holds the model.
    """
    held, warning = check_not_held(lease.model_arn, lease.dag_id), None
    if held and held.dead_man_switch:
        warning = _disarm(held)
        check_not_held(lease.model_arn, lease.dag_id)  # again, because the removal may have taken long
    put_lease(lease)
    return warning


def _disarm(held: Lease) -> str | None:
    """Remove the switch of a lease that is about to be replaced: nothing else knows its name. Returns a warning."""
    for _ in range(_TRIES - 1):
        if switch.disarm(held) is None:
            return None
        time.sleep(_PAUSE)
    return switch.disarm(held)


def put_lease(lease: Lease) -> Lease:
    """Write a lease, over the current one."""
    name = lease_name(lease.model_arn)
    Variable.set(name, lease.model_dump_json(), description="Which run holds the model, and until when")
    return lease


def end_lease(lease: Lease, *, switch_left: bool = False) -> None:
    """Delete a lease, unless another one has replaced it.

    :param switch_left: its switch could not be removed, and would stop the model of a later run. The lease is then
        kept for ten minutes, once, so that the watchdog or the next run tries again.
    """
    if switch_left and not lease.kept_for_late_start:
        keep_for_late_start(lease)
    elif read_lease(lease.model_arn) == lease:
        Variable.delete(lease_name(lease.model_arn))


def keep_for_late_start(lease: Lease) -> None:
    """Keep a lease for ten minutes after its run has ended, unless another one has replaced it.

    If the start request of the run arrives meanwhile, the watchdog finds the lease and stops the model.
    """
    if read_lease(lease.model_arn) == lease:
        put_lease(lease.kept(datetime.now(UTC)))


def _is_abandoned(value: str) -> bool:
    try:
        return Lease.model_validate_json(value).seems_abandoned(datetime.now(UTC))
    except ValidationError:
        return False  # not a lease: the watchdog that the variable names reports it


def _value(name: str) -> str | None:
    """A variable's value; None when there is no such variable.

    Airflow's `Variable.get` also returns the default when the API server does not answer, so a missing value proves
    nothing. `Variable.keys` raises an error in that case.
    """
    value: str | None = Variable.get(name, default=None)
    if value is None and name in Variable.keys(prefix=name):
        value = Variable.get(name, default=None)
        if value is None and name in Variable.keys(prefix=name):
            raise RuntimeError(
                f"the variable {name} cannot be read now: Airflow's API server lists it but does not return it"
            )
    return value
