"""Whether a pipeline's model is on, as its service says; its lease and the watchdog, as Airflow's database has them.

The API server has the database; the Task SDK's Variables are for tasks.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from airflow.utils.state import State, TaskInstanceState
from fastapi import HTTPException
from pydantic import ValidationError
from sqlalchemy import func, select

from label_detection.hooks.model import ModelState, Phase
from label_detection.ui import clients
from label_detection.ui.responses import said_in_words
from label_detection_core.config.model_kinds import model_of
from label_detection_core.model.lease import Lease, lease_name
from label_detection_core.run.notices import stop_command

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from label_detection_core.config.pipelines import Pipeline
    from label_detection_core.config.settings import Settings

_WATCHDOG = "label_detection_watchdog"
_WATCHDOG_TASK = "stop_expired_models"
#: Of the watchdog, which runs every ten minutes: a day.
_LOOKS = 144
#: The states of a task that is at work, or will be.
_AT_WORK = [state for state in State.unfinished - {None, TaskInstanceState.UP_FOR_RETRY} if state]
#: A run of which nothing goes on for longer is not scheduled any more. Between two tasks of a healthy one are seconds,
#: and a retry comes after ten.
_STUCK = timedelta(minutes=2)


def model(session: Session, settings: Settings, state: ModelState | None, state_problem: str | None) -> dict[str, Any]:
    """The model's `state` at its service, asked for before, and who holds it, as `lease`; None: not known, nobody.

    `state_problem`: why the state is not known. `lease_problem`: the Variable is there, and is no lease.
    `warning`: what a person has to look at.
    """
    held, lease_problem = _lease(session, settings.model_arn)
    left = _why_left(session, held) if held else None
    facts = held.model_dump(mode="json", include={"dag_id", "run_id", "since", "until"}) if held else None
    return {
        "model": settings.model_arn,
        "state": _facts(state) if state else None,
        "state_problem": state_problem,
        "lease": facts,
        "lease_problem": lease_problem,
        "warning": lease_problem or _warning(settings.model_arn, state, held, left),
    }


def state_of(settings: Settings) -> tuple[ModelState | None, str | None]:
    """Where the model is; or words about why that is not known.

    To be asked before the lease: a run takes that before it starts the model, and gives it up after the model is off.
    """
    service = model_of(settings.model_arn).kind.name
    try:
        with said_in_words("The model's state", f"{service}:{{operation}}"):
            return clients.model_hook(settings).describe(), None
    except HTTPException as error:
        return None, str(error.detail)
    except LookupError as error:  # there is no such model, or its service is no more
        return None, f"The model's state cannot be read: {error}"


def _facts(state: ModelState) -> dict[str, Any]:
    units = state.units if state.is_on else None
    return {"phase": state.phase.value, "status": state.status, "reason": state.reason, "units": units}


def _lease(session: Session, model_arn: str) -> tuple[Lease | None, str | None]:
    name = lease_name(model_arn)
    variable = session.scalar(select(Variable).where(Variable.key == name))
    if variable is None:
        return None, None
    try:
        return Lease.model_validate_json(variable.val or ""), None
    except ValidationError:
        return None, f"The Variable {name} was edited: it is not a lease. Look after the model, then delete it."


def _why_left(session: Session, held: Lease) -> str | None:
    """Why its run will not end a lease; None while it will."""
    now = datetime.now(UTC)
    if held.has_expired(now):
        return f"its time was over at {held.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    of_run = DagRun.dag_id == held.dag_id, DagRun.run_id == held.run_id
    run = session.scalar(select(DagRun.state).where(*of_run))
    if run is None:
        return "that run was deleted"
    of_tasks = TaskInstance.dag_id == held.dag_id, TaskInstance.run_id == held.run_id
    if session.scalar(select(TaskInstance.task_id).where(*of_tasks, TaskInstance.state.in_(_AT_WORK)).limit(1)):
        return None
    ended = session.scalar(select(func.max(TaskInstance.end_date)).where(*of_tasks))
    if now - max(held.since, ended or held.since) < _STUCK:
        return None
    if run in State.finished_dr_states:
        return f"that run is over ({run}), and did not give it up"
    return "no task of that run is at work: is its DAG paused, or its file broken?"


def _warning(model_arn: str, state: ModelState | None, held: Lease | None, left: str | None) -> str | None:
    by_hand = f"To stop it by hand: {stop_command(model_arn)}"
    if held and left:
        holder = f"Run {held.run_id} still holds the model, but {left}"
        if state and not state.is_on:
            return f"{holder}. The model is off. The watchdog should end this within ten minutes: look there if not."
        now = "It is on, and costs money" if state else "Whether it is on is not known"
        return f"{holder}. {now}. The watchdog should stop it within ten minutes: look there if not. {by_hand}"
    if state and state.phase in {Phase.STARTING, Phase.RUNNING} and not held:
        return (
            "The model is on, costs money, and no run holds it: somebody has started it by hand, or it was left on. "
            f"The watchdog leaves it alone; the next run takes it over, and stops it at its end. {by_hand}"
        )
    if state and state.phase is Phase.UNUSABLE:
        return f"No run can start this model: it is {state}"
    return None


def watchdog(session: Session, pipeline: Pipeline) -> dict[str, Any]:
    """Its last run, and what it did lately to this pipeline's model alone."""
    last = session.execute(
        select(DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)
        .where(DagRun.dag_id == _WATCHDOG, DagRun.state.in_(["success", "failed"]))
        .order_by(DagRun.id.desc())
        .limit(1)
    ).first()
    if last is None:
        return {"state": None, "ended_at": None, "looks": 0, "acted": []}
    ended_at = last.end_date.isoformat() if last.end_date else None
    looks, acted = _acted(session, pipeline)
    return {"state": str(last.state), "ended_at": ended_at, "looks": looks, "acted": acted}


def _acted(session: Session, pipeline: Pipeline) -> tuple[int, list[dict[str, Any]]]:
    """At how many of its runs was looked, and what those did."""
    returned = session.scalars(
        select(XComModel.value)
        .where(XComModel.dag_id == _WATCHDOG, XComModel.task_id == _WATCHDOG_TASK, XComModel.key == "return_value")
        .order_by(XComModel.dag_run_id.desc())
        .limit(_LOOKS)
    ).all()
    acted = [one for value in returned for one in _models(value)]
    own = [one for one in acted if one.get("dag_id") == pipeline.dag_id]
    return len(returned), [{name: one.get(name) for name in ("run_id", "why", "stopped")} for one in own[:10]]


def _models(value: Any) -> list[dict[str, Any]]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
