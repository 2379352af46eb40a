"""Measures how long stop_model waits for a worker when all slots are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tests.system.faults import foreign
from tests.system.faults.conftest import ANALYSIS_ENDS
from tests.system.faults.images import outcomes
from tests.system.faults.results import FaultResult, Layer
from tests.system.faults.watching import WatchedPipeline

#: Pictures of a run: the analysis outlasts the start of the other tasks.
IMAGES = 60


@dataclass(frozen=True)
class Measured:
    """A run beside others. `waited`: seconds from the end of the analysis to the start of stop_model."""

    others: str  # the id of the run that took the slots
    waited: float
    row: FaultResult


def run_beside(
    pipeline: WatchedPipeline,
    picture: bytes,
    take_all_slots: Callable[[], str],
    fault: str,
    extra: float = 0.0,
    images: int = IMAGES,
) -> Measured:
    """Run the pipeline while another run takes all slots but the one of its analysis.

    :param take_all_slots: starts the other run, and returns its id when all slots are taken.
    :param extra: seconds that stop_model may wait for a slot.
    """
    keys = pipeline.upload(images, picture)
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.until_task(run_id, "analyse_images", "running")
    others = take_all_slots()
    assert pipeline.states(run_id)["analyse_images"] == ["running"], "the analysis ended too early"
    pipeline.until_task(run_id, "stop_model", "success", 180)
    ended = pipeline.ended_at(run_id, "analyse_images")
    off = pipeline.off_at() - ended
    kept = str(outcomes(pipeline, keys))
    row = FaultResult(fault, Layer.TEARDOWN.words, Layer.TEARDOWN.bound + extra, ANALYSIS_ENDS, off, off, kept)
    return Measured(others, started_at(pipeline, run_id) - ended, row)


def run_beside_foreign_tasks(
    pipeline: WatchedPipeline, picture: bytes, slots: int, fault: str, extra: float = 0.0
) -> Measured:
    """Like `run_beside`, with foreign tasks in the other slots."""
    found = run_beside(pipeline, picture, lambda: foreign.take_all_slots(pipeline, slots - 1), fault, extra)
    assert foreign.is_waiting(pipeline, found.others), f"the foreign tasks left a slot free: {found} shows nothing"
    foreign.end(pipeline, found.others)
    return found


def started_at(pipeline: WatchedPipeline, run_id: str) -> float:
    """When stop_model started, in seconds since 1970."""
    task = pipeline.task(run_id, "stop_model")
    assert task is not None
    assert task.try_number == 1
    assert task.start_date
    return datetime.fromisoformat(task.start_date).timestamp()
