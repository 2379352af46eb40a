"""A queue's watcher starts one run for a rule that keeps holding: two schedulers, a triggerer that is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.postgres import postgres
from sandbox.waiting import wait_until
from sandbox.world import World, WorldOptions
from tests.seed import SEED
from tests.system.pipeline import DAG_ID

IMAGES = 3


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Airflow with two schedulers. Its schedule is once a year, beside the watcher."""
    settings = {"schedule": "0 0 1 1 *", "wait_minutes": "0", "watch_queue": "true", "start_at_images": str(IMAGES)}
    aws = {"start-seconds": "20", "stop-seconds": "1", "duplicate-share": "0", "seed": str(SEED)}
    with ExitStack() as stack:
        url = stack.enter_context(postgres(tmp_path / "logs"))
        options = WorldOptions(sql_alchemy_conn=url, settings=settings, aws=aws)
        world = stack.enter_context(World(tmp_path / "world", options))
        world.run("second-scheduler", [*world.options.airflow, "scheduler", "--skip-serve-logs"])
        world.api.wait_for_dag(DAG_ID, check=world.check)
        yield world


def test_a_rule_that_keeps_holding_starts_one_run(world: World, picture: bytes) -> None:
    def upload(name: str) -> None:
        for number in range(IMAGES):
            key = f"{name} {number}.png"
            world.s3.put_object(Bucket=world.setting("source_bucket"), Key=key, Body=picture + key.encode())
        world.control("queues", "DELETE")  # makes GetQueueAttributes report the current counts

    def started() -> list[str]:
        runs = world.api.runs(DAG_ID)
        return [run["dag_run_id"] for run in runs if run["run_type"] == "asset_triggered"]

    def starts_of_the_model() -> int:
        return [change["status"] for change in world.model()["history"]].count("RUNNING")

    def finish(count: int, seconds: float) -> None:
        wait_until(lambda: len(started()) >= count, seconds, f"run {count} of the watcher", world.check)
        for run in started():
            assert world.api.wait_for_run(DAG_ID, run, 240, world.check) == "success"

    scheduled = wait_until(lambda: world.api.runs(DAG_ID), 120, "the first run of the schedule", world.check)
    world.api.wait_for_run(DAG_ID, scheduled[0]["dag_run_id"], 120, world.check)
    assert started() == [], "nothing waits"

    upload("first")
    wait_until(lambda: world.model()["status"] == "STARTING", 120, "the start of the model", world.check)
    world.processes["triggerer"].kill()
    world.start_component("triggerer")
    finish(1, 10)
    assert (len(started()), starts_of_the_model()) == (1, 1), "messages waited for as long as the model started"

    upload("second")
    finish(2, 300)
    assert (len(started()), starts_of_the_model()) == (2, 2)
    listed = world.s3.list_objects_v2(Bucket=world.setting("source_bucket"))
    assert "Contents" not in listed, "no picture may be left"
