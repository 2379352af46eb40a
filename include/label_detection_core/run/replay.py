"""Replays the arrivals of images: what another schedule, start rule or number of units would have cost.

The replay is arithmetic, without Airflow and AWS. It looks at the queue as runs do: at the times of the schedule, one
run at a time, with the start rule and the number of units that a run would have chosen.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import combinations, pairwise
from statistics import median

from croniter import croniter

from label_detection_core.run.plan import units_for
from label_detection_core.run.start_rule import StartRule, Waiting
from label_detection_core.run.stored_report import ModelCost, StoredReport

#: Images per second of a unit, until reports show another rate.
_USUAL_RATE = 5.0
#: Seconds after the last arrival, and after the rule's minutes, at which a replay ends: more than a week.
_LONGEST_INTERVAL = 8 * 86_400


@dataclass(frozen=True)
class Speed:
    """How long the phases of a run take, in seconds.

    :param start: from the start request until the model is running.
    :param idle: from running to the stop request, without the time for images.
    :param stop: from the stop request until the model is off.
    :param rate: images per second of one inference unit.
    """

    start: float
    idle: float = 5.0
    stop: float = 30.0
    rate: float = _USUAL_RATE

    def on_seconds(self, images: int, units: int) -> float:
        """Seconds that the model is on for images that all wait at the start."""
        return self.start + self.idle + self.stop + images / (self.rate * units)

    @classmethod
    def measured(cls, reports: Iterable[StoredReport], usual_rate: float = _USUAL_RATE) -> Speed:
        """Return the speed that reports show. :raises ValueError: when no report has the times of its model.

        The rate is the median of the rates between each two runs of different sizes; without two such runs, it is
        `usual_rate`.
        """
        runs = [run for report in reports if (run := _Phases.of(report))]
        if not runs:
            raise ValueError("no report has the times of a model that it started and stopped")
        slopes = [
            (b.running - a.running) / (b.work - a.work)
            for a, b in combinations(sorted(runs, key=lambda run: run.work), 2)
            if b.work > a.work and b.work >= 2 * a.work
        ]
        slope = median(slopes) if slopes else 0.0
        slope = slope if slope > 0 else 1 / usual_rate
        return cls(
            start=median(run.start for run in runs),
            idle=max(median(run.running - run.work * slope for run in runs), 0.0),
            stop=median(run.stop for run in runs),
            rate=1 / slope,
        )


@dataclass(frozen=True)
class _Phases:
    """The times of one run, in seconds. `work`: images that the model answered, per inference unit."""

    start: float
    running: float
    stop: float
    work: float

    @classmethod
    def of(cls, report: StoredReport) -> _Phases | None:
        model: ModelCost = report.model
        times = [
            _moment(text) for text in (model.requested_at, model.running_at, model.stop_asked_at, model.stopped_at)
        ]
        known = [time for time in times if time]
        if model.adopted or not model.units or len(known) < len(times):
            return None
        start, running, stop = ((later - earlier).total_seconds() for earlier, later in pairwise(known))
        return cls(start, running, stop, report.calls.answered / model.units)


@dataclass(frozen=True)
class Strategy:
    """When runs look at the queue, and what they start. `units`: the fewest and the most inference units.

    The other values are those of the options with these names.
    """

    schedule: str
    rule: StartRule
    units: tuple[int, int] = (1, 1)
    wait_minutes: float = 5.0
    target_minutes: float = 30.0
    max_model_minutes: float = 60.0

    def units_for(self, backlog: int, speed: Speed) -> int:
        """The inference units that a run asks for, as `make_plan` chooses them."""
        minutes = min(self.target_minutes, max(self.max_model_minutes - speed.start / 60, self.max_model_minutes / 4))
        return min(max(units_for(backlog, speed.rate, minutes), self.units[0]), self.units[1])


@dataclass
class Outcome:
    """What a strategy costs: runs that started the model, unit-hours, and the seconds that each image waited.

    An image waits from its arrival until it is labelled. `left`: images that still wait at the end of the replay.
    """

    strategy: Strategy
    starts: int = 0
    unit_hours: float = 0.0
    waits: list[float] = field(default_factory=list)
    left: int = 0

    def waited(self, share: float) -> float | None:
        """Seconds that this share (0-1) of the images waited at most; None without images."""
        waits = sorted(self.waits)
        return waits[max(math.ceil(share * len(waits)), 1) - 1] if waits else None


def replay(arrivals: Sequence[datetime], strategy: Strategy, speed: Speed) -> Outcome:
    """Replay arrivals, in any order, with a strategy. It ends when all images are labelled, or when none ever will.

    :param arrivals: when each image arrived. The schedule is in the time zone of the first.
    """
    images = sorted(arrivals)
    outcome = Outcome(strategy)
    if not images:
        return outcome
    times, zone = [image.timestamp() for image in images], images[0].tzinfo
    done, off_at, remembered = 0, 0.0, None
    end = times[-1] + 60 * strategy.rule.minutes + _LONGEST_INTERVAL
    tick = croniter(strategy.schedule, images[0]).get_prev(float)  # its run may still watch the empty queue
    while done < len(times) and tick <= end:
        now = max(tick, off_at)
        if now < times[done] <= now + 60 * strategy.wait_minutes:
            now = times[done]  # a run watches an empty queue for that time
        visible, moment = bisect_right(times, now) - done, datetime.fromtimestamp(now, zone)
        remembered = Waiting.after_look(remembered, visible, moment)
        since = remembered.since if remembered else None
        off_at = now
        if strategy.rule.is_met(visible, since, moment):
            remembered = None
            done, off_at = _run(outcome, times, done, now, strategy.units_for(visible, speed), speed)
        tick = _next_tick(strategy.schedule, tick, off_at, zone)
    outcome.left = len(times) - done
    return outcome


def _next_tick(schedule: str, tick: float, off_at: float, zone: tzinfo | None) -> float:
    """The next time of a schedule. Of the times that passed during a run, only the last one is kept (no catchup)."""
    following: float = croniter(schedule, datetime.fromtimestamp(tick, zone)).get_next(float)
    if following >= off_at:
        return following
    latest: float = croniter(schedule, datetime.fromtimestamp(off_at, zone)).get_prev(float)
    return max(latest, following)


def _run(
    outcome: Outcome, times: Sequence[float], done: int, begin: float, units: int, speed: Speed
) -> tuple[int, float]:
    """Label images until none waits or the model's time is up; returns the images done, and when the model is off."""
    per_image = 1 / (speed.rate * units)
    deadline = begin + 60 * outcome.strategy.max_model_minutes
    now = begin + speed.start + speed.idle
    while done < len(times) and times[done] <= now < deadline:
        now += per_image
        outcome.waits.append(now - times[done])
        done += 1
    off = now + speed.stop
    outcome.starts += 1
    outcome.unit_hours += (off - begin) * units / 3600
    return done, off


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def a_month(seed: int = 7) -> list[datetime]:
    """Return the arrivals of a made-up month: a line that works on weekdays, and single pictures in between.

    On weekdays from 6 to 22 o'clock UTC, 40 pictures an hour arrive in the mean; at other times one in two hours.
    """
    draw = random.Random(seed)  # noqa: S311  # no secret
    now, found = datetime(2026, 6, 1, tzinfo=UTC), []
    end = now + timedelta(days=30)
    while now < end:
        per_hour = 40.0 if now.weekday() < 5 and 6 <= now.hour < 22 else 0.5
        gap = draw.expovariate(per_hour)
        now += timedelta(hours=min(gap, 1.0))
        if gap < 1.0:
            found.append(now)
    return found
