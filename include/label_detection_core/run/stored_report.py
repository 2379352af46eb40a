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

    dag_id: Lenient[str] = Field(default="", description="id of the DAG")
    run_id: Lenient[str] = Field(default="", description="id of the DAG run")
    started_at: Lenient[str | None] = Field(default=None, description="when the run started")
    ended_at: Lenient[str | None] = Field(default=None, description="when the report was written")


class Waiting(Part):
    """Messages on the queue at the end of the run."""

    visible: Count = Field(description="messages that wait")
    in_flight: Count = Field(description="messages that a consumer holds")
    delayed: Lenient[Count] = Field(default=0, description="messages with a delivery delay")


class ModelCost(Part):
    """Times of the model's start, stop and end, its minutes and its cost. None: did not happen, or not known."""

    arn: Lenient[str] = Field(default="", description="ARN of the model")
    units: Lenient[Count] = Field(default=0, description="inference units")
    requested_at: Lenient[str | None] = Field(default=None, description="when the model was asked for")
    adopted: Lenient[StrictBool] = Field(default=False, description="whether the model was on already")
    running_at: Lenient[str | None] = Field(default=None, description="when the model was running")
    stop_asked_at: Lenient[str | None] = Field(default=None, description="when the stop request was accepted")
    stopped_at: Lenient[str | None] = Field(default=None, description="when the model was off")
    minutes: Lenient[Number | None] = Field(
        default=None, description="minutes from the request until the model was off"
    )
    unit_minutes: Lenient[Number | None] = Field(default=None, description="the same minutes, times inference units")
    cost_usd: Lenient[Number | None] = Field(
        default=None, description="cost of the unit-minutes at `price_per_unit_hour`"
    )
    cost_per_1000_usd: Lenient[Number | None] = Field(
        default=None, description="cost per 1,000 images that the model answered"
    )
    use: Lenient[Number | None] = Field(
        default=None, description="images answered, as a share of what the units can do in the time, 0-1"
    )


class SampleCost(Part):
    """Model minutes and cost of the same images with the schedule of the AWS sample."""

    minutes: Lenient[Number] = Field(default=0.0, description="minutes that the model would have been on")
    cost_usd: Lenient[Number] = Field(default=0.0, description="cost of these minutes")


class PlanInShort(Part):
    """The size of the run, and the reason for it."""

    backlog: Lenient[Count] = Field(default=0, description="messages that waited")
    units: Lenient[Count] = Field(default=0, description="inference units")
    max_units: Lenient[Count | None] = Field(
        default=None, description="inference units up to which AWS may add some; null: it adds none"
    )
    tasks: Lenient[Count] = Field(default=0, description="analysis tasks")
    seconds_per_image: Lenient[Number] = Field(default=0.0, description="expected work time of an image")
    reason: Lenient[str] = Field(default="", description="why these numbers were chosen")


class StoredReport(Stored):
    """The content of `report.json`. A missing or invalid part does not keep the other parts from being read."""

    schema_: Lenient[str] = Field(default=SCHEMA, alias="schema", description="form of this file")
    version: Maybe[str] = Field(default=None, description="version of this package that wrote the report")
    run: Lenient[RunTimes] = RunTimes()
    images: Lenient[Counts] = Counts()
    labels: Tally = Field(default={}, description="number of images per label")
    rejections: Tally = Field(default={}, description="number of rejected images per error code")
    ignored: Tally = Field(default={}, description="number of ignored messages and images per reason")
    unreadable: Lenient[NamedImages] = NamedImages()
    queue: Lenient[Waiting | None] = None
    model: Lenient[ModelCost] = ModelCost()
    calls: Lenient[Calls] = Calls()
    lag: Lenient[Lag] = Lag()
    sample_schedule: Lenient[SampleCost] = SampleCost()
    plan: Lenient[PlanInShort] = PlanInShort()
    problems: Lenient[list[str]] = Field(default=[], description="what made the run fail, one line each")
    warnings: Lenient[list[str]] = Field(default=[], description="what did not make the run fail, one line each")

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
