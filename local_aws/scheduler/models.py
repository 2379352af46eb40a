"""Scheduler's state: moto's schedules, when each is due, and what has fired."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, scheduler_backends

from local_aws.scheduler.validation import due_at, universal_target

log = logging.getLogger(__name__)

# AWS fires within the minute; what was over before it was made is left alone.
LATE = timedelta(seconds=60)


@dataclass(frozen=True)
class Attempt:
    """One call of a target: when, and the error it was answered with, if any."""

    at: datetime
    error: str | None


@dataclass
class Fired:
    """A schedule that was due and the calls made for it; ``delivered`` is None while it may still be tried again."""

    arn: str
    due: datetime
    target: str
    attempts: list[Attempt] = field(default_factory=list)
    delivered: bool | None = None


class LocalSchedulerBackend(EventBridgeSchedulerBackend):
    """moto's Scheduler, which also knows what is due. Hold ``lock`` to see or change several things at once."""

    def __init__(self, region_name: str, account_id: str):
        super().__init__(region_name, account_id)
        self.lock = threading.RLock()
        self.fired: list[Fired] = []
        self._due: dict[str, tuple[datetime, Schedule]] = {}

    def create_schedule(self, *args: Any, **kwargs: Any) -> Schedule:
        """Make a schedule."""
        return self._plan(super().create_schedule, *args, **kwargs)

    def update_schedule(self, *args: Any, **kwargs: Any) -> Schedule:
        """Give a schedule other values, and so another time."""
        return self._plan(super().update_schedule, *args, **kwargs)

    def delete_schedule(self, group_name: str | None, name: str) -> None:
        """Delete a schedule; it does not fire any more."""
        with self.lock:
            schedule = self.get_schedule(group_name, name)
            super().delete_schedule(group_name, name)
            self._due.pop(schedule.arn, None)

    def take_due(self, now: datetime) -> list[tuple[datetime, Schedule]]:
        """The schedules whose time has come, each once."""
        with self.lock:
            taken = [arn for arn, (at, _) in self._due.items() if at <= now]
            return [due for arn in taken if self.has((due := self._due.pop(arn))[1])]

    def has(self, schedule: Schedule) -> bool:
        """Whether it is still there: neither deleted nor made again."""
        group = self.schedule_groups.get(schedule.group_name)
        return group is not None and group.schedules.get(schedule.name) is schedule

    def is_planned(self, schedule: Schedule) -> bool:
        """Whether it was updated and is due again."""
        return schedule.arn in self._due

    def _plan(self, change: Callable[..., Schedule], *args: Any, **kwargs: Any) -> Schedule:
        with self.lock:
            schedule = change(*args, **kwargs)
            schedule.state = schedule.state or "ENABLED"
            self._due.pop(schedule.arn, None)
            at = due_at(schedule.schedule_expression, schedule.schedule_expression_timezone)
            reason = _why_never(schedule, at)
            if reason:
                log.warning("schedule %s will not fire: %s", schedule.arn, reason)
            elif at is not None and schedule.state == "ENABLED":
                self._due[schedule.arn] = (at, schedule)
        return schedule


def _why_never(schedule: Schedule, at: datetime | None) -> str:
    if at is None:
        return f"{schedule.schedule_expression} recurs, and only one-time schedules fire here"
    if universal_target(schedule.target["Arn"]) is None:
        return f"its target is {schedule.target['Arn']}, and only universal targets are called here"
    if at < datetime.now(UTC) - LATE:
        return f"{schedule.schedule_expression} {schedule.schedule_expression_timezone} is over"
    return ""


def install() -> None:
    """Make moto serve this Scheduler; before its first request."""
    scheduler_backends.backend = LocalSchedulerBackend


def backend_of(account_id: str, region_name: str) -> LocalSchedulerBackend:
    """The Scheduler of an account and Region."""
    backend = scheduler_backends[account_id][region_name]
    if not isinstance(backend, LocalSchedulerBackend):
        raise TypeError("moto's Scheduler was used before the embedded one was installed")
    return backend
