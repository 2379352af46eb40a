"""Decides whether a run will still stop its model. The watchdog and the Airflow page use this rule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from label_detection_core.stored import Stored

#: The prefix of the Airflow Variables that remember what the watchdog saw. One per model.
SEEN_PREFIX = "label_detection_seen."
#: The id of the task that stops the model. In users' own DAGs it may be in a task group.
STOP_TASK = "stop_model"
#: If no task of a run was active for this long, Airflow does not schedule the run any more. In a healthy run there are
#: seconds between two tasks.
IDLE = timedelta(minutes=2)
#: If tasks of a run only wait, for a worker or for their retry, and nothing changes for this long, the run is given up.
STILL = timedelta(minutes=20)
#: Airflow's states of a task that is active. A task that waits for a person (`awaiting_input`, in some versions
#: `deferred`) is active until the lease expires.
_ACTIVE = {"running", "deferred", "up_for_reschedule", "restarting", "awaiting_input"}
#: Airflow's states of a task that Airflow should run later. `scheduled` and `up_for_retry` stay as they are while the
#: DAG is paused or its file is broken. A `queued` task is with the executor, which runs it in every case.
_WAITING = {"queued", "scheduled", "up_for_retry"}
_EXECUTORS = {"queued"}
#: Airflow's states of a task that will not run again automatically.
_FINAL = {"success", "failed", "upstream_failed", "skipped", "removed"}
_ENDED = {"success", "failed"}


class Seen(Stored):
    """What the watchdog saw of a run whose tasks only wait, kept between its looks.

    :param tasks: task id → Airflow's state.
    :param since: the first look that saw just this.
    """

    run_id: str
    tasks: dict[str, str | None]
    since: AwareDatetime


def seen_still(before: Seen | None, run_id: str, tasks: Mapping[str, str | None], now: datetime) -> Seen | None:
    """Return what to remember of a run; None: a task of it is active, or none waits.

    :param before: what was remembered before.
    """
    words = {task: _word(state) if state else None for task, state in tasks.items()}
    if _ACTIVE & {*words.values()} or not _WAITING & {*words.values()}:
        return None
    if before and (before.run_id, before.tasks) == (run_id, words):
        return before
    return Seen(run_id=run_id, tasks=words, since=now)


def why_left(
    run: str | None, tasks: Mapping[str, str | None], idle_for: timedelta, *, is_paused: bool = False
) -> str | None:
    """Return why a run will not stop its model any more, as text for people; None if the run may still stop it.

    In a run that a user marked as success or failed, the teardown still runs. So a finished run counts as over only
    when its stop tasks have ended, or all its tasks if none is named `stop_model`.

    :param run: Airflow's state of the run; None if the run was deleted.
    :param tasks: task id → Airflow's state of the task; the id of a mapped task includes its index.
    :param idle_for: for how long no task of the run is known to have been active.
    :param is_paused: whether the run's DAG is paused.
    """
    if run is None:
        return "the run was deleted"
    stops = {task: state for task, state in tasks.items() if task.rpartition(".")[2] == STOP_TASK}
    if run in _ENDED:
        if all(state in _FINAL for state in (stops or tasks).values()):
            stopped = "".join(f", {task} {_word(state)}" for task, state in stops.items())
            return f"the run is over: it is {_word(run)}{stopped}"
        return _why_idle(stops or tasks, stops, idle_for, is_paused=True) if is_paused else None
    return _why_idle(tasks, stops, idle_for, is_paused=is_paused) if run == "running" else None


def _why_idle(
    tasks: Mapping[str, str | None], stops: Mapping[str, str | None], idle_for: timedelta, *, is_paused: bool
) -> str | None:
    states = {*tasks.values()}
    if idle_for < IDLE or states & _ACTIVE:
        return None
    seconds = f"{IDLE.total_seconds():.0f} seconds"
    if is_paused and not states & _EXECUTORS:
        return f"its DAG is paused, and no task of the run was active for {seconds}"
    waiting = {task: _word(state) for task, state in tasks.items() if state in _WAITING}
    if not waiting:
        return f"no task of the run was active for {seconds}: is its DAG paused or broken?"
    if waiting.keys() <= stops.keys() and "up_for_retry" not in waiting.values():
        stop, state = next(iter(waiting.items()))
        return f"{stop} has been {state} for {seconds}: its DAG file is broken, or no worker is free"
    if idle_for >= STILL:
        return f"its tasks have only waited for {idle_for.total_seconds() / 60:.0f} minutes: is its DAG file broken?"
    return None


def _word(state: str | None) -> str:
    """Return a state as plain text: Airflow uses several enums for states."""
    return str(getattr(state, "value", state))
