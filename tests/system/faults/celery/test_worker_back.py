"""With the settings of docker-compose.yaml, a task that no worker takes is handed out again and again."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from tests.system.faults import results
from tests.system.faults.celery.conftest import GIVEN_UP_AFTER, QUEUED, Start
from tests.system.faults.images import outcomes
from tests.system.faults.results import FaultResult, Layer
from tests.system.faults.watching import WatchedPipeline

IMAGES = 20
#: Seconds that a worker may need until it takes tasks.
STARTS = 30.0


@pytest.fixture(scope="module")
def pipeline(start: Start) -> WatchedPipeline:
    return start(**QUEUED)


def test_a_stop_that_waited_for_a_worker_starts_when_the_worker_is_back(
    pipeline: WatchedPipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    containers = pipeline.world.containers  # type: ignore[attr-defined]
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.until_task(run_id, "analyse_images", "running")
    at = containers.running.pop("airflow-control-worker-1").kill()
    pipeline.until_task(run_id, "analyse_images", "success")
    pipeline.until(time.time() + GIVEN_UP_AFTER)
    waiting = pipeline.task(run_id, "stop_model")
    assert waiting is not None
    assert waiting.state in {"queued", "scheduled"}
    back = time.time()
    containers.wait_until_healthy(containers.start("airflow-control-worker"))
    assert pipeline.until_over(run_id) == "success"
    off_at = pipeline.off_at()
    with capsys.disabled():
        Console(width=160).print(f"\noff {off_at - back:.1f} s after the start of the worker")
    row = FaultResult(
        "Celery: no worker serves stop_model's queue for a while, as configured in docker-compose.yaml",
        Layer.TEARDOWN.words,
        Layer.TEARDOWN.bound + STARTS,
        "the start of the worker",
        max(0.0, off_at - back),
        off_at - at,
        str(outcomes(pipeline, keys)),
    )
    results.add(row)
    assert row.is_kept, row
