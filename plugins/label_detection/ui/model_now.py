"""Whether a pipeline's model is on, as its service says; who holds it and what the watchdog did, as Airflow says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException

from label_detection.hooks.model import ModelState, Phase
from label_detection.ui import airflow, clients
from label_detection.ui.responses import said_in_words
from label_detection_core.model.at_work import IDLE, why_left
from label_detection_core.model.lease import Lease, lease_name, lease_of
from label_detection_core.run.notices import stop_command

if TYPE_CHECKING:
    from label_detection.ui.airflow import Airflow
    from label_detection_core.config.pipeline import Pipeline
    from label_detection_core.config.settings import Settings

_WATCHDOG_TASK = "stop_expired_models"
#: Of the watchdog, which runs every ten minutes: a day.
_LOOKS = 144
#: What runs of watchdogs have returned, by DAG, run and its end: that never changes, and Airflow gives one at a time.
_returned: dict[tuple[str, str, str], Any] = {}
_MOST_RETURNED = 10 * _LOOKS


def model(asked: Airflow, settings: Settings, state: ModelState | None, state_problem: str | None) -> dict[str, Any]:
    """The model's `state` at its service, asked for before, and who holds it, as `lease`; None: not known, nobody.

    `state_problem`: why the state is not known. `lease_problem`: the Variable is there, and is no lease.
    `warning`: what a person has to look at.
    """
    held, lease_problem = _lease(settings.model_arn)
    left = _why_left(asked, held) if held else None
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
    service = settings.model.kind.name
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


def _lease(model_arn: str) -> tuple[Lease | None, str | None]:
    name = lease_name(model_arn)
    value = airflow.variable(name)
    if value is None:
        return None, None
    try:
        return lease_of(name, value), None
    except ValueError:
        return None, f"The Variable {name} was edited: it is not a lease. Look after the model, then delete it."


def _why_left(asked: Airflow, held: Lease) -> str | None:
    """Why its run will not end a lease; None while it will, or when the user may not read that run."""
    now = datetime.now(UTC)
    if held.has_expired(now):
        return f"its time was over at {held.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    try:
        run = asked.run(held.dag_id, held.run_id)["state"]
        tasks = asked.tasks(held.dag_id, held.run_id)
    except HTTPException as error:
        if error.status_code == 404:
            return why_left(None, {}, IDLE)
        if error.status_code == 403:
            return None
        raise
    ended = [datetime.fromisoformat(task["end_date"]) for task in tasks if task["end_date"]]
    # The last one's end is as near as the API comes to it; a run that is over has no task that could be at work.
    idle_for = now - max([held.since, *ended])
    by_id = {f"{task['task_id']}_{task.get('map_index', -1)}".removesuffix("_-1"): task["state"] for task in tasks}
    left = why_left(run, by_id, idle_for)
    return left if idle_for >= IDLE else None


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


def watchdog(asked: Airflow, pipeline: Pipeline) -> dict[str, Any]:
    """Its last run, and what it did lately to this pipeline's model alone; `problem`: why that is not known."""
    nothing: dict[str, Any] = {"state": None, "ended_at": None, "looks": 0, "acted": [], "problem": None}
    try:
        runs = asked.runs(pipeline.watchdog_dag_id, _LOOKS, states=("success", "failed"))
        for run in runs[:1]:  # asked again each time: whether this user may read it
            _returned.pop(_key(pipeline.watchdog_dag_id, run), None)
        acted = [one for run in runs for one in _models(_what_it_returned(asked, pipeline.watchdog_dag_id, run))]
    except HTTPException as error:
        if error.status_code == 403:
            return nothing | {"problem": "You may not read the runs of the watchdog."}
        if error.status_code == 404:  # its file is not there, or not parsed yet
            return nothing
        raise
    if not runs:
        return nothing
    own = [one for one in acted if one.get("dag_id") == pipeline.dag_id][:10]
    shown = [{name: one.get(name) for name in ("run_id", "why", "stopped")} for one in own]
    last = {"state": runs[0]["state"], "ended_at": runs[0]["end_date"]}
    return nothing | last | {"looks": len(runs), "acted": shown}


def _what_it_returned(asked: Airflow, dag_id: str, run: dict[str, Any]) -> Any:
    key = _key(dag_id, run)
    if key not in _returned:
        found = asked.returned(dag_id, run["dag_run_id"], _WATCHDOG_TASK)
        while len(_returned) >= _MOST_RETURNED:
            _returned.pop(next(iter(_returned)), None)  # the oldest
        _returned[key] = found
        return found
    return _returned[key]


def _key(dag_id: str, run: dict[str, Any]) -> tuple[str, str, str]:
    return dag_id, run["dag_run_id"], str(run["end_date"])


def _models(value: Any) -> list[dict[str, Any]]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
