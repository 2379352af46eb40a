"""Remembers, in one Airflow Variable per queue, since when messages wait. It outlives runs and restarts."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Variable

from label_detection_core.config.settings import Settings
from label_detection_core.run.start_rule import Waiting, waiting_name

_DESCRIPTION = "Since when messages wait in a queue, for the option start_at_minutes"


def seen_since(settings: Settings, visible: int) -> datetime | None:
    """Since when messages wait, with what this look saw. None: nothing waits, or `start_at_minutes` is not used."""
    if not settings.start_at_minutes:
        return None
    name = waiting_name(settings.queue_url)
    text = Variable.get(name, default=None)
    before = Waiting.parse(text.encode()) if text else None
    after = Waiting.after_look(before, visible, datetime.now(UTC))
    if after is None:
        _forget(name, text)
    elif after != before:
        Variable.set(name, after.model_dump_json(), description=_DESCRIPTION)
    return after.since if after and visible else None


def forget(settings: Settings) -> None:
    """A run takes the waiting messages: messages that come later have a time of their own."""
    if settings.start_at_minutes:
        name = waiting_name(settings.queue_url)
        _forget(name, Variable.get(name, default=None))


def _forget(name: str, text: str | None) -> None:
    if text:
        Variable.delete(name)
