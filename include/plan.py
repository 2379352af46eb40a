"""How large a run is: inference units, tasks and workers, from the backlog."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from include.settings import Settings

#: A backlog that fits into this time gets no more units: units x time is the same money, starting them is not.
_TARGET_MINUTES = 30
#: A task costs Airflow seconds; with fewer images than this it is not worth its start.
_IMAGES_PER_TASK = 25
#: Seconds that one image keeps a worker busy: a detect of a few hundred milliseconds and five calls of S3.
_SECONDS_PER_IMAGE = 1.0
_MAX_WORKERS = 32


class Plan(BaseModel):
    """The run's decisions. The settings go along, so that a change of configuration in the middle changes no run."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    backlog: int  # messages waiting when the plan was made; SQS: approximate
    units: int
    tasks: int
    workers: int  # threads a task
    reason: str


def make_plan(settings: Settings, backlog: int) -> Plan:
    """Size a run for `backlog` messages."""
    rate = settings.images_per_second_per_unit
    wanted = math.ceil(backlog / (rate * 60 * _TARGET_MINUTES))
    units = min(max(wanted, settings.min_inference_units), settings.max_inference_units)
    tasks = min(max(math.ceil(backlog / _IMAGES_PER_TASK), 1), settings.max_tasks)
    workers = min(max(math.ceil(units * rate * _SECONDS_PER_IMAGE / tasks), 2), _MAX_WORKERS)
    minutes = backlog / (units * rate * 60)
    reason = (
        f"{backlog} messages at {rate:g} images/s per unit: {wanted or 1} unit(s) would do in {_TARGET_MINUTES} minutes"
        f", {settings.min_inference_units} to {settings.max_inference_units} are allowed; about {minutes:.1f} minutes"
    )
    return Plan(settings=settings, backlog=backlog, units=units, tasks=tasks, workers=workers, reason=reason)
