"""A DAG that Airflow no longer schedules, while the model is on."""

from __future__ import annotations

import time

import pytest

from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.conftest import IMAGES, TICK, Conclude
from tests.system.faults.results import Layer
from tests.system.pipeline import DAG_ID

#: Seconds until the watchdog concludes that no task of the run goes on.
_STUCK = 125.0
#: Long enough to start the model and to label some images.
_MINUTES = 0.4


@pytest.mark.gate
def test_a_paused_dag(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.no_switch()
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    pipeline.world.api.pause(DAG_ID)
    paused = time.time()
    pipeline.wait_until(lambda: set(pipeline.states(run_id)["analyse_images"]) == {"success"})
    ticked = pipeline.look_now()
    assert pipeline.status() == "STOPPED"
    assert pipeline.lease() is None
    pipeline.world.api.pause(DAG_ID, False)
    assert pipeline.until_over(run_id) == "success"
    fault = "DAG paused during the analysis"
    conclude(fault, Layer.WATCHDOG, keys, at=paused, clock=(TICK, ticked), extra=_STUCK)


def test_a_paused_dag_whose_lease_expires(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.no_switch()
    run_id = pipeline.trigger(max_model_minutes=_MINUTES)
    pipeline.until_analysing()
    pipeline.world.api.pause(DAG_ID)
    paused = time.time()
    pipeline.until(pipeline.lease_ends())
    assert pipeline.status() == "RUNNING"
    ticked = pipeline.look_now()
    pipeline.until_status("STOPPED")
    pipeline.world.api.pause(DAG_ID, False)
    pipeline.until_over(run_id)
    fault = "DAG paused during the analysis; the lease expires"
    conclude(fault, Layer.WATCHDOG, keys, at=paused, clock=(TICK, ticked))


@pytest.mark.gate
def test_a_dag_file_that_breaks_before_the_stop(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.no_switch()
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    pipeline.rewrite_dag("labels(", "labels(((")
    broken = time.time()
    pipeline.wait_until(lambda: set(pipeline.states(run_id)["analyse_images"]) == {"success"})
    ticked = pipeline.look_now()
    assert pipeline.status() == "STOPPED"
    assert pipeline.lease() is None
    pipeline.restore_dag()
    pipeline.until_over(run_id)
    fault = "syntax error in the DAG file during the analysis"
    conclude(fault, Layer.WATCHDOG, keys, at=broken, clock=(TICK, ticked), extra=_STUCK)


def test_a_broken_dag_file(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.no_switch()
    run_id = pipeline.trigger(max_model_minutes=_MINUTES)
    pipeline.until_analysing()
    pipeline.rewrite_dag("labels(", "labels(((")
    broken = time.time()
    pipeline.until(pipeline.lease_ends())
    assert pipeline.status() == "RUNNING"
    ticked = pipeline.look_now()
    pipeline.until_status("STOPPED")
    pipeline.restore_dag()
    pipeline.until_over(run_id)
    fault = "syntax error in the DAG file during the analysis; the lease expires"
    conclude(fault, Layer.WATCHDOG, keys, at=broken, clock=(TICK, ticked))
