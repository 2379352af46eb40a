"""What a pipeline's model has cost today and this month, and what is left of each budget."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from label_detection.configuration import zone_of
from label_detection.ui import airflow
from label_detection_core.config.settings import SettingsError
from label_detection_core.model.ledger import LEDGER_PREFIX, ledger_of, total
from label_detection_core.run import budget
from label_detection_core.run.budget import Standing

if TYPE_CHECKING:
    from label_detection_core.config.pipeline import Pipeline
    from label_detection_core.config.settings import Settings


def costs(settings: Settings, pipeline: Pipeline) -> dict[str, Any]:
    """`day`, `month`: USD of this pipeline. `limits`: the budgets that hold for it. `problem`: why nothing is known."""
    now, zone = datetime.now(UTC), zone_of(settings.timezone)
    try:
        ledgers = [ledger_of(name, text) for name, text in airflow.variables(LEDGER_PREFIX).items()]
        limits = budget.limits_of(pipeline, settings)
    except (SettingsError, ValueError) as error:
        return {"day": None, "month": None, "limits": [], "problem": str(error)}
    day, month = (
        total(ledgers, *budget.period_of(option, now, zone), now, pipeline.dag_id).spent
        for option in (budget.DAY, budget.MONTH)
    )
    found = budget.standings(limits, ledgers, now, zone, pipeline.dag_id)
    return {"day": day, "month": month, "limits": [_facts(one) for one in found], "problem": None}


def _facts(standing: Standing) -> dict[str, Any]:
    return {
        "option": standing.limit.option,
        "scope": standing.limit.scope,
        "limit": standing.limit.usd,
        "spent": standing.cost.spent,
        "set_aside": standing.cost.set_aside,
        "left": standing.left,
        "ends_at": standing.end.isoformat(),
    }
