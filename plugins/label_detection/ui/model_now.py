"""Whether a pipeline's model is on: its lease and the watchdog, as Airflow's database has them.

The API server has the database; the Task SDK's Variables are for tasks.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from pydantic import ValidationError
from sqlalchemy import select

from include.lease import Lease, lease_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from include.pipelines import Pipeline
    from include.settings import Settings

_WATCHDOG = "label_detection_watchdog"
_WATCHDOG_TASK = "stop_expired_models"
#: Of the watchdog, which runs every ten minutes: a day.
_LOOKS = 144


def lease(session: Session, settings: Settings) -> dict[str, Any]:
    """Who holds the model, as `lease`; None: nobody. `lease_problem`: the Variable is there, and is no lease."""
    name = lease_name(settings.model_arn)
    variable = session.scalar(select(Variable).where(Variable.key == name))
    if variable is None:
        return {"lease": None, "lease_problem": None}
    try:
        held = Lease.model_validate_json(variable.val or "")
    except ValidationError:
        problem = f"The Variable {name} was edited: it is not a lease. Look after the model, then delete it."
        return {"lease": None, "lease_problem": problem}
    facts = held.model_dump(mode="json", include={"dag_id", "run_id", "since", "until", "units"})
    return {"lease": {**facts, "expired": held.has_expired(datetime.now(UTC))}, "lease_problem": None}


def watchdog(session: Session, pipeline: Pipeline) -> dict[str, Any]:
    """Its last run, and what it did lately to this pipeline's model alone."""
    last = session.execute(
        select(DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)
        .where(DagRun.dag_id == _WATCHDOG, DagRun.state.in_(["success", "failed"]))
        .order_by(DagRun.id.desc())
        .limit(1)
    ).first()
    if last is None:
        return {"state": None, "ended_at": None, "acted": []}
    ended_at = last.end_date.isoformat() if last.end_date else None
    return {"state": str(last.state), "ended_at": ended_at, "acted": _acted(session, pipeline)}


def _acted(session: Session, pipeline: Pipeline) -> list[dict[str, Any]]:
    returned = session.scalars(
        select(XComModel.value)
        .where(XComModel.dag_id == _WATCHDOG, XComModel.task_id == _WATCHDOG_TASK, XComModel.key == "return_value")
        .order_by(XComModel.dag_run_id.desc())
        .limit(_LOOKS)
    ).all()
    acted = [one for value in returned for one in _models(value)]
    own = [one for one in acted if one.get("dag_id") == pipeline.dag_id]
    return [{name: one.get(name) for name in ("run_id", "since", "why", "stopped")} for one in own[:10]]


def _models(value: Any) -> list[dict[str, Any]]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
