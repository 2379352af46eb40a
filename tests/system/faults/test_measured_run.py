"""The bench's measurements of a small run: nothing that Airflow stores grows with the backlog."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from bench.measured_world import DAG_ID, MeasuredWorld
from tests.system.faults.breaking import BreakablePipeline


@pytest.mark.gate
def test_tasks_and_xcoms_are_the_same_for_any_backlog(pipeline: BreakablePipeline) -> None:
    world = pipeline.world
    assert world.options.sql_alchemy_conn
    place = MeasuredWorld(world, create_engine(world.options.sql_alchemy_conn))
    few, many = place.run(60), place.run(240)
    assert (few.state, many.state) == ("success", "success")
    tasks = [len(world.api.tasks(DAG_ID, run.run_id)) for run in (few, many)]
    assert tasks[0] == tasks[1]
    assert few.xcom_bytes.keys() == many.xcom_bytes.keys()
    assert len(few.peak_bytes) == len(many.peak_bytes) == 2
    for run in (few, many):
        assert max(run.xcom_bytes.values()) < 2048
        assert min(run.peak_bytes) > 0
        assert run.running_at < run.first_detect_at < run.last_detect_at < run.stop_asked_at
        assert run.report["calls"]["answered"] == run.images
        assert run.report["calls"]["throttled"] == run.throttled
