"""A task's process, killed with SIGKILL."""

from __future__ import annotations

import pytest

from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.conftest import ANALYSIS_ENDS, HEARTBEAT, IMAGES, Conclude
from tests.system.faults.results import Layer


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.gate)])
def test_during_start_the_retry_starts_or_adopts_the_model(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, when: str
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.hold("start", when=when)
    run_id = pipeline.trigger()
    pipeline.until_held("start")
    killed = pipeline.kill_task(run_id, "start_model")
    assert pipeline.until_over(run_id) == "success"
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = f"kill -9 of start_model right {when} its request reaches AWS"
    conclude(fault, Layer.TEARDOWN, keys, at=killed, clock=(ANALYSIS_ENDS, ended))


def test_during_start_until_no_try_is_left(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.hold("start", when="after")
    run_id = pipeline.trigger()
    pipeline.until_held("start")
    first = killed = pipeline.kill_task(run_id, "start_model")
    for _ in range(2):  # retries find the model on and do not request it again, so each is held at its describe
        pipeline.hold("describe")
        pipeline.until_held("describe")
        killed = pipeline.kill_task(run_id, "start_model")
    assert pipeline.until_over(run_id) == "failed"
    fault = "kill -9 of start_model after its request reaches AWS, and of each retry"
    conclude(fault, Layer.TEARDOWN, keys, at=first, clock=("the last kill", killed))


def test_during_wait_before_it_is_deferred(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_status("STARTING")
    pipeline.hold("describe")
    pipeline.until_held("describe")
    killed = pipeline.kill_task(run_id, "wait_for_model")
    assert pipeline.until_over(run_id) == "success"
    assert pipeline.tries(run_id, "wait_for_model") == 2
    ended = pipeline.ended_at(run_id, "analyse_images")
    conclude("kill -9 of wait_for_model", Layer.TEARDOWN, keys, at=killed, clock=(ANALYSIS_ENDS, ended))


def test_during_analysis_the_retry_goes_on(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    killed = pipeline.kill_task(run_id, "analyse_images")
    assert pipeline.until_over(run_id) == "success"
    assert pipeline.tries(run_id, "analyse_images") == 2
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = "kill -9 of one of two analysis tasks, with retries left"
    conclude(fault, Layer.TEARDOWN, keys, at=killed, clock=(ANALYSIS_ENDS, ended))


def test_during_analysis_until_no_try_is_left(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.until_analysing()
    first = killed = pipeline.kill_task(run_id, "analyse_images")
    for _ in range(2):
        killed = pipeline.kill_task(run_id, "analyse_images")
    assert pipeline.until_over(run_id) == "failed"
    fault = "kill -9 of the only analysis task, and of each retry"
    conclude(fault, Layer.TEARDOWN, keys, at=first, clock=("the last kill", killed))


@pytest.mark.parametrize("when", [pytest.param("before", marks=pytest.mark.gate), "after"])
def test_during_stop_the_retry_stops_the_model(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, when: str
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.hold("stop", when=when)
    run_id = pipeline.trigger()
    pipeline.until_held("stop")
    killed = pipeline.kill_task(run_id, "stop_model")
    assert pipeline.until_over(run_id) == "success"
    assert pipeline.tries(run_id, "stop_model") == 2
    assert pipeline.lease() is None
    fault = f"kill -9 of stop_model right {when} its request reaches AWS"
    conclude(fault, Layer.TEARDOWN, keys, at=killed)


def test_the_supervisor_of_an_analysis_task(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    killed = pipeline.kill_supervisor(run_id, "analyse_images")
    assert pipeline.until_over(run_id) == "success"
    assert pipeline.tries(run_id, "analyse_images") == 2
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = "kill -9 of the executor worker that supervises an analysis task"
    conclude(fault, Layer.TEARDOWN, keys, at=killed, clock=(ANALYSIS_ENDS, ended))


def test_the_supervisor_of_the_stop(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.hold("stop")
    run_id = pipeline.trigger()
    pipeline.until_held("stop")
    killed = pipeline.kill_supervisor(run_id, "stop_model")
    assert pipeline.until_over(run_id) == "success"
    fault = "kill -9 of the executor worker that supervises stop_model"
    conclude(fault, Layer.TEARDOWN, keys, at=killed, extra=HEARTBEAT)


def test_out_of_memory(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.until_analysing()
    at, how = pipeline.exhaust(run_id, "analyse_images")
    assert pipeline.until_over(run_id) == "success"
    assert pipeline.tries(run_id, "analyse_images") == 2
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = f"the kernel kills an analysis task for its memory use ({how})"
    conclude(fault, Layer.TEARDOWN, keys, at=at, clock=(ANALYSIS_ENDS, ended))
