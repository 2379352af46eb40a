"""No worker takes stop_model. With Airflow's defaults it fails without a retry, and the triggerer stops the model."""

from __future__ import annotations

import pytest
from rich.console import Console

from label_detection_core.config.settings import environment_name
from tests.system.faults import results
from tests.system.faults.celery.conftest import QUEUED, RETRIES, Start
from tests.system.faults.images import outcomes
from tests.system.faults.results import FaultResult, Layer
from tests.system.faults.watching import WatchedPipeline

IMAGES = 20


@pytest.fixture(scope="module")
def pipeline(start: Start) -> WatchedPipeline:
    return start(**QUEUED, **{RETRIES: "2", environment_name("max_model_minutes"): "1.5"})


def test_a_stop_that_was_queued_too_long_fails_and_the_triggerer_stops_the_model(
    pipeline: WatchedPipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    containers = pipeline.world.containers  # type: ignore[attr-defined]
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.until_task(run_id, "analyse_images", "running")
    containers.running.pop("airflow-control-worker-1").kill()
    until = pipeline.lease_ends()
    pipeline.until_task(run_id, "stop_model", "failed", 120)
    failed = pipeline.task(run_id, "stop_model")
    assert failed is not None
    assert failed.hostname == "", "a worker took it"
    assert pipeline.status() == "RUNNING"
    assert pipeline.until_over(run_id) == "failed"
    ended = pipeline.ended_at(run_id, "analyse_images")
    pipeline.until_status("STOPPED", seconds=240)
    off_at = pipeline.off_at()
    with capsys.disabled():
        words = f"stop_model failed in try {failed.try_number}; off {off_at - until:.1f} s after the end of the lease"
        Console(width=160).print(f"\n{words}")
    row = FaultResult(
        "Celery: no worker serves stop_model's queue; Airflow fails it without a retry",
        Layer.TRIGGERER.words,
        Layer.TRIGGERER.bound,
        "the end of the lease",
        off_at - until,
        off_at - ended,
        str(outcomes(pipeline, keys)),
    )
    results.add(row)
    assert row.is_kept, row
