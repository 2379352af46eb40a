"""Remembers since when messages wait, and whether a watcher has started a run, in Variables that outlive restarts."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Variable

from label_detection_core.config.settings import Settings
from label_detection_core.run.start_rule import Quiet, Waiting, quiet_name, waiting_name

_DESCRIPTION = "Since when messages wait in a queue, for the option start_at_minutes"
_QUIET_DESCRIPTION = "Until when the watcher of a queue starts no further run, for the option watch_queue"


def seen_since(settings: Settings, visible: int) -> datetime | None:
    """Since when messages wait, with what this look saw. None: nothing waits, or `start_at_minutes` is not used."""
    return seen_in(settings.queue_url, visible) if settings.start_at_minutes else None


def seen_in(queue_url: str, visible: int) -> datetime | None:
    """Since when messages wait in a queue, with what this look saw. None: nothing waits."""
    name = waiting_name(queue_url)
    text = Variable.get(name, default=None)
    before = Waiting.parse(text.encode()) if text else None
    after = Waiting.after_look(before, visible, datetime.now(UTC))
    if after is None:
        _forget(name, text)
    elif after != before:
        Variable.set(name, after.model_dump_json(), description=_DESCRIPTION)
    return after.since if after and visible else None


def may_start(queue_url: str, is_met: bool, is_held: bool) -> bool:
    """Whether a watcher of the queue starts a run now. It is remembered before, so that a restart starts no second.

    :raises RuntimeError: when Airflow does not keep it.
    """
    name = quiet_name(queue_url)
    text = Variable.get(name, default=None)
    before = Quiet.parse(text.encode()) if text else None
    starts, after = Quiet.after_look(before, is_met, is_held, datetime.now(UTC))
    if after is None:
        _forget(name, text)
    elif after != before:
        written = after.model_dump_json()
        Variable.set(name, written, description=_QUIET_DESCRIPTION)
        if starts and Variable.get(name, default=None) != written:  # Airflow 3.2 only logs a failed write
            raise RuntimeError(f"the variable {name} cannot be written: see Airflow's error above")
    return starts


def forget(settings: Settings) -> None:
    """A run takes the waiting messages: messages that come later have a time of their own."""
    if settings.start_at_minutes:
        name = waiting_name(settings.queue_url)
        _forget(name, Variable.get(name, default=None))


def _forget(name: str, text: str | None) -> None:
    if text:
        Variable.delete(name)
