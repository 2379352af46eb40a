"""Whether a run that holds a model still looks after it: one rule for the watchdog, which stops it, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

#: The task that stops the model, in our DAGs; in others it may be in a task group.
STOP_TASK = "stop_model"
#: A run without a task at work for longer is not scheduled any more. Between two tasks of a healthy one are seconds,
#: and a retry comes after ten.
IDLE = timedelta(minutes=2)
#: Airflow's states of a task that is at work, or will be. Not `up_for_retry`: a paused DAG keeps a task there for good.
#: One that waits for a person is at work until the lease expires, as it is where Airflow calls that `deferred`.
_AT_WORK = {"running", "queued", "scheduled", "deferred", "up_for_reschedule", "restarting", "awaiting_input"}
#: Airflow's states of a task that does not run again by itself.
_FINAL = {"success", "failed", "upstream_failed", "skipped", "removed"}
_ENDED = {"success", "failed"}


def why_left(run: str | None, tasks: Mapping[str, str | None], idle_for: timedelta) -> str | None:
    """Why a run will not stop its model any more, in words; None: it may.

    A run that has ended is over once its stop is, and where no task has that name, once all of them are: a run that was
    marked manually still has its teardown to run.

    :param run: Airflow's state of the run; None: it was deleted.
    :param tasks: Airflow's states of its tasks, by id; of a mapped one, with its index behind.
    :param idle_for: since when none of them is known to have been at work.
    """
    if run is None:
        return "the run was deleted"
    if run in _ENDED:
        stops = {task: state for task, state in tasks.items() if task.rpartition(".")[2] == STOP_TASK}
        if any(state not in _FINAL for state in (stops or tasks).values()):
            return None
        said = "".join(f", {task} {_word(state)}" for task, state in stops.items())
        return f"the run is over: it is {_word(run)}{said}"
    if run == "running" and idle_for >= IDLE and not any(state in _AT_WORK for state in tasks.values()):
        return f"no task of the run was at work for {IDLE.total_seconds():.0f} seconds: is its DAG paused or broken?"
    return None


def _word(state: str | None) -> str:
    """A state as people know it; Airflow gives texts that are enums of different kinds."""
    return str(getattr(state, "value", state))
