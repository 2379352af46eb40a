"""Whether a run that holds a model is at work: one rule for the watchdog, which stops a model, and for the page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

#: A run without a task at work for longer is not scheduled any more. Between two tasks of a healthy one are seconds,
#: and a retry comes after ten.
IDLE = timedelta(minutes=2)
#: Airflow's states of a task that is at work, or will be. Not `up_for_retry`: a paused DAG keeps a task there for good.
_AT_WORK = {"running", "queued", "scheduled", "deferred", "up_for_reschedule", "restarting"}
#: Airflow's states of a teardown that does not run again by itself.
_FINAL = {"success", "failed", "upstream_failed", "skipped", "removed"}
_ENDED = {"success", "failed"}


def has_ended(run: str | None) -> bool:
    """Whether a run in this state has ended. One that was marked so by hand still has its teardown to run."""
    return run in _ENDED


def is_over(run: str | None, stop: str | None) -> bool:
    """Whether a run will not stop its model any more: it has ended, and so has its task that stops the model.

    :param run: Airflow's state of the run.
    :param stop: Airflow's state of that task; None: not scheduled yet, or there is none.
    """
    return has_ended(run) and stop in _FINAL


def is_at_work(tasks: Iterable[str | None]) -> bool:
    """Whether one of a run's tasks, given by Airflow's states, is at work or will be without anybody's doing."""
    return any(state in _AT_WORK for state in tasks)
