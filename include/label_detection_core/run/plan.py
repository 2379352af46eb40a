"""The size of a run: inference units and mapped tasks, from the backlog and the measurements of earlier runs."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from label_detection_core.config.settings import Settings
from label_detection_core.drain.pace import AHEAD_SECONDS
from label_detection_core.labelling.conditions import Conditions
from label_detection_core.model.history import History

#: A run has at most one task per this number of images, because starting a task takes Airflow seconds.
_IMAGES_PER_TASK = 25
#: Images per second that the plan expects from one task. `make bench`: one core reaches more than twice this rate.
_IMAGES_PER_SECOND_PER_TASK = 50.0
#: Tasks at least, if the backlog has more than `_IMAGES_PER_TASK` images: when one task is lost with its worker, the
#: other one keeps the model busy until Airflow notices the loss (after 300 s by default).
_TASKS = 2
#: Threads per task at most. The pace decides how many of them work.
MAX_WORKERS = 32
#: Seconds of work per image until a run has measured it: one detect call and four S3 calls.
_SECONDS_PER_IMAGE = 0.5
#: Share of `max_model_minutes` that is planned for images at least, however long the start of the model takes.
_LEAST_SHARE = 0.25


#: Seconds from the deadline until the model is off, if no stop of the model is known. AWS publishes no limit.
_END_SECONDS = 330.0
#: If stops are known: the longest one, times this factor, and seconds for the images in work and for Airflow.
_STOP_FACTOR, _STOP_MARGIN = 1.2, 30.0


class Plan(BaseModel):
    """The decisions of a run, with its settings: a later change of the configuration does not affect the run."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    backlog: int  # messages that waited when the plan was made; SQS counts approximately
    units: int
    max_units: int | None = None  # AWS may add inference units up to this number; None: it adds none
    tasks: int
    seconds_per_image: float = _SECONDS_PER_IMAGE
    start_seconds: tuple[float, float] | None = None  # shortest and longest recent start; None: not known
    end_seconds: float = _END_SECONDS  # expected from the deadline until the model is off
    reason: str
    conditions: Conditions = Conditions()  # conditional requests that S3 of the final bucket obeys

    @property
    def images_per_second(self) -> float:
        """Expected rate of all inference units together."""
        return self.units * self.settings.images_per_second_per_unit


def make_plan(settings: Settings, backlog: int, history: History | None = None, fixed_units: int | None = None) -> Plan:
    """Size a run for `backlog` messages.

    Twice the units for half the time cost the same, but each unit is also paid for while the model starts, waits for
    its first image and stops. So the plan takes the fewest units that label the backlog within `target_minutes`.

    :param history: measurements of earlier runs; None: there are none.
    :param fixed_units: the number of units that the model always has; None: the plan chooses.
    """
    history = history or History()
    seconds_per_image = history.seconds_per_image or _SECONDS_PER_IMAGE
    minutes = _minutes_to_work(settings, history)
    rate = settings.images_per_second_per_unit
    wanted = units_for(backlog, rate, minutes)
    units = fixed_units or min(max(wanted, settings.min_inference_units), settings.max_inference_units)
    may_grow = fixed_units is None and "max_inference_units" in settings.model_fields_set
    allowed = f"{settings.min_inference_units} to {settings.max_inference_units} unit(s) are allowed"
    return Plan(
        settings=settings,
        backlog=backlog,
        units=units,
        max_units=settings.max_inference_units if may_grow else None,
        tasks=_tasks(settings, backlog, units * rate, seconds_per_image),
        seconds_per_image=seconds_per_image,
        start_seconds=history.start_range,
        end_seconds=max(history.stop_seconds) * _STOP_FACTOR + _STOP_MARGIN if history.stop_seconds else _END_SECONDS,
        reason=(
            f"{backlog} messages, {rate:g} pictures per second per inference unit: {wanted} unit(s) can label them in "
            f"{minutes:.3g} minutes; {f'the model has {fixed_units} unit(s)' if fixed_units else allowed}; "
            f"{units} unit(s) need about {backlog / (units * rate * 60):.1f} minutes"
        ),
    )


def units_for(backlog: int, images_per_second: float, minutes: float) -> int:
    """Return the fewest units of `images_per_second` each that label a backlog within `minutes`."""
    return max(math.ceil(backlog / (images_per_second * 60 * minutes)), 1)


def with_units(plan: Plan, units: int) -> Plan:
    """Return the plan with another number of units, and as many tasks as they need."""
    rate = units * plan.settings.images_per_second_per_unit
    tasks = _tasks(plan.settings, plan.backlog, rate, plan.seconds_per_image)
    return plan.model_copy(update={"units": units, "tasks": tasks})


def _minutes_to_work(settings: Settings, history: History) -> float:
    """Minutes for labelling: `target_minutes`, or less if the start leaves less of `max_model_minutes`."""
    start_minutes = history.start_range[1] / 60 if history.start_range else 0.0
    left = settings.max_model_minutes - start_minutes
    return min(settings.target_minutes, max(left, settings.max_model_minutes * _LEAST_SHARE))


def _tasks(settings: Settings, backlog: int, images_per_second: float, seconds_per_image: float) -> int:
    at_once = images_per_second * (seconds_per_image + AHEAD_SECONDS)
    wanted = max(_TASKS, images_per_second / _IMAGES_PER_SECOND_PER_TASK, at_once / MAX_WORKERS)
    return min(math.ceil(wanted), max(math.ceil(backlog / _IMAGES_PER_TASK), 1), settings.max_tasks)
