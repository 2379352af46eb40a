"""Airflow's own processes, killed with SIGKILL."""

from __future__ import annotations

import time

import pytest

from sandbox.world import COMPONENTS
from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.conftest import ANALYSIS_ENDS, IMAGES, Conclude
from tests.system.faults.results import Layer

#: Seconds until a killed process is started again.
_AWAY = 5.0


def test_the_scheduler(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    killed = pipeline.kill_alone("scheduler")
    pipeline.until(killed + _AWAY)
    pipeline.start("scheduler")
    back = time.time()
    pipeline.until_over(run_id)
    ended = max(back, pipeline.ended_at(run_id, "analyse_images"))
    fault = f"kill -9 of the scheduler during the analysis, restarted after {_AWAY:.0f} s"
    conclude(fault, Layer.TEARDOWN, keys, at=killed, clock=(f"{ANALYSIS_ENDS}, with the scheduler restarted", ended))


@pytest.mark.gate
def test_the_triggerer(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.freeze("STARTING")
    pipeline.until_task(run_id, "wait_for_model", "deferred")
    killed = pipeline.kill("triggerer")
    pipeline.put_model("RUNNING")
    pipeline.until(killed + _AWAY)
    pipeline.start("triggerer")
    assert pipeline.until_over(run_id) == "success"
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = f"kill -9 of the triggerer during wait_for_model, restarted after {_AWAY:.0f} s"
    conclude(fault, Layer.TEARDOWN, keys, at=killed, clock=(ANALYSIS_ENDS, ended))


def test_the_triggerer_for_good(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.no_switch()
    run_id = pipeline.trigger(max_model_minutes=0.5)
    pipeline.freeze("STARTING")
    pipeline.until_task(run_id, "wait_for_model", "deferred")
    deadline = pipeline.lease_ends()
    killed = pipeline.kill("triggerer")
    pipeline.put_model("RUNNING")
    pipeline.until_over(run_id)
    pipeline.start("triggerer")
    fault = "kill -9 of the triggerer during wait_for_model, not restarted"
    noticed = 15.0  # [scheduler] trigger_timeout_check_interval
    conclude(fault, Layer.DEADLINE, keys, at=killed, clock=("the deadline", deadline), extra=noticed)


def test_all_of_airflow(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    killed = pipeline.kill(*COMPONENTS)
    pipeline.until(killed + _AWAY)
    pipeline.start(*COMPONENTS)
    pipeline.until_over(run_id)
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = f"kill -9 of all of Airflow during the analysis, restarted after {_AWAY:.0f} s"
    conclude(fault, Layer.TEARDOWN, keys, at=killed, clock=(ANALYSIS_ENDS, ended))


@pytest.mark.gate
def test_all_of_airflow_for_good(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.trigger(max_model_minutes=0.4)
    pipeline.until_analysing()
    expires = pipeline.lease_ends()
    killed = pipeline.kill(*COMPONENTS)
    conclude(
        "kill -9 of all of Airflow during the analysis, not restarted",
        Layer.SWITCH,
        keys,
        at=killed,
        clock=("the end of the lease", expires),
        rest=False,
    )
