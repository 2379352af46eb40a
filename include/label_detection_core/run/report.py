"""A run in numbers, from its journal: `runs/<run id>/report.json`, and the same for people as `report.html`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AwareDatetime, BaseModel

from label_detection_core import __version__
from label_detection_core.queue.image_queue import Depth
from label_detection_core.run.plan import Plan
from label_detection_core.run.sample_schedule import sample_model_seconds
from label_detection_core.run.stored_report import SCHEMA, StoredReport
from label_detection_core.run.totals import Totals
from label_detection_core.stored import WRITING

#: Bars of the plot at most.
_BARS = 60


class ModelUse(BaseModel):
    """When the model was asked for, ran, was asked to stop, was off. None: did not happen, or is not known."""

    units: int
    requested_at: AwareDatetime | None = None
    adopted: bool = False
    running_at: AwareDatetime | None = None
    stop_asked_at: AwareDatetime | None = None
    stopped_at: AwareDatetime | None = None


class Bar(NamedTuple):
    """A piece of the run: when it began, in seconds since the model ran; images a second; sends that were throttled."""

    begin: float
    images_per_second: float
    throttled: int


class Report(BaseModel):
    """What a run did, left, and cost.

    `minutes` counts from the start request until the model was off (else: until now), which is a little more than AWS
    bills; `cost_usd` is that time for the units asked for.
    """

    dag_id: str
    run_id: str
    started_at: AwareDatetime
    ended_at: AwareDatetime
    totals: Totals
    queue: Depth | None
    model: ModelUse
    plan: Plan
    problems: list[str]
    warnings: list[str] = []  # what went wrong beside the run, and did not fail it

    @property
    def minutes(self) -> float:
        """How long the model was on."""
        if self.model.requested_at is None:
            return 0.0
        return max(((self.model.stopped_at or self.ended_at) - self.model.requested_at).total_seconds() / 60, 0.0)

    @property
    def unit_minutes(self) -> float:
        """What is paid for."""
        return self.minutes * self.model.units

    @property
    def cost_usd(self) -> float:
        """What that costs at the configured price."""
        return self._usd(self.unit_minutes)

    @property
    def cost_per_1000_usd(self) -> float | None:
        """For a thousand images; None: there were none."""
        images = self._images
        return self.cost_usd / images * 1000 if images else None

    @property
    def running_seconds(self) -> float | None:
        """From when the model was seen running until its end was asked for; None: not known."""
        begin, end = self.model.running_at, self.model.stop_asked_at
        return max((end - begin).total_seconds(), 0.0) if begin and end else None

    @property
    def images_per_second(self) -> float:
        """What the units were expected to do."""
        return self.model.units * self.plan.settings.images_per_second_per_unit

    @property
    def use(self) -> float | None:
        """Images that the running model answered, of what it was expected to: 1 is all the time busy."""
        if not self.running_seconds:
            return None
        return self._answered_since(self.model.running_at) / (self.running_seconds * self.images_per_second)

    @property
    def sample_minutes(self) -> float:
        """How long the AWS sample's schedule would have had the model on for the same images."""
        start = 0.0
        if self.model.requested_at and self.model.running_at:
            start = (self.model.running_at - self.model.requested_at).total_seconds()
        return sample_model_seconds(self._images, self.images_per_second, start) / 60

    @property
    def sample_cost_usd(self) -> float:
        """And what that would have cost, with as many units."""
        return self._usd(self.sample_minutes * self.model.units)

    def bars(self) -> list[Bar]:
        """The time that the model ran, in equal pieces of whole seconds; empty when it is not known."""
        begun_at, ended_at = self.model.running_at, self.model.stop_asked_at
        if not begun_at or not ended_at or ended_at < begun_at:
            return []
        begin = int(begun_at.timestamp())
        seconds = int(ended_at.timestamp()) - begin + 1
        step = -(-seconds // _BARS)
        pieces = [range(begin + start, begin + start + step) for start in range(0, seconds, step)]
        images, throttled = self.totals.by_second, self.totals.throttled_by_second
        return [
            Bar(
                piece.start - begin,
                sum(images.get(second, 0) for second in piece) / step,
                sum(throttled.get(second, 0) for second in piece),
            )
            for piece in pieces
        ]

    def stored(self) -> StoredReport:
        """As it is stored."""
        facts = self.model_dump(mode="json")
        totals, plan = facts["totals"], facts["plan"]
        wanted = ("backlog", "units", "max_units", "tasks", "seconds_per_image", "reason")
        parts = {
            "schema": SCHEMA,
            "version": __version__,
            "run": {name: facts[name] for name in ("dag_id", "run_id", "started_at", "ended_at")},
            "images": totals["images"],
            "labels": totals["labels"],
            "rejections": totals["rejections"],
            "ignored": totals["ignored"],
            "unreadable": totals["unreadable"],
            "queue": facts["queue"],
            "model": {
                "arn": self.plan.settings.model_arn,
                **facts["model"],
                "minutes": round(self.minutes, 2),
                "unit_minutes": round(self.unit_minutes, 2),
                "cost_usd": round(self.cost_usd, 4),
                "cost_per_1000_usd": _rounded(self.cost_per_1000_usd),
                "use": _rounded(self.use),
            },
            "calls": totals["calls"],
            "lag": totals["lag"],
            "sample_schedule": {
                "minutes": round(self.sample_minutes, 2),
                "cost_usd": round(self.sample_cost_usd, 4),
            },
            "plan": {name: plan[name] for name in wanted},
            "problems": facts["problems"],
            "warnings": facts["warnings"],
        }
        return StoredReport.model_validate(parts, context=WRITING)

    def to_json(self) -> dict[str, Any]:
        """The stored report as JSON has it."""
        return self.stored().model_dump(mode="json", by_alias=True)

    def to_html(self) -> str:
        """The report as a page that stands alone."""
        return _PAGES.get_template("report.html.jinja").render(report=self)

    def summary(self) -> str:
        """One line for a log."""
        outcomes = self.totals.images.model_dump().items()
        images = ", ".join(f"{n} {outcome}" for outcome, n in outcomes if n) or "no images"
        return f"{images}; model on for {self.minutes:.1f} minutes, about {self.cost_usd:.2f} USD"

    @property
    def _images(self) -> int:
        """Since the start request: a run that was cleared has the images of its first time in its journal too."""
        return self._answered_since(self.model.requested_at)

    def _answered_since(self, moment: datetime | None) -> int:
        begin = int(moment.timestamp()) if moment else 0
        return sum(images for second, images in self.totals.by_second.items() if second >= begin)

    def _usd(self, unit_minutes: float) -> float:
        return unit_minutes / 60 * self.plan.settings.price_per_unit_hour


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
