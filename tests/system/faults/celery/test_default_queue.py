"""stop_model is in the default queue, whose slots are all taken: the scheduler chooses by priority."""

from __future__ import annotations

import pytest
from rich.console import Console

from label_detection_core.config.settings import environment_name
from tests.system.faults import foreign, results
from tests.system.faults.celery.conftest import SLOTS, Start
from tests.system.faults.slots import run_beside_foreign_tasks
from tests.system.faults.watching import WatchedPipeline


@pytest.fixture(scope="module")
def pipeline(start: Start) -> WatchedPipeline:
    return start(**{environment_name("control_queue"): ""})


def test_stop_model_waits_for_one_foreign_task_at_most(
    pipeline: WatchedPipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = f"Celery: foreign tasks of {foreign.SECONDS} s take all worker slots; no control queue"
    found = run_beside_foreign_tasks(pipeline, picture, SLOTS, fault, extra=foreign.SECONDS)
    results.add(found.row)
    with capsys.disabled():
        Console(width=160).print(f"\nstop_model started {found.waited:.1f} s after the analysis")
    assert found.row.is_kept, found
    assert found.waited <= foreign.SECONDS + 5
