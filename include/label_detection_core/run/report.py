"""The report of a run, from its journal: `runs/<run id>/report.json` for programs, `report.html` for people."""

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

#: Bars in the plot of the report at most.
_BARS = 60


class ModelUse(BaseModel):
    """Times of the start request, of running, of the stop request and of off. None: did not happen, or not known."""

    units: int
    requested_at: AwareDatetime | None = None
    adopted: bool = False
    running_at: AwareDatetime | None = None
    stop_asked_at: AwareDatetime | None = None
    stopped_at: AwareDatetime | None = None


class Bar(NamedTuple):
    """A bar of the plot. `begin`: seconds since the model was running. `throttled`: number of throttled sends."""

    begin: float
    images_per_second: float
    throttled: int


class Report(BaseModel):
    """What a run labelled, what it left in the queue, and what it cost.

    `minutes` counts from the start request until the model was off, or until now if it is not known to be off. AWS
    bills a little less. `cost_usd` is that time for the inference units that the run requested.
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
    warnings: list[str] = []  # problems that did not fail the run

    @property
    def minutes(self) -> float:
        """Minutes that the model was on."""
        if self.model.requested_at is None:
            return 0.0
        return max(((self.model.stopped_at or self.ended_at) - self.model.requested_at).total_seconds() / 60, 0.0)

    @property
    def unit_minutes(self) -> float:
        """Minutes times inference units: the base of the cost."""
        return self.minutes * self.model.units

    @property
    def cost_usd(self) -> float:
        """Cost of `unit_minutes` at the configured price."""
        return self._usd(self.unit_minutes)

    @property
    def cost_per_1000_usd(self) -> float | None:
        """Cost per 1,000 images; None when there were no images."""
        images = self._images
        return self.cost_usd / images * 1000 if images else None

    @property
    def running_seconds(self) -> float | None:
        """Seconds from when the model was seen running until the stop request; None: not known."""
        begin, end = self.model.running_at, self.model.stop_asked_at
        return max((end - begin).total_seconds(), 0.0) if begin and end else None

    @property
    def images_per_second(self) -> float:
        """Expected rate of all inference units together."""
        return self.model.units * self.plan.settings.images_per_second_per_unit

    @property
    def use(self) -> float | None:
        """Images that the model answered while running, as a share of the expected number. 1: busy all the time."""
        if not self.running_seconds:
            return None
        return self._answered_since(self.model.running_at) / (self.running_seconds * self.images_per_second)

    @property
    def sample_minutes(self) -> float:
        """Minutes that the model would have been on for these images with the schedule of the AWS sample."""
        start = 0.0
        if self.model.requested_at and self.model.running_at:
            start = (self.model.running_at - self.model.requested_at).total_seconds()
        return sample_model_seconds(self._images, self.images_per_second, start) / 60

    @property
    def sample_cost_usd(self) -> float:
        """Cost of `sample_minutes` with the inference units of this run."""
        return self._usd(self.sample_minutes * self.model.units)

    def bars(self) -> list[Bar]:
        """The bars of the plot: equal parts, in whole seconds, of the time that the model ran. Empty if not known."""
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
        """The report in the form of `report.json`."""
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
        """The content of `report.json`."""
        return self.stored().model_dump(mode="json", by_alias=True)

    def to_html(self) -> str:
        """The report as an HTML page that loads no other file."""
        return _PAGES.get_template("report.html.jinja").render(report=self)

    def summary(self) -> str:
        """One line for a log."""
        outcomes = self.totals.images.model_dump().items()
        images = ", ".join(f"{n} {outcome}" for outcome, n in outcomes if n) or "no pictures"
        return f"{images}; model on for {self.minutes:.1f} minutes, about {self.cost_usd:.2f} USD"

    @property
    def _images(self) -> int:
        """Images answered since the start request. The journal of a cleared run also has those of its first attempt."""
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
