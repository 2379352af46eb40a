"""Manual actions on a run in Airflow's UI."""

from __future__ import annotations

import time

import pytest

from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.conftest import IMAGES, TICK, Conclude
from tests.system.faults.results import Layer


@pytest.mark.parametrize("state", [pytest.param("failed", marks=pytest.mark.gate), "success"])
def test_a_run_marked_during_start(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, state: str) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.hold("start")
    run_id = pipeline.trigger()
    pipeline.until_held("start")
    marked = pipeline.mark_run(run_id, state)
    pipeline.until_task(run_id, "stop_model", "running")
    pipeline.until(max(marked + 4, time.time() + 3))  # the stop has found the model off
    pipeline.land_start()
    pipeline.until_over(run_id)
    fault = f"run marked as {state} during start_model; its start request arrives 4 s later"
    conclude(fault, Layer.TEARDOWN, keys, at=marked)


def test_a_start_that_arrives_after_the_run(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.no_switch()
    pipeline.hold("start")
    run_id = pipeline.trigger()
    pipeline.until_held("start")
    marked = pipeline.mark_run(run_id, "failed")
    pipeline.until_over(run_id)
    assert pipeline.states(run_id)["stop_model"] == ["success"]
    assert pipeline.status() != "RUNNING"
    pipeline.land_start()
    pipeline.until_status("RUNNING")
    ticked = pipeline.look_now()
    while pipeline.lease() and time.time() < marked + 300:  # Describe lagged: the next look sees it
        ticked = pipeline.look_now()
    assert pipeline.lease() is None
    fault = "run marked as failed during start_model; its start request arrives after the stop"
    conclude(fault, Layer.WATCHDOG, keys, at=marked, clock=(TICK, ticked))


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_marked_during_wait(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, state: str) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.freeze("STARTING")
    pipeline.until_task(run_id, "wait_for_model", "deferred")
    marked = pipeline.mark_run(run_id, state)
    pipeline.until_logged(run_id, "stop_model", "cannot be stopped now")
    pipeline.put_model("RUNNING")
    ready = time.time()
    pipeline.until_over(run_id)
    fault = f"run marked as {state} during wait_for_model; a model that is starting cannot be stopped"
    conclude(fault, Layer.TEARDOWN, keys, at=marked, clock=("the model's change to RUNNING", ready))


def check_cost(pipeline: BreakablePipeline, run_id: str, fault: float) -> None:
    """Check that the time until the model was off is in the ledger of costs, although the run has no report."""
    since, until = pipeline.paid(run_id)
    assert since < fault < pipeline.off_at() <= until


@pytest.mark.parametrize("state", ["failed", pytest.param("success", marks=pytest.mark.gate)])
def test_a_run_marked_during_analysis(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, state: str
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    marked = pipeline.mark_run(run_id, state)
    pipeline.until_over(run_id)
    check_cost(pipeline, run_id, marked)
    conclude(f"run marked as {state} during the analysis", Layer.TEARDOWN, keys, at=marked)


def test_a_deleted_run(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    deleted = pipeline.delete_run(run_id)
    ticked = pipeline.look_now()
    check_cost(pipeline, run_id, deleted)
    conclude("run deleted during the analysis", Layer.WATCHDOG, keys, at=deleted, clock=(TICK, ticked))


@pytest.mark.gate
def test_a_stop_marked_as_done(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    pipeline.mark_task(run_id, "stop_model", "success")
    marked = time.time()
    assert pipeline.until_over(run_id) == "failed"
    assert pipeline.status() == "RUNNING"
    assert "MAY STILL BE RUNNING" in pipeline.log(run_id, "write_report")
    ticked = pipeline.look_now()
    conclude("stop_model marked as success during the analysis", Layer.WATCHDOG, keys, at=marked, clock=(TICK, ticked))


@pytest.mark.gate
def test_a_failed_analysis_task_cleared_alone(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.fail_model("detect", status=400, code="AccessDeniedException", times=1)
    run_id = pipeline.trigger()
    assert pipeline.until_over(run_id) == "failed"
    before = pipeline.history()
    (failed,) = [index for index, state in enumerate(pipeline.states(run_id)["analyse_images"]) if state == "failed"]
    pipeline.clear(run_id, ["analyse_images", failed])
    cleared = time.time()
    pipeline.wait_until(lambda: pipeline.has_ended_again(run_id, failed))
    pipeline.until_over(run_id)
    assert pipeline.history() == before
    conclude("one failed analysis task cleared after the run", Layer.NEVER_ON, keys, at=cleared)
