"""Compares a plan with the budget: what the ledgers say is spent, and what is left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from label_detection import ledger
from label_detection.configuration import run_pipeline, zone_of
from label_detection_core.config.settings import Settings, SettingsError
from label_detection_core.run import budget
from label_detection_core.run.budget import Standing
from label_detection_core.run.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import Context


class BudgetReachedError(Exception):
    """The budget does not pay for a run.

    `standing`: of the limit with the least left. `is_spent`: False if the money is only set aside for other runs.
    """

    def __init__(self, standing: Standing, least_usd: float) -> None:
        self.standing = standing
        self.is_spent = standing.left_of_spent < least_usd
        super().__init__(
            f"{standing}; a run costs at least {least_usd:.2f} USD, so nothing is started and the pictures stay queued"
        )


def fitted(context: Context, plan: Plan, fixed_units: int | None = None) -> Plan:
    """The plan, with a deadline that the budget pays for. Without a budget: the plan as it is.

    :raises BudgetReachedError: when the budget does not pay for a run.
    :raises AirflowFailException: when a limit of the configuration section is wrong.
    :raises ValueError: when a person has edited a ledger.
    """
    found = standings(context, plan.settings)
    if not found:
        return plan
    tightest = min(found, key=lambda standing: standing.left)
    if fits := budget.fit(plan, tightest.left, fixed_units):
        return fits
    raise BudgetReachedError(tightest, budget.least_usd(plan, fixed_units))


def standings(context: Context, settings: Settings) -> list[Standing]:
    """What is spent of each limit that holds for the run's pipeline."""
    pipeline = run_pipeline(context)
    try:
        limits = budget.limits_of(pipeline, settings)
    except SettingsError as error:
        raise AirflowFailException(f"the configuration has missing or wrong options:\n{error}") from None
    if not limits:
        return []
    return budget.standings(
        limits, ledger.read_ledgers(), datetime.now(UTC), zone_of(settings.timezone), context["ti"].dag_id
    )
