"""Scheduler's state: moto's schedules, their due times, and the schedules that have fired."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.scheduler.models import EventBridgeSchedulerBackend, Schedule, scheduler_backends

from local_aws.scheduler.validation import due_at, universal_target

log = logging.getLogger(__name__)

# AWS fires within a minute. A schedule whose time was longer ago when it was created never fires.
LATE = timedelta(seconds=60)


@dataclass(frozen=True)
class Attempt:
    """One call of a target, with its time and its error, or None."""

    at: datetime
    error: str | None


@dataclass
class Fired:
    """A schedule that has fired, with its calls; ``delivered`` is None while a retry may follow."""

    arn: str
    due: datetime
    target: str
    attempts: list[Attempt] = field(default_factory=list)
    delivered: bool | None = None


class LocalSchedulerBackend(EventBridgeSchedulerBackend):
    """moto's Scheduler plus the due times of schedules. Hold ``lock`` to read or change several values together."""

    def __init__(self, region_name: str, account_id: str):
        super().__init__(region_name, account_id)
        self.lock = threading.RLock()
        self.fired: list[Fired] = []
        self._due: dict[str, tuple[datetime, Schedule]] = {}

    def create_schedule(self, *args: Any, **kwargs: Any) -> Schedule:
        """Create a schedule and note its due time."""
        return self._plan(super().create_schedule, *args, **kwargs)

    def update_schedule(self, *args: Any, **kwargs: Any) -> Schedule:
        """Update a schedule and its due time."""
        return self._plan(super().update_schedule, *args, **kwargs)

    def delete_schedule(self, group_name: str | None, name: str) -> None:
        """Delete a schedule; it no longer fires."""
        with self.lock:
            schedule = self.get_schedule(group_name, name)
            super().delete_schedule(group_name, name)
            self._due.pop(schedule.arn, None)

    def take_due(self, now: datetime) -> list[tuple[datetime, Schedule]]:
        """The schedules that are due, with their due times; each is returned once."""
        with self.lock:
            taken = [arn for arn, (at, _) in self._due.items() if at <= now]
            return [due for arn in taken if self.has((due := self._due.pop(arn))[1])]

    def has(self, schedule: Schedule) -> bool:
        """Whether the schedule still exists, neither deleted nor created again with its name."""
        group = self.schedule_groups.get(schedule.group_name)
        return group is not None and group.schedules.get(schedule.name) is schedule

    def is_planned(self, schedule: Schedule) -> bool:
        """Whether the schedule will fire again, because it was updated."""
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
        return f"{schedule.schedule_expression} recurs, and the embedded AWS fires only one-time schedules"
    if universal_target(schedule.target["Arn"]) is None:
        return f"its target is {schedule.target['Arn']}, and the embedded AWS calls only universal targets"
    if at < datetime.now(UTC) - LATE:
        return f"{schedule.schedule_expression} {schedule.schedule_expression_timezone} is in the past"
    return ""


def install() -> None:
    """Make moto serve this Scheduler; call it before moto's first request."""
    scheduler_backends.backend = LocalSchedulerBackend


def backend_of(account_id: str, region_name: str) -> LocalSchedulerBackend:
    """The Scheduler of an account and Region."""
    backend = scheduler_backends[account_id][region_name]
    if not isinstance(backend, LocalSchedulerBackend):
        raise TypeError("moto's Scheduler was used before the embedded one: call scheduler.models.install first")
    return backend
