"""The state of a pipeline's model from its AWS service; its lease and the watchdog's actions from Airflow."""

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
#: Runs of the watchdog that are read: those of one day, at one run every ten minutes.
_LOOKS = 144
#: Cache of the return values of watchdog runs, by DAG, run and end of the run. They never change, and Airflow's API
#: returns only one per request.
_returned: dict[tuple[str, str, str], Any] = {}
_MOST_RETURNED = 10 * _LOOKS


def model(asked: Airflow, settings: Settings, state: ModelState | None, state_problem: str | None) -> dict[str, Any]:
    """The facts about a model that the overview shows.

    :param state: the state from `state_of`, read before this call; None: not known.
    :param state_problem: why the state is not known.
    :return: `lease`: the run that holds the model, or None. `lease_problem`: why the lease cannot be read, or None.
        `warning`: a problem that a person must look at, or None.
    """
    held, lease_problem = _lease(settings.model_arn)
    if held and held.kept_for_late_start:  # its run has ended, and nothing more is expected of it
        left = "its start request arrived after its stop" if state and state.is_on else None
    else:
        left = _why_left(asked, held) if held else None
    is_held = held is not None and not held.kept_for_late_start
    facts = held.model_dump(mode="json", include={"dag_id", "run_id", "since", "until"}) if held and is_held else None
    return {
        "model": settings.model_arn,
        "state": _facts(state) if state else None,
        "state_problem": state_problem,
        "lease": facts,
        "lease_problem": lease_problem,
        "warning": lease_problem or _warning(settings.model_arn, state, held, left),
    }


def state_of(settings: Settings) -> tuple[ModelState | None, str | None]:
    """The state of the model at its AWS service; or None and the reason why it is not known.

    Read it before the lease: a run takes the lease before it starts the model, and ends it after the model is off.
    """
    service = settings.model.type.name
    try:
        with said_in_words("The model's state", f"{service}:{{operation}}"):
            return clients.model_hook(settings).describe(), None
    except HTTPException as error:
        return None, str(error.detail)
    except LookupError as error:  # the model does not exist, or AWS ended its service
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
        return None, f"The Variable {name} was edited: it is not a lease. Check that the model is off, then delete it."


def _why_left(asked: Airflow, held: Lease) -> str | None:
    """Why the run of a lease will not end it; None if the run still can, or if the user may not read the run."""
    now = datetime.now(UTC)
    if held.has_expired(now):
        return f"its lease expired at {held.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    try:
        run = asked.run(held.dag_id, held.run_id)["state"]
        tasks = asked.tasks(held.dag_id, held.run_id)
        is_paused = asked.get("dags", held.dag_id)["is_paused"]
    except HTTPException as error:
        if error.status_code == 404:
            return why_left(None, {}, IDLE)
        if error.status_code == 403:
            return None
        raise
    ended = [datetime.fromisoformat(task["end_date"]) for task in tasks if task["end_date"]]
    # The end of the last task is the best measure of idle time in the API. A run that has ended has no task at work.
    idle_for = now - max([held.since, *ended])
    by_id = {f"{task['task_id']}_{task.get('map_index', -1)}".removesuffix("_-1"): task["state"] for task in tasks}
    left = why_left(run, by_id, idle_for, is_paused=is_paused)
    return left if idle_for >= IDLE else None


def _warning(model_arn: str, state: ModelState | None, held: Lease | None, left: str | None) -> str | None:
    by_hand = f"To stop the model manually: {stop_command(model_arn)}"
    if held and left:
        holder = f"Run {held.run_id} still holds the model, but {left}"
        if state and not state.is_on:
            off = "The model is off. The watchdog should end the lease within ten minutes"
            return f"{holder}. {off}. If it does not, open the watchdog's log."
        now = "The model is on and costs money" if state else "Whether the model is on is not known"
        return (
            f"{holder}. {now}. The watchdog should stop it within ten minutes. If it does not, open its log. {by_hand}"
        )
    if state and state.phase in {Phase.STARTING, Phase.RUNNING} and not held:
        return (
            "The model is on and costs money, but no run holds it: someone started it manually, or it was left on. "
            f"The watchdog does not stop it. The next run takes it over, and stops it when the run ends. {by_hand}"
        )
    if state and state.phase is Phase.UNUSABLE:
        return f"No run can start this model: its state is {state}"
    return None


def watchdog(asked: Airflow, pipeline: Pipeline) -> dict[str, Any]:
    """The watchdog's last run, and its recent actions on this pipeline's model. `problem`: why they are not known."""
    nothing: dict[str, Any] = {"state": None, "ended_at": None, "looks": 0, "acted": [], "problem": None}
    try:
        runs = asked.runs(pipeline.watchdog_dag_id, _LOOKS, states=("success", "failed"))
        for run in runs[:1]:  # requested each time, to check whether this user may read it
            _returned.pop(_key(pipeline.watchdog_dag_id, run), None)
        acted = [one for run in runs for one in _models(_what_it_returned(asked, pipeline.watchdog_dag_id, run))]
    except HTTPException as error:
        if error.status_code == 403:
            return nothing | {"problem": "You may not read the runs of the watchdog."}
        if error.status_code == 404:  # the DAG does not exist, or is not parsed yet
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
