"""Several pipelines at the same time in one Airflow, on a real scheduler."""

from __future__ import annotations

import csv
import io
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from label_detection.metrics import COUNTERS
from label_detection_core.config.settings import environment_name
from sandbox.environment import PROJECT
from sandbox.world import World, WorldOptions
from tests.seed import SEED

pytestmark = pytest.mark.system

IMAGES = 25
_ACCOUNT = "123456789012"


class PipelinesWorld(World):
    """A world with a pipelines file: `leaves` has the section's options, `parts` and `broken` have their own."""

    pipelines: dict[str, dict[str, Any]]

    def _read_aws(self, env_file: Path) -> None:
        super()._read_aws(env_file)
        model_arn = self.control("model/2")["arn"]
        self.pipelines = {
            "leaves": {"min_confidence": 80},
            "parts": {**self._place("parts"), "model_arn": model_arn, "max_tasks": 2},
            "broken": {**self._place("broken"), "model_arn": model_arn, "colour": "red"},
        }
        Path(self.environment[environment_name("pipelines")]).write_text(
            yaml.safe_dump(self.pipelines, sort_keys=False)
        )

    def _place(self, name: str) -> dict[str, str]:
        """Buckets and a queue."""
        source, final = f"{name}-source", f"{name}-final"
        for bucket in (source, final):
            self.s3.create_bucket(Bucket=bucket)
        queue_url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        configuration: Any = {"QueueArn": f"arn:aws:sqs:us-east-1:{_ACCOUNT}:{name}", "Events": ["s3:ObjectCreated:*"]}
        self.s3.put_bucket_notification_configuration(
            Bucket=source, NotificationConfiguration={"QueueConfigurations": [configuration]}
        )
        return {"queue_url": queue_url, "source_bucket": source, "final_bucket": final}

    def option(self, name: str, option: str) -> str:
        """An option of a pipeline; if the pipeline does not set it, the section's."""
        return str(self.pipelines[name].get(option) or self.setting(option))

    def keys(self, bucket: str) -> set[str]:
        """All keys of a bucket, except reports and journals."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
        return {key for key in keys if not key.startswith("runs/")}

    def document(self, bucket: str, key: str) -> dict[str, Any]:
        """A JSON object of a bucket."""
        found: dict[str, Any] = json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        return found


class Metrics:
    """A StatsD server that only receives. Tags are in InfluxDB's format."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._lines: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.environment = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }

    def of(self, dag_id: str) -> dict[str, str]:
        """The pipeline's metrics with a DAG's tag, as they were sent: value and type."""
        found = {}
        for line in self._lines:
            name, _, value = line.partition(":")
            if name.startswith("airflow.label_detection.") and f",dag_id={dag_id}" in name:
                found[name.partition(",")[0].removeprefix("airflow.")] = value
        return found

    def _listen(self) -> None:
        while True:
            self._lines += self._socket.recv(65_536).decode().splitlines()


def _with_the_example(folder: Path) -> Path:
    """The DAGs, and the example DAG that follows them."""
    shutil.copytree(PROJECT / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "examples" / "label_table_dag.py", folder)
    return folder


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def world(tmp_path: Path, metrics: Metrics) -> Iterator[PipelinesWorld]:
    options = WorldOptions(
        settings={"schedule": "", "wait_minutes": "0"},
        aws={
            "start-seconds": "3",
            "stop-seconds": "2",
            "rate": "20",
            "latency": "0.1",
            "more-models": "1",
            "seed": str(SEED),
            "duplicate-share": "0",  # because reports and metrics count deliveries
        },
        dags_folder=_with_the_example(tmp_path / "dags"),
        environment={environment_name("pipelines"): str(tmp_path / "pipelines.yaml"), **metrics.environment},
    )
    with PipelinesWorld(tmp_path / "world", options) as world:
        yield world


def test_two_pipelines_run_at_once_with_their_own_resources_and_a_broken_third_reports_its_error(
    world: PipelinesWorld, metrics: Metrics, picture: bytes
) -> None:
    dags = {name: f"label_detection__{name}" for name in world.pipelines}
    for dag_id in [*dags.values(), "label_detection_backfill__parts", "label_detection_watchdog", "label_table"]:
        world.api.wait_for_dag(dag_id, check=world.check)
    for name in dags:
        for number in range(IMAGES):
            bucket = world.option(name, "source_bucket")
            world.s3.put_object(Bucket=bucket, Key=f"{name}-{number}.png", Body=picture + f"{name}{number}".encode())
    world.control("queues", "DELETE")  # makes GetQueueAttributes report the current counts
    world.control("oddities", "PUT", {"duplicate_share": 0})  # because the reports count deliveries
    runs = {name: world.api.trigger(dag_id) for name, dag_id in dags.items()}
    states = {name: world.api.wait_for_run(dags[name], run_id, 240, world.check) for name, run_id in runs.items()}
    assert states == {"leaves": "success", "parts": "success", "broken": "failed"}

    times = []
    for name, model, confidence in (("leaves", "model", 80), ("parts", "model/2", 70)):
        final = world.option(name, "final_bucket")
        report = world.document(final, f"runs/{runs[name]}/report.json")
        assert report["images"]["labelled"] == IMAGES
        assert report["run"]["dag_id"] == dags[name]
        documents = [key for key in world.keys(final) if key.endswith(".json")]
        assert len(documents) == IMAGES
        assert all(key.startswith(f"{name}-") for key in world.keys(final)), "a picture of the other pipeline"
        arn = world.control(model)["arn"]
        assert world.document(final, documents[0])["model"] == {"arn": arn, "min_confidence": confidence}
        assert world.keys(world.option(name, "source_bucket")) == set()
        times.append([datetime.fromisoformat(report["model"][at]) for at in ("requested_at", "stopped_at")])
    assert max(since for since, _ in times) < min(until for _, until in times), "the runs must overlap"

    log = world.api.log(dags["broken"], runs["broken"], "wait_for_images", 1)
    assert "pipelines: broken: 'colour' is not an option" in log
    assert "pipelines: broken: model_arn is also used by parts" in log
    assert len(world.keys("broken-source")) == IMAGES
    assert [world.control(model)["status"] for model in ("model", "model/2")] == ["STOPPED", "STOPPED"]

    for name in ("leaves", "parts"):
        sent = metrics.of(dags[name])
        assert sent.keys() >= {*COUNTERS} - {"label_detection.images.failed"}
        assert sent["label_detection.images.labelled"] == f"{IMAGES}|c"
        assert sent["label_detection.queue.visible"] == "0|g"
        assert float(sent["label_detection.lag.longest"].removesuffix("|g")) > 3

    (table,) = world.api.runs("label_table")
    assert world.api.wait_for_run("label_table", table["dag_run_id"], 60, world.check) == "success"
    final, key = world.option("leaves", "final_bucket"), f"runs/{runs['leaves']}/labels.csv"
    body = world.s3.get_object(Bucket=final, Key=key)["Body"].read().decode()
    rows = list(csv.DictReader(io.StringIO(body)))
    assert sorted(row["key"] for row in rows) == sorted(f"leaves-{number}.png" for number in range(IMAGES))
    assert {row["outcome"] for row in rows} == {"labelled"}
