"""Analysis tasks that fail, take too long, or run out of time."""

from __future__ import annotations

import time

import pytest

from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.conftest import ANALYSIS_ENDS, IMAGES, Conclude
from tests.system.faults.results import Layer

_DENIED = {"status": 400, "code": "AccessDeniedException"}


@pytest.mark.parametrize(
    ("times", "words"),
    [(1, "one of two analysis tasks fails"), pytest.param(None, "all analysis tasks fail", marks=pytest.mark.gate)],
)
def test_failing_tasks(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, times: int | None, words: str
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.fail_model("detect", times=times, **_DENIED)
    run_id = pipeline.trigger()
    assert pipeline.until_over(run_id) == "failed"
    assert sorted(pipeline.states(run_id)["analyse_images"], key=str) == (
        ["failed", "success"] if times else ["failed", "failed"]
    )
    ended = pipeline.ended_at(run_id, "analyse_images")
    conclude(f"{words} (access denied)", Layer.TEARDOWN, keys, at=ended)


def test_tasks_that_take_too_long(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    pipeline.rewrite_dag("hours=13", "seconds=6")
    keys = pipeline.upload(10 * IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_task(run_id, "analyse_images", "running")
    began = time.time()
    assert pipeline.until_over(run_id) == "failed"
    assert set(pipeline.states(run_id)["analyse_images"]) == {"failed"}
    pipeline.restore_dag()
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = "all analysis tasks and their retries time out (execution_timeout is 6 s in a copy of the DAG)"
    conclude(fault, Layer.TEARDOWN, keys, at=began, clock=(ANALYSIS_ENDS, ended))


@pytest.mark.gate
def test_a_model_whose_time_is_up(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(4 * IMAGES, picture)
    pipeline.no_switch()
    run_id = pipeline.trigger(max_model_minutes=0.25)
    pipeline.until_status("RUNNING")
    deadline = pipeline.lease_ends()  # without a grace both times are equal
    pipeline.until_over(run_id)
    conclude(
        "the deadline comes while images are left", Layer.DEADLINE, keys, at=deadline, clock=("the deadline", deadline)
    )
