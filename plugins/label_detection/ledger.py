"""The ledgers of costs, one Airflow Variable per model. They count for budgets, and never touch a stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from label_detection.configuration import pipeline_of
from label_detection.variables import Variable
from label_detection_core.model.lease import Lease
from label_detection_core.model.ledger import LEDGER_PREFIX, Entry, Ledger, Notified, ledger_name, ledger_of
from label_detection_core.run.budget import expected_minutes
from label_detection_core.run.plan import Plan

log = logging.getLogger(__name__)

#: The Variable that keeps for which used-up budgets a notice was sent.
_NOTIFIED = "label_detection_budget_notices"
#: Another task may write the same ledger at the same time, so each write is read again.
_TRIES = 3


def read_ledgers() -> list[Ledger]:
    """The ledgers of all models.

    :raises RuntimeError: when Airflow cannot read one.
    :raises ValueError: when a person has edited one.
    """
    return [ledger_of(name, _read(name)) for name in sorted(Variable.keys(prefix=LEDGER_PREFIX))]


def begin(lease: Lease, plan: Plan, units: int) -> None:
    """Write that the model is about to be on, or is on, for a run.

    :param units: the inference units that are asked for, or that an adopted model has.
    :raises RuntimeError: when Airflow does not keep the entry. Without a budget, that is only logged.
    """
    settings = plan.settings
    entry = Entry.of_lease(lease, settings.price_per_unit_hour).model_copy(
        update={"units": units, "expected_until": lease.since + timedelta(minutes=expected_minutes(plan))}
    )
    try:
        _change(lease.model_arn, lambda ledger: ledger.begun(entry))
    except Exception as error:
        if settings.max_cost_per_day is not None or settings.max_cost_per_month is not None:
            raise
        log.warning("cannot write the begin of run %s into the ledger of costs: %s", lease.run_id, error)


def end(lease: Lease, at: datetime, *, was_on: bool) -> str | None:
    """Write when the model was off. Returns a warning when that fails: it must not fail a stop.

    A start that no ledger has, of a run that an earlier version began, counts with the section's price.

    :param was_on: False: the model was found off, so an end that is known already counts.
    """
    if not lease.start_asked and not was_on:
        return None  # the run has not started the model
    try:
        _change(lease.model_arn, lambda ledger: ledger.ended(lease, at, lambda: _unknown(lease), was_on=was_on))
    except Exception as error:  # any error, also from a Variable that a person has edited
        log.exception("the ledger of costs cannot be written")
        return f"the cost of this run is not in the ledger that the budget counts: {error}"
    return None


def is_news(budget: str, period: str) -> bool:
    """Whether no notice was sent yet about a used-up budget. From now on, one was. `period`: with the limit."""
    try:
        before = Notified.model_validate_json(_read(_NOTIFIED) or "{}").notified
        if before.get(budget) == period:
            return False
        stored = Notified(notified={**before, budget: period}).model_dump_json()
        Variable.set(_NOTIFIED, stored, description="Used-up budgets that a notice was sent about")
    except Exception as error:  # noqa: BLE001  # any error: a second notice is better than none
        log.warning("cannot find out whether a notice about the budget was sent already: %s", error)
    return True


def _unknown(lease: Lease) -> Entry:
    return Entry.of_lease(lease, pipeline_of({}).option("price_per_unit_hour"))


def _change(model_arn: str, change: Callable[[Ledger], Ledger]) -> None:
    name = ledger_name(model_arn)
    for _ in range(_TRIES):
        before = ledger_of(name, _read(name))
        after = change(before)
        if after == before:
            return
        Variable.set(name, after.model_dump_json(), description="What this model has cost: its times, for budgets")
    raise RuntimeError(f"the variable {name} could not be written: another task may write it")


def _read(name: str) -> str | None:
    """A variable's value; None when there is none. `Variable.get` also returns None when Airflow does not answer."""
    value: str | None = Variable.get(name, default=None)
    if value is None and name in Variable.keys(prefix=name):
        raise RuntimeError(f"the variable {name} cannot be read now")
    return value
