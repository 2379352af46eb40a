"""stop_model is in the control queue, which has its own worker."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from tests.system.faults import foreign, results
from tests.system.faults.celery.conftest import SLOTS, Start
from tests.system.faults.conftest import ANALYSIS_ENDS
from tests.system.faults.images import outcomes
from tests.system.faults.results import FaultResult, Layer
from tests.system.faults.slots import IMAGES, run_beside_foreign_tasks
from tests.system.faults.watching import WatchedPipeline

#: Seconds without Redis.
AWAY = 10
#: Seconds from the end of the analysis to the start of stop_model.
AT_ONCE = 5.0


@pytest.fixture(scope="module")
def pipeline(start: Start) -> WatchedPipeline:
    return start()


def test_stop_model_starts_at_once_when_foreign_tasks_take_all_other_slots(
    pipeline: WatchedPipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = f"Celery: foreign tasks of {foreign.SECONDS} s take all worker slots; control_queue is set"
    found = run_beside_foreign_tasks(pipeline, picture, SLOTS, fault)
    results.add(found.row)
    with capsys.disabled():
        Console(width=160).print(f"\nstop_model started {found.waited:.1f} s after the analysis")
    assert found.row.is_kept, found
    assert found.waited <= AT_ONCE


@pytest.mark.parametrize(
    ("moment", "left"),
    [
        pytest.param("during the analysis", IMAGES // 2, id="during the analysis"),
        pytest.param("at the end of the analysis", 3, id="at its end"),
    ],
)
def test_no_image_is_lost_and_the_model_is_off_when_the_broker_goes_and_comes_back(
    pipeline: WatchedPipeline, picture: bytes, moment: str, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    containers = pipeline.world.containers  # type: ignore[attr-defined]
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.until_task(run_id, "analyse_images", "running")
    pipeline.wait_until(lambda: sum(pipeline.depth()) <= left)
    at = containers.running.pop("redis-1").kill()
    time.sleep(AWAY)
    containers.wait_until_healthy(containers.start("redis"))
    back = time.time()
    state = pipeline.until_over(run_id)
    off_at = pipeline.off_at()
    ended = pipeline.ended_at(run_id, "analyse_images")
    tries = pipeline.tries(run_id, "stop_model")
    with capsys.disabled():
        Console(width=160).print(
            f"\n{moment}: {state}, stop_model try {tries}, off {off_at - ended:.1f} s after the analysis"
        )
    clock = (ANALYSIS_ENDS, ended) if ended > back else ("Redis back", back)
    row = FaultResult(
        f"Celery: Redis is gone for {AWAY} s {moment}, and has lost its queues",
        Layer.TEARDOWN.words,
        Layer.TEARDOWN.bound,
        clock[0],
        max(0.0, off_at - clock[1]),
        off_at - at,
        str(outcomes(pipeline, keys)),
    )
    results.add(row)
    assert row.is_kept, row
