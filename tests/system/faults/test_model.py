"""A model that fails or changes by itself, and a service whose answers fail."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.conftest import ANALYSIS_ENDS, IMAGES, Conclude
from tests.system.faults.kind import calls
from tests.system.faults.results import Layer


@pytest.mark.model
@pytest.mark.gate
def test_a_start_whose_answer_is_lost(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.fail_model("start", reset=True, when="after", times=1)
    run_id = pipeline.trigger()
    pipeline.until_held("start")
    at = time.time()
    assert pipeline.until_over(run_id) == "success"
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = f"{calls().operations['start']} accepted, but the connection is cut before the answer"
    conclude(fault, Layer.TEARDOWN, keys, at=at, clock=(ANALYSIS_ENDS, ended))


@pytest.mark.model
def test_a_start_that_ends_in_failed(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.world.control("model", "PUT", {"start_outcome": "FAILED"})
    run_id = pipeline.trigger()
    pipeline.until_status("FAILED")
    at = time.time()
    assert pipeline.until_over(run_id) == "failed"
    pipeline.world.control("model", "PUT", {"start_outcome": "RUNNING"})
    conclude("the model fails to start (state FAILED)", Layer.TEARDOWN, keys, at=at)


def test_a_model_that_somebody_else_stops(pipeline: BreakablePipeline, conclude: Conclude, picture: bytes) -> None:
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.until_analysing()
    pipeline.stop_the_model()
    at = time.time()
    assert pipeline.until_over(run_id) == "failed"
    conclude("someone else stops the model during the analysis", Layer.TEARDOWN, keys, at=at)


def test_a_model_that_is_stopping_when_it_is_wanted(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.put_model("STOPPING")
    at = time.time()
    run_id = pipeline.trigger()
    pipeline.until_logged(run_id, "start_model", "still stopping")
    pipeline.put_model("STOPPED")
    assert pipeline.until_over(run_id) == "success"
    ended = pipeline.ended_at(run_id, "analyse_images")
    fault = "the model is STOPPING when a run needs it"
    conclude(fault, Layer.TEARDOWN, keys, at=at, clock=(ANALYSIS_ENDS, ended))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 400, "code": "ThrottlingException"}, "is throttled"),
        ({"status": 500}, "fails with HTTP 500"),
        ({"reset": True}, "loses its connection"),
    ],
    ids=lambda value: value.split()[-1] if isinstance(value, str) else "",
)
def test_a_stop_that_does_not_get_through(
    pipeline: BreakablePipeline, conclude: Conclude, picture: bytes, answer: dict[str, Any], words: str
) -> None:
    keys = pipeline.upload(IMAGES, picture)
    pipeline.fail_model("stop", times=5, **answer)
    run_id = pipeline.trigger()
    pipeline.until_task(run_id, "stop_model", "running")
    at = time.time()
    assert pipeline.until_over(run_id) == "success"
    conclude(f"{calls().operations['stop']} {words} five times", Layer.TEARDOWN, keys, at=at)
