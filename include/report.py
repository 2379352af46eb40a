"""A run in numbers, from its journal: `runs/<run id>/report.json`, and the same for people as `report.html`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AwareDatetime, BaseModel

from include.image_queue import Depth
from include.plan import Plan

SCHEMA = "label-detection-report/1"


class ModelUse(BaseModel):
    """When the model was asked for, ran, and was off again. None: did not happen, or is not known."""

    units: int
    requested_at: AwareDatetime | None = None
    adopted: bool = False
    running_at: AwareDatetime | None = None
    stopped_at: AwareDatetime | None = None


class Counts(BaseModel):
    """Images by outcome; a message that announced no image of ours counts as one."""

    labelled: int = 0
    rejected: int = 0
    ignored: int = 0
    failed: int = 0


class Report(BaseModel):
    """What a run did, left, and cost.

    `minutes` counts from the start request until the model was off (else: until now), which is a little more than AWS
    bills; `cost_usd` is that time for the units asked for.
    """

    dag_id: str
    run_id: str
    started_at: AwareDatetime
    ended_at: AwareDatetime
    images: Counts
    labels: dict[str, int]  # images that a label was found in
    rejections: dict[str, int]  # by error code
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
    def cost_usd(self) -> float:
        """What that costs at the configured price."""
        return self.minutes / 60 * self.model.units * self.plan.settings.price_per_unit_hour

    def to_json(self) -> dict[str, Any]:
        """The report as it is stored."""
        facts = self.model_dump(mode="json")
        plan = facts["plan"]
        return {
            "schema": SCHEMA,
            "run": {name: facts[name] for name in ("dag_id", "run_id", "started_at", "ended_at")},
            "images": facts["images"],
            "labels": facts["labels"],
            "rejections": facts["rejections"],
            "queue": facts["queue"],
            "model": {
                "arn": self.plan.settings.model_arn,
                **facts["model"],
                "minutes": round(self.minutes, 2),
                "cost_usd": round(self.cost_usd, 4),
            },
            "plan": {name: plan[name] for name in ("backlog", "units", "tasks", "workers", "reason")},
            "problems": facts["problems"],
            "warnings": facts["warnings"],
        }

    def to_html(self) -> str:
        """The report as a page that stands alone."""
        return _PAGES.get_template("report.html.jinja").render(report=self)

    def summary(self) -> str:
        """One line for a log."""
        images = ", ".join(f"{n} {outcome}" for outcome, n in self.images.model_dump().items() if n) or "no images"
        return f"{images}; model on for {self.minutes:.1f} minutes, about {self.cost_usd:.2f} USD"


class Totals(BaseModel):
    """What a run's journal adds up to."""

    images: Counts
    labels: dict[str, int]
    rejections: dict[str, int]


def add_up(lines: Iterable[dict[str, Any]]) -> Totals:
    """Add up a journal's lines, in constant memory."""
    outcomes: Counter[str] = Counter()
    found: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    for line in lines:
        outcomes[line["outcome"]] += 1
        found.update({label["Name"] for label in line["labels"]})
        if line["outcome"] == "rejected":
            rejections[line["error"]["code"]] += 1
    return Totals(
        images=Counts(**outcomes), labels=dict(found.most_common()), rejections=dict(rejections.most_common())
    )


_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
