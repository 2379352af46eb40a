"""The stored form of `report.json`: `Report` writes it, and pages read it, also from other versions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool

from label_detection_core.run.totals import Calls, Counts, Lag, NamedImages
from label_detection_core.stored import Count, Lenient, Maybe, Number, Part, Stored

SCHEMA = "label-detection-report/1"
#: Labels per run that a list of runs shows, the most frequent ones.
_LABELS = 12


def _that_are_counts(value: Any) -> Any:
    return {name: count for name, count in value.items() if type(count) is int} if isinstance(value, dict) else value


#: Number of images by name. When read, a count that is not an integer is left out.
Tally = Lenient[Annotated[dict[str, Count], BeforeValidator(_that_are_counts)]]


class RunTimes(Part):
    """DAG id, run id, begin and end of the run."""

    dag_id: Lenient[str] = ""
    run_id: Lenient[str] = ""
    started_at: Lenient[str | None] = None
    ended_at: Lenient[str | None] = None


class Waiting(Part):
    """Messages on the queue at the end of the run."""

    visible: Count
    in_flight: Count
    delayed: Lenient[Count] = 0


class ModelCost(Part):
    """Times of the model's start, stop and end, its minutes and its cost. None: did not happen, or not known."""

    arn: Lenient[str] = ""
    units: Lenient[Count] = 0
    requested_at: Lenient[str | None] = None
    adopted: Lenient[StrictBool] = False
    running_at: Lenient[str | None] = None
    stop_asked_at: Lenient[str | None] = None
    stopped_at: Lenient[str | None] = None
    minutes: Lenient[Number | None] = None
    unit_minutes: Lenient[Number | None] = None
    cost_usd: Lenient[Number | None] = None
    cost_per_1000_usd: Lenient[Number | None] = None
    use: Lenient[Number | None] = None


class SampleCost(Part):
    """Model minutes and cost of the same images with the schedule of the AWS sample."""

    minutes: Lenient[Number] = 0.0
    cost_usd: Lenient[Number] = 0.0


class PlanInShort(Part):
    """The size of the run, and the reason for it."""

    backlog: Lenient[Count] = 0
    units: Lenient[Count] = 0
    max_units: Lenient[Count | None] = None
    tasks: Lenient[Count] = 0
    seconds_per_image: Lenient[Number] = 0.0
    reason: Lenient[str] = ""


class StoredReport(Stored):
    """The content of `report.json`. A missing or invalid part does not keep the other parts from being read."""

    schema_: Lenient[str] = Field(SCHEMA, alias="schema")
    version: Maybe[str] = None  # of this package
    run: Lenient[RunTimes] = RunTimes()
    images: Lenient[Counts] = Counts()
    labels: Tally = Field(default={})
    rejections: Tally = Field(default={})
    ignored: Tally = Field(default={})
    unreadable: Lenient[NamedImages] = NamedImages()
    queue: Lenient[Waiting | None] = None
    model: Lenient[ModelCost] = ModelCost()
    calls: Lenient[Calls] = Calls()
    lag: Lenient[Lag] = Lag()
    sample_schedule: Lenient[SampleCost] = SampleCost()
    plan: Lenient[PlanInShort] = PlanInShort()
    problems: Lenient[list[str]] = Field(default=[])
    warnings: Lenient[list[str]] = Field(default=[])

    def row(self) -> dict[str, Any]:
        """The numbers that a list or a plot of runs shows."""
        return {
            "started_at": self.run.started_at,
            "labelled": self.images.labelled,
            "rejected": self.images.rejected,
            "minutes": self.model.minutes,
            "cost_usd": self.model.cost_usd,
            "cost_per_1000_usd": self.model.cost_per_1000_usd,
            "use": self.model.use,
            "labels": dict(self.most_frequent(_LABELS)),
            "problems": len(self.problems),
        }

    def most_frequent(self, most: int) -> list[tuple[str, int]]:
        """At most `most` labels, each with its number of images, the most frequent first."""
        return sorted(self.labels.items(), key=lambda label: (-label[1], label[0]))[:most]

    def head(self, *names: str) -> dict[str, Any]:
        """The named parts of the report. A part that is missing is None; a part that is invalid is empty."""
        stored = self.model_dump(mode="json", include=set(names), exclude_unset=True)
        return {name: stored.get(name) for name in names}
