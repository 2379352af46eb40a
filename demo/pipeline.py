"""A pipeline of the demo: its model type, its buckets and its queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demo.kinds import Kind

if TYPE_CHECKING:
    from sandbox.world import World

_DAG = "label_detection"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline in a running world.

    `name`: None if the world has one pipeline. `options`: at least `queue_url`, `source_bucket` and `final_bucket`.
    `model_name`: the model's name on the control pages; empty: the model that `--model` chose.
    """

    name: str | None
    kind: Kind
    options: Mapping[str, str]
    model_name: str = ""

    @property
    def dag_id(self) -> str:
        """The id of the DAG that labels the pipeline's pictures."""
        return _DAG if self.name is None else f"{_DAG}__{self.name}"

    @property
    def prefix(self) -> str:
        """The start of a message about this pipeline: its name and a colon, or empty."""
        return f"{self.name}: " if self.name else ""

    def model(self, world: World) -> dict[str, Any]:
        """The JSON of the model's control page."""
        return world.model(self.model_name)


@dataclass(frozen=True)
class PipelineRun:
    """A run of a pipeline's DAG; `pictures`: the number of its pictures."""

    pipeline: Pipeline
    run_id: str
    pictures: int


def only_pipeline(world: World, kind: Kind) -> Pipeline:
    """The pipeline of a world that has one."""
    names = ("queue_url", "source_bucket", "final_bucket")
    return Pipeline(None, kind, {name: world.setting(name) for name in names})
