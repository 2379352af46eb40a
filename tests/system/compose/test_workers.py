"""A run on several workers, one of which is killed."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict

import pytest
from rich.console import Console
from rich.table import Table

from tests.system.compose.conftest import Compose
from tests.system.faults.images import outcomes
from tests.system.pipeline import DAG_ID, Pipeline

IMAGES = 300
#: Images per second of the model. The run outlasts the minute until Airflow notices a lost worker.
RATE = 2.5


def test_every_service_is_healthy(compose: Compose) -> None:
    assert sorted(compose.containers.running) == [
        "airflow-apiserver-1",
        "airflow-control-worker-1",
        "airflow-dag-processor-1",
        "airflow-scheduler-1",
        "airflow-triggerer-1",
        "airflow-worker-1",
        "airflow-worker-2",
        "flower-1",
        "local-aws-1",
        "postgres-1",
        "redis-1",
    ]
    assert [name for name, one in compose.containers.running.items() if not one.is_healthy()] == []
    assert set(compose.api.health().values()) == {"healthy"}


def test_a_run_goes_on_when_one_of_its_workers_is_killed_and_another_joins(
    compose: Compose, pipeline: Pipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    containers = compose.containers
    compose.control("model", "PUT", {"rate": RATE})
    keys = pipeline.upload(IMAGES, picture)
    run_id = pipeline.trigger()
    pipeline.wait_until(lambda: len(at_work(compose, run_id)) == 2)
    pipeline.wait_until(lambda: len(by_consumer(pipeline, run_id)) == 2)  # both workers have written their journals
    lost_task = at_work(compose, run_id)["airflow-worker-2"]
    killed_at = containers.running.pop("airflow-worker-2").kill()
    containers.start("airflow-worker", 3)
    pipeline.wait_until(lambda: at_work(compose, run_id).get("airflow-worker-3") == lost_task)
    taken_over = time.time() - killed_at
    assert pipeline.finish(run_id) == "success"
    found = outcomes(pipeline, keys)
    shares = by_worker(compose, pipeline, run_id)
    with capsys.disabled():
        show(shares, f"airflow-worker-2 killed; taken over by airflow-worker-3 {taken_over:.0f} s later; {found}")
    assert found.labelled == IMAGES
    assert pipeline.depth() == (0, 0)
    assert compose.model()["status"] == "STOPPED"
    stops = [task for task in compose.api.tasks(DAG_ID, run_id) if task.task_id == "stop_model"]
    assert [task.hostname for task in stops] == ["airflow-control-worker-1"]
    assert sorted(shares) == ["airflow-worker-1", "airflow-worker-2", "airflow-worker-3"]
    assert min(shares.values()) > 0


def at_work(compose: Compose, run_id: str) -> dict[str | None, int]:
    """The workers that run analysis tasks now, with the task's map index."""
    tasks = compose.api.tasks(DAG_ID, run_id)
    return {t.hostname: t.map_index for t in tasks if t.task_id == "analyse_images" and t.state == "running"}


def hosts(compose: Compose, run_id: str) -> dict[int, list[str]]:
    """For each analysis task, the workers of its tries."""
    count = sum(task.task_id == "analyse_images" for task in compose.api.tasks(DAG_ID, run_id))
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/analyse_images"
    tries = {index: compose.api.call("GET", f"{path}/{index}/tries")["task_instances"] for index in range(count)}
    return {index: [one["hostname"] for one in found] for index, found in tries.items()}


def by_consumer(pipeline: Pipeline, run_id: str) -> dict[tuple[int, str], int]:
    """Labelled images by consumer: map index and name, in the order of their first journal part.

    Each try of a task is a consumer of its own, with its own parts of the run's journal.
    """
    bucket = pipeline.world.setting("final_bucket")
    listed = pipeline.s3.list_objects_v2(Bucket=bucket, Prefix=f"runs/{run_id}/images/").get("Contents", [])
    found: dict[tuple[int, str], int] = {}
    for entry in sorted(listed, key=lambda entry: entry["LastModified"]):
        index, name, _ = entry["Key"].split("/")[-1].split("-")
        lines = pipeline.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().splitlines()
        labelled = sum(json.loads(line)["outcome"] == "labelled" for line in lines)
        found[int(index), name] = found.get((int(index), name), 0) + labelled
    return found


def by_worker(compose: Compose, pipeline: Pipeline, run_id: str) -> Counter[str]:
    """Labelled images by worker. Does not count images of a killed worker's last seconds, which are in no journal."""
    tries = hosts(compose, run_id)
    consumers: dict[int, list[int]] = defaultdict(list)
    for (index, _), images in by_consumer(pipeline, run_id).items():
        consumers[index].append(images)
    found: Counter[str] = Counter()
    for index, images_of_tries in consumers.items():
        for host, images in zip(tries[index], images_of_tries, strict=True):
            found[host] += images
    return found


def show(shares: Counter[str], caption: str) -> None:
    """Print the table."""
    table = Table("worker", "images")
    for worker, images in sorted(shares.items()):
        table.add_row(worker, str(images))
    Console(width=120).print("", table, caption)
