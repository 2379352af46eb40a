"""All worker slots are taken by tasks that end, on the LocalExecutor: stop_model gets the first free slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from demo.pictures import examples
from sandbox.postgres import postgres
from sandbox.world import World, WorldOptions
from tests.system.conftest import START_SECONDS, STOP_SECONDS
from tests.system.faults import foreign, results
from tests.system.faults.breaking import copy_dags
from tests.system.faults.slots import IMAGES, run_beside, run_beside_foreign_tasks
from tests.system.faults.watching import WatchedPipeline
from tests.system.pipeline import DAG_ID

SLOTS = 3
#: Seconds from the end of the analysis to the start of stop_model.
FIRST = foreign.SECONDS + 5
#: A second pipeline, which has a DAG file of its own.
OTHER = "other-label_detection"
_FILE = """
# Airflow's DAG of another pipeline.
from label_detection.dags import labels

labels(prefix="other-", with_watchdog=False, max_tasks=4, {options})
"""
#: Pictures of the other pipeline, and images per second of its model: its analysis outlasts the test.
_PICTURES, _RATE = 200, 0.5


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedPipeline]:
    folder = tmp_path_factory.mktemp("slots")
    dags = copy_dags(folder / "dags")
    foreign.write_foreign(dags)
    examples(folder / "examples")
    with postgres(folder / "logs") as url:
        options = WorldOptions(
            dags_folder=dags,
            sql_alchemy_conn=url,
            environment={"AIRFLOW__CORE__PARALLELISM": str(SLOTS)},
            settings={"schedule": "", "wait_minutes": "0", "watchdog_grace_minutes": "0"},
            aws={
                "examples": str(folder / "examples"),
                "start-seconds": str(START_SECONDS),
                "stop-seconds": str(STOP_SECONDS),
                "rate": "2",
            },
        )
        with World(folder, options) as world:
            for dag_id in (DAG_ID, foreign.FOREIGN):
                world.api.wait_for_dag(dag_id, check=world.check)
            yield WatchedPipeline(world, world.s3, world.sqs)


def test_stop_model_gets_the_first_slot_that_foreign_tasks_leave(
    pipeline: WatchedPipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = f"foreign tasks of {foreign.SECONDS} s take all slots"
    found = run_beside_foreign_tasks(pipeline, picture, SLOTS, fault, extra=foreign.SECONDS)
    results.add(found.row)
    with capsys.disabled():
        Console(width=160).print(f"\nstop_model started {found.waited:.1f} s after the analysis")
    assert found.row.is_kept, found
    assert found.waited <= FIRST


def test_stop_model_never_waits_for_the_analysis_of_another_pipeline(
    pipeline: WatchedPipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    api = pipeline.world.api
    bucket = another_pipeline(pipeline)
    for number in range(_PICTURES):
        pipeline.s3.put_object(Bucket=bucket, Key=f"{number}.png", Body=picture + b"%d" % number)

    def take_all_slots() -> str:
        run_id = api.trigger(OTHER)

        def states() -> list[str | None]:
            return api.task_states(OTHER, run_id).get("analyse_images", [])

        pipeline.wait_until(lambda: states().count("running") == SLOTS - 1 and len(states()) > SLOTS)
        return run_id

    fault = "the analysis tasks of another pipeline take all slots, and more of them wait"
    found = run_beside(pipeline, picture, take_all_slots, fault, images=2 * IMAGES)
    others = api.task_states(OTHER, found.others)["analyse_images"]
    results.add(found.row)
    with capsys.disabled():
        Console(width=160).print(
            f"\nstop_model started {found.waited:.1f} s after the analysis; the other pipeline's tasks: {others}"
        )
    assert "scheduled" in others, "a slot was free: the test shows nothing"
    assert found.row.is_kept, found


def another_pipeline(pipeline: WatchedPipeline) -> str:
    """Make a second pipeline, with buckets, queue and model of its own; return its source bucket."""
    world = pipeline.world
    source, final = "other-source", "other-final"
    for bucket in (source, final):
        pipeline.s3.create_bucket(Bucket=bucket)
    queue_url = pipeline.sqs.create_queue(QueueName="other")["QueueUrl"]
    queue: Any = {"QueueArn": "arn:aws:sqs:us-east-1:123456789012:other", "Events": ["s3:ObjectCreated:*"]}
    pipeline.s3.put_bucket_notification_configuration(
        Bucket=source, NotificationConfiguration={"QueueConfigurations": [queue]}
    )
    world.control("model/2", "PUT", {"rate": _RATE})
    model_arn = world.control("model/2")["arn"]
    options = {"queue_url": queue_url, "source_bucket": source, "final_bucket": final, "model_arn": model_arn}
    words = ", ".join(f"{name}={value!r}" for name, value in options.items())
    (world.options.dags_folder / "other.py").write_text(_FILE.format(options=words))
    world.api.wait_for_dag(OTHER, check=world.check)
    return source
