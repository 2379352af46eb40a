"""Decides whether a run will still stop its model. The watchdog and the Airflow page use this rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

#: The id of the task that stops the model. In users' own DAGs it may be in a task group.
STOP_TASK = "stop_model"
#: If no task of a run was active for this long, Airflow does not schedule the run any more. In a healthy run there are
#: seconds between two tasks, and ten seconds before a retry.
IDLE = timedelta(minutes=2)
#: Airflow's states of a task that is active or will be. Not `up_for_retry`: in a paused DAG, a task stays in that
#: state. A task that waits for a person (`awaiting_input`, in some versions `deferred`) is active until the lease
#: expires.
_AT_WORK = {"running", "queued", "scheduled", "deferred", "up_for_reschedule", "restarting", "awaiting_input"}
#: Airflow's states of a task that will not run again automatically.
_FINAL = {"success", "failed", "upstream_failed", "skipped", "removed"}
_ENDED = {"success", "failed"}


def why_left(run: str | None, tasks: Mapping[str, str | None], idle_for: timedelta) -> str | None:
    """Return why a run will not stop its model any more, as text for people; None if the run may still stop it.

    In a run that a user marked as success or failed, the teardown still runs. So a finished run counts as over only
    when its stop tasks have ended, or all its tasks if none is named `stop_model`.

    :param run: Airflow's state of the run; None if the run was deleted.
    :param tasks: task id → Airflow's state of the task; the id of a mapped task includes its index.
    :param idle_for: for how long no task of the run is known to have been active.
    """
    if run is None:
        return "the run was deleted"
    if run in _ENDED:
        stops = {task: state for task, state in tasks.items() if task.rpartition(".")[2] == STOP_TASK}
        if any(state not in _FINAL for state in (stops or tasks).values()):
            return None
        stopped = "".join(f", {task} {_word(state)}" for task, state in stops.items())
        return f"the run is over: it is {_word(run)}{stopped}"
    if run == "running" and idle_for >= IDLE and not any(state in _AT_WORK for state in tasks.values()):
        return f"no task of the run was active for {IDLE.total_seconds():.0f} seconds: is its DAG paused or broken?"
    return None


def _word(state: str | None) -> str:
    """Return a state as plain text: Airflow uses several enums for states."""
    return str(getattr(state, "value", state))
