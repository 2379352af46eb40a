"""A pipeline of the demo: whose model it has, and where its pictures, labels and messages are."""

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
    """`name`: None for the only one. `options`: its `queue_url`, `source_bucket` and `final_bucket`, at least.

    `model_name`: its model's, on the control pages; empty: the one that the embedded AWS was asked for.
    """

    name: str | None
    kind: Kind
    options: Mapping[str, str]
    model_name: str = ""

    @property
    def dag_id(self) -> str:
        """The DAG that labels its pictures."""
        return _DAG if self.name is None else f"{_DAG}__{self.name}"

    @property
    def prefix(self) -> str:
        """What stands before what is said of it alone."""
        return f"{self.name}: " if self.name else ""

    def model(self, world: World) -> dict[str, Any]:
        """Its model, as the embedded AWS sees it."""
        return world.model(self.model_name)


@dataclass(frozen=True)
class PipelineRun:
    """A run of a pipeline's DAG over so many pictures."""

    pipeline: Pipeline
    run_id: str
    pictures: int


def only_pipeline(world: World, kind: Kind) -> Pipeline:
    """The one of a world that has just one."""
    names = ("queue_url", "source_bucket", "final_bucket")
    return Pipeline(None, kind, {name: world.setting(name) for name in names})
