"""A run's `report.json`, as it is stored: what `Report` writes, and what pages read of any version's."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool

from label_detection_core.run.totals import Calls, Counts, Lag, NamedImages
from label_detection_core.stored import Count, Lenient, Maybe, Number, Part, Stored

SCHEMA = "label-detection-report/1"
#: Labels of a run that a list of runs shows: those on most images.
_LABELS = 12


def _that_are_counts(value: Any) -> Any:
    return {name: count for name, count in value.items() if type(count) is int} if isinstance(value, dict) else value


#: Images by name; an odd count is as if it were not there.
Tally = Lenient[Annotated[dict[str, Count], BeforeValidator(_that_are_counts)]]


class RunTimes(Part):
    """Which run, and when."""

    dag_id: Lenient[str] = ""
    run_id: Lenient[str] = ""
    started_at: Lenient[str | None] = None
    ended_at: Lenient[str | None] = None


class Waiting(Part):
    """The queue at the end, in messages."""

    visible: Count
    in_flight: Count
    delayed: Lenient[Count] = 0


class ModelCost(Part):
    """When the model was asked for, ran and was off, and what that cost. None: did not happen, or is not known."""

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
    """What the AWS sample's schedule would have taken for the same images."""

    minutes: Lenient[Number] = 0.0
    cost_usd: Lenient[Number] = 0.0


class PlanInShort(Part):
    """How the run was sized, and why."""

    backlog: Lenient[Count] = 0
    units: Lenient[Count] = 0
    max_units: Lenient[Count | None] = None
    tasks: Lenient[Count] = 0
    seconds_per_image: Lenient[Number] = 0.0
    reason: Lenient[str] = ""


class StoredReport(Stored):
    """A run in numbers. Whatever of it is odd or missing, the rest is read."""

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
        """What a list or a plot of runs shows of it."""
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
        """At most `most` labels with their numbers of images, the most frequent first."""
        return sorted(self.labels.items(), key=lambda label: (-label[1], label[0]))[:most]

    def head(self, *names: str) -> dict[str, Any]:
        """What is stored of these parts: None for one that is not there, empty for an odd one."""
        stored = self.model_dump(mode="json", include=set(names), exclude_unset=True)
        return {name: stored.get(name) for name in names}
