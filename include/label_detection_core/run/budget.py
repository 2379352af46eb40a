"""The budget: what may be spent per day and per month, what is left of it, and a plan that fits into the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from label_detection_core.config import settings as options
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.settings import OptionPlace, Settings
from label_detection_core.model.ledger import Cost, Ledger, total
from label_detection_core.run.plan import Plan, with_units

DAY, MONTH = "max_cost_per_day", "max_cost_per_month"
#: Minutes that are expected for the start of a model whose starts are not known. AWS publishes no limit.
_START_MINUTES = 10.0
#: The smallest `max_model_minutes` that the options allow.
_SHORTEST_MINUTES = 0.01
#: A run is not worth its start if the budget pays for less work than this, in minutes, and more work waits.
_LEAST_WORK_MINUTES = 1.0


@dataclass(frozen=True)
class Limit:
    """A limit in USD. `own`: of one pipeline, which has set it; else of all pipelines of this Airflow together."""

    option: str
    usd: float
    own: bool

    @property
    def name(self) -> str:
        """The option and whose costs it limits, for people."""
        return f"{self.option} of {'this pipeline' if self.own else 'all pipelines'}"

    @property
    def scope(self) -> str:
        """`pipeline` or `all`."""
        return "pipeline" if self.own else "all"


@dataclass(frozen=True)
class Standing:
    """What is spent of a limit in the current day or month, from `begin` to `end`."""

    limit: Limit
    cost: Cost
    begin: datetime
    end: datetime

    @property
    def left(self) -> float:
        """USD that may still be spent."""
        return max(self.limit.usd - self.cost.spent - self.cost.set_aside, 0.0)

    @property
    def left_of_spent(self) -> float:
        """USD that may still be spent if the models that are on were stopped now."""
        return max(self.limit.usd - self.cost.spent, 0.0)

    def __str__(self) -> str:
        """One line for people."""
        aside = (
            f", and {self.cost.set_aside:.2f} USD are set aside for models that are on" if self.cost.set_aside else ""
        )
        spent = f"{self.limit.name}: {self.cost.spent:.2f} of {self.limit.usd:.2f} USD are spent"
        return f"{spent}{aside}; it begins again at {self.end:%Y-%m-%d %H:%M} UTC"


def limits_of(pipeline: Pipeline, settings: Settings) -> list[Limit]:
    """Return the limits that hold for a pipeline: its own, and those of the configuration section.

    A pipeline's own limit does not hide the limit for all.

    :raises SettingsError: with one line per option of the section that is wrong.
    """
    found = []
    for option in (DAY, MONTH):
        own = pipeline.own.source(option) is not None
        if own and (usd := getattr(settings, option)) is not None:
            found.append(Limit(option, usd, own=True))
        if (shared := _shared(pipeline, option)) is not None:
            found.append(Limit(option, shared, own=False))
    return found


def _shared(pipeline: Pipeline, option: str) -> float | None:
    value = pipeline.defaults(option)
    value = value.strip() if isinstance(value, str) else value
    if value in {None, ""}:
        return None
    usd: float | None = options.load_some({option: value}, OptionPlace())[option]
    return usd


def period_of(option: str, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the begin and the end of the current day or month in a time zone, in UTC."""
    here = now.astimezone(zone)
    begin = datetime(here.year, here.month, here.day if option == DAY else 1, tzinfo=zone)
    later = begin + timedelta(days=1 if option == DAY else 32)
    end = datetime(later.year, later.month, later.day if option == DAY else 1, tzinfo=zone)
    return begin.astimezone(UTC), end.astimezone(UTC)


def standings(
    limits: Iterable[Limit], ledgers: Sequence[Ledger], now: datetime, zone: tzinfo, dag_id: str
) -> list[Standing]:
    """Return what is spent of each limit. `ledgers`: of all models. `dag_id`: of the pipeline that has own limits."""
    found = []
    for limit in limits:
        begin, end = period_of(limit.option, now, zone)
        found.append(Standing(limit, total(ledgers, begin, end, now, dag_id if limit.own else None), begin, end))
    return found


def fit(plan: Plan, left: float, fixed_units: int | None = None) -> Plan | None:
    """Return the plan with a deadline, and if necessary fewer units, that `left` USD pay for; None: too little is left.

    The cost counts from the start request until the model is off. So the deadline leaves the time that the run needs to
    end. If the backlog costs more than is left, the fewest units label the most images, because each unit is also paid
    for while the model starts and stops. AWS is not asked to add units, which the ledger would not know.

    :param fixed_units: the number of units that the model always has; None: the plan chooses.
    """
    settings = plan.settings
    plan = plan.model_copy(update={"max_units": None})
    if not settings.price_per_unit_hour:
        return plan
    fewest = fixed_units or min(settings.min_inference_units, plan.units)
    for units in range(plan.units, fewest - 1, -1):
        paid = left / (settings.price_per_unit_hour * units) * 60
        if _minutes(plan, units) <= paid or units == fewest:
            break
    ending = plan.end_seconds / 60
    work = paid - ending - _start_minutes(plan)
    if work < min(_LEAST_WORK_MINUTES, _work_minutes(plan, units)) or paid - ending < _SHORTEST_MINUTES:
        return None
    minutes = min(settings.max_model_minutes, paid - ending)
    note = f"; the budget has {left:.2f} USD left"
    if minutes < settings.max_model_minutes or units < plan.units:
        note += f", which pay {units} unit(s) until {minutes:.3g} minutes after the start request"
    fitted = settings.model_copy(update={"max_model_minutes": minutes})
    return with_units(plan, units).model_copy(update={"settings": fitted, "reason": plan.reason + note})


def only_stopping(plan: Plan) -> Plan:
    """Return the plan with the shortest deadline: the run adopts a model that is on, labels nothing, and stops it."""
    return plan.model_copy(
        update={
            "settings": plan.settings.model_copy(update={"max_model_minutes": _SHORTEST_MINUTES}),
            "max_units": None,
        }
    )


def expected_minutes(plan: Plan) -> float:
    """Return how many minutes the plan expects the model to be on, from the start request until it is off."""
    return _minutes(plan, plan.units)


def least_usd(plan: Plan, fixed_units: int | None = None) -> float:
    """Return the USD that the shortest worthwhile run costs."""
    units = fixed_units or min(plan.settings.min_inference_units, plan.units)
    minutes = _start_minutes(plan) + min(_LEAST_WORK_MINUTES, _work_minutes(plan, units)) + plan.end_seconds / 60
    return minutes / 60 * units * plan.settings.price_per_unit_hour


def _minutes(plan: Plan, units: int) -> float:
    work = _start_minutes(plan) + _work_minutes(plan, units)
    return min(work, plan.settings.max_model_minutes) + plan.end_seconds / 60


def _start_minutes(plan: Plan) -> float:
    return plan.start_seconds[1] / 60 if plan.start_seconds else _START_MINUTES


def _work_minutes(plan: Plan, units: int) -> float:
    return plan.backlog / (units * plan.settings.images_per_second_per_unit) / 60
