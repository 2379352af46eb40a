"""How large a run is: inference units and tasks, from the backlog and from what earlier runs have seen."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from label_detection_core.config.settings import Settings
from label_detection_core.drain.pace import AHEAD_SECONDS
from label_detection_core.labelling.conditions import Conditions
from label_detection_core.model.history import History

#: A task costs Airflow seconds; with fewer images than this it is not worth its start.
_IMAGES_PER_TASK = 25
#: What one task is given at most. `make bench` says what one core can do: more than twice that.
_IMAGES_PER_SECOND_PER_TASK = 50.0
#: Of a backlog that is worth it, so many tasks at least: one lost with its worker must not leave the model idle until
#: Airflow notices (300 s by default).
_TASKS = 2
#: Threads of a task at most. The pace says how many are at work.
MAX_WORKERS = 32
#: Seconds that an image is worked on, when no run has measured it: a detect and four calls of S3.
_SECONDS_PER_IMAGE = 0.5
#: A start that takes the whole of `max_model_minutes` would leave no time at all: of it, this share is for the images.
_LEAST_SHARE = 0.25


class Plan(BaseModel):
    """The run's decisions. The settings go along, so that a change of configuration in the middle changes no run."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    backlog: int  # messages waiting when the plan was made; SQS: approximate
    units: int
    max_units: int | None = None  # AWS may add units up to so many; None: it adds none
    tasks: int
    seconds_per_image: float = _SECONDS_PER_IMAGE
    start_seconds: tuple[float, float] | None = None  # the quickest and the slowest start of late; None: not known
    reason: str
    conditions: Conditions = Conditions()  # what the final bucket's S3 obeys

    @property
    def images_per_second(self) -> float:
        """What the units are expected to do."""
        return self.units * self.settings.images_per_second_per_unit


def make_plan(settings: Settings, backlog: int, history: History | None = None, fixed_units: int | None = None) -> Plan:
    """Size a run for `backlog` messages.

    Units times time is the same money however it is cut, but each unit is paid for while the model starts, waits for
    its first image and stops. So: the fewest units that label the backlog within `target_minutes`; or `fixed_units`,
    where the model has so many whatever it is asked for.
    """
    history = history or History()
    seconds_per_image = history.seconds_per_image or _SECONDS_PER_IMAGE
    minutes = _minutes_to_work(settings, history)
    rate = settings.images_per_second_per_unit
    wanted = max(math.ceil(backlog / (rate * 60 * minutes)), 1)
    units = fixed_units or min(max(wanted, settings.min_inference_units), settings.max_inference_units)
    may_grow = fixed_units is None and "max_inference_units" in settings.model_fields_set
    allowed = f"{settings.min_inference_units} to {settings.max_inference_units} are allowed"
    return Plan(
        settings=settings,
        backlog=backlog,
        units=units,
        max_units=settings.max_inference_units if may_grow else None,
        tasks=_tasks(settings, backlog, units * rate, seconds_per_image),
        seconds_per_image=seconds_per_image,
        start_seconds=history.start_range,
        reason=(
            f"{backlog} messages at {rate:g} images/s per unit: {wanted} unit(s) would do in {minutes:.3g} minutes"
            f", {f'the model has {fixed_units}' if fixed_units else allowed}; "
            f"with {units} about {backlog / (units * rate * 60):.1f} minutes"
        ),
    )


def _minutes_to_work(settings: Settings, history: History) -> float:
    """`target_minutes`, or what the start leaves of `max_model_minutes`."""
    start_minutes = history.start_range[1] / 60 if history.start_range else 0.0
    left = settings.max_model_minutes - start_minutes
    return min(settings.target_minutes, max(left, settings.max_model_minutes * _LEAST_SHARE))


def _tasks(settings: Settings, backlog: int, images_per_second: float, seconds_per_image: float) -> int:
    at_once = images_per_second * (seconds_per_image + AHEAD_SECONDS)
    wanted = max(_TASKS, images_per_second / _IMAGES_PER_SECOND_PER_TASK, at_once / MAX_WORKERS)
    return min(math.ceil(wanted), max(math.ceil(backlog / _IMAGES_PER_TASK), 1), settings.max_tasks)
