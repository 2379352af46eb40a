"""All worker slots are taken, and stay taken: the triggerer stops the model after the end of the lease."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from demo.pictures import examples
from label_detection_core.model.lease import LEASE_PREFIX
from sandbox.postgres import postgres
from sandbox.waiting import wait_until
from sandbox.world import World, WorldOptions
from tests.system.conftest import START_SECONDS, STOP_SECONDS
from tests.system.faults import results
from tests.system.faults.breaking import copy_dags
from tests.system.faults.images import outcomes
from tests.system.faults.results import FaultResult, Layer
from tests.system.pipeline import DAG_ID, Pipeline

SLOTS = 3
#: A DAG of somebody else: it takes all slots for ten minutes.
FOREIGN = f"""
from airflow.sdk import dag, task
import time

@dag(schedule=None, is_paused_upon_creation=False)
def foreign():
    @task
    def sleep(number):
        time.sleep(600)
    sleep.expand(number=list(range({2 * SLOTS})))
foreign()
"""
#: Minutes of the model.
MODEL_MINUTES = 0.75


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    dags = copy_dags(tmp_path / "dags")
    (dags / "foreign.py").write_text(FOREIGN)
    examples(tmp_path / "examples")
    with postgres(tmp_path / "logs") as url:
        options = WorldOptions(
            dags_folder=dags,
            sql_alchemy_conn=url,
            environment={"AIRFLOW__CORE__PARALLELISM": str(SLOTS)},
            settings={
                "schedule": "",
                "wait_minutes": "0",
                "watchdog_grace_minutes": "0",
                "max_model_minutes": str(MODEL_MINUTES),
            },
            aws={
                "examples": str(tmp_path / "examples"),
                "start-seconds": str(START_SECONDS),
                "stop-seconds": str(STOP_SECONDS),
                "rate": "2",
            },
        )
        with World(tmp_path, options) as world:
            for dag_id in (DAG_ID, "foreign"):
                world.api.wait_for_dag(dag_id, check=world.check)
            yield Pipeline(world, world.s3, world.sqs)


def test_the_triggerer_stops_the_model_when_no_worker_does(pipeline: Pipeline, picture: bytes) -> None:
    api = pipeline.world.api
    keys = pipeline.upload(20, picture)
    run_id = pipeline.trigger(max_tasks=1)
    pipeline.wait_until(lambda: pipeline.states(run_id).get("analyse_images") == ["running"])
    api.trigger("foreign")
    wait_until(
        lambda: api.task_states("foreign", api.runs("foreign")[0]["dag_run_id"])["sleep"].count("running") >= 2,
        60,
        "full",
        pipeline.world.check,
    )
    # With this pool, no further task is started, whatever its priority.
    at = time.time()
    api.call("PATCH", "/pools/default_pool", {"slots": 1}, update_mask="slots")
    until = datetime.fromisoformat(json.loads(leases(pipeline)[0])["until"]).timestamp()
    wait_until(lambda: pipeline.world.model()["status"] == "STOPPED", 300, "the model off", pipeline.world.check)
    off_at = time.time()
    assert pipeline.states(run_id)["stop_model"] in ([None], ["scheduled"]), "no worker may have taken it"
    wait_until(lambda: not leases(pipeline), 60, "the end of the lease", pipeline.world.check)
    row = FaultResult(
        "foreign tasks take all slots, and no task of the run is started any more",
        Layer.TRIGGERER.words,
        Layer.TRIGGERER.bound,
        "the end of the lease",
        off_at - until,
        off_at - at,
        str(outcomes(pipeline, keys)),
    )
    results.add(row)
    assert row.is_kept, row


def leases(pipeline: Pipeline) -> list[str]:
    """The leases as Airflow keeps them."""
    found = pipeline.world.api.call("GET", "/variables")["variables"]
    return [one["value"] for one in found if one["key"].startswith(LEASE_PREFIX)]
