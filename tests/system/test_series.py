"""A pipeline whose runs fail one after the other is paused; its neighbour is not. On a real scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from label_detection_core.config.settings import environment_name
from sandbox.aws_clients import client
from sandbox.waiting import wait_until
from sandbox.world import WorldOptions
from tests.seed import SEED
from tests.system.conftest import make_place
from tests.system.test_pipelines import PipelinesWorld

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("series")]

PAUSE_AFTER = 3
GOOD, BROKEN, POOLLESS = (f"label_detection__{name}" for name in ("good", "broken", "poolless"))


class SeriesWorld(PipelinesWorld):
    """A world with two pipelines, each with its own model. Notices of the broken one arrive in the queue `notices`."""

    notices: str

    def _read_aws(self, env_file: Path) -> None:
        super()._read_aws(env_file)
        sns = client(self.aws_environment, "sns")
        topic = sns.create_topic(Name="alarms")["TopicArn"]
        self.notices = self.sqs.create_queue(QueueName="notices")["QueueUrl"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:notices")
        self.pipelines = {
            "good": {"pause_after_failed_runs": 1},
            "poolless": {
                **self._place("poolless"),
                "model_arn": self.control("model/3")["arn"],
                "analysis_pool": "never_made",
            },
            "broken": {
                **self._place("torn"),
                "model_arn": self.control("model/2")["arn"],
                "pause_after_failed_runs": PAUSE_AFTER,
                "sns_topic_arn": topic,
            },
        }
        Path(self.environment[environment_name("pipelines")]).write_text(yaml.safe_dump(self.pipelines))

    def is_paused(self, dag_id: str) -> bool:
        """Whether a DAG is paused."""
        return bool(self.api.call("GET", f"/dags/{dag_id}")["is_paused"])

    def subjects(self) -> list[str]:
        """The subjects of the notices so far."""
        found: dict[str, str] = {}  # by message id: SQS may deliver one twice
        while True:
            answer = self.sqs.receive_message(QueueUrl=self.notices, MaxNumberOfMessages=10, WaitTimeSeconds=2)
            if not answer.get("Messages"):
                return [*found.values()]
            for message in answer["Messages"]:
                found[message["MessageId"]] = json.loads(message["Body"])["Subject"]
                self.sqs.delete_message(QueueUrl=self.notices, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeriesWorld]:
    tmp_path = make_place(tmp_path_factory, "series")
    options = WorldOptions(
        settings={"schedule": "", "wait_minutes": "0"},
        aws={"start-seconds": "1", "stop-seconds": "1", "more-models": "2", "seed": str(SEED)},
        environment={environment_name("pipelines"): str(tmp_path / "pipelines.yaml")},
    )
    with SeriesWorld(tmp_path / "world", options) as world:
        for dag_id in (GOOD, BROKEN, POOLLESS, "label_detection_watchdog"):
            world.api.wait_for_dag(dag_id, check=world.check)
        world.control("oddities", "DELETE")
        yield world


def test_a_permission_that_breaks_costs_three_starts_and_sends_one_notice(world: SeriesWorld, picture: bytes) -> None:
    def run(dag_id: str, **params: Any) -> str:
        world.control("queues", "DELETE")  # makes GetQueueAttributes report the current counts
        return world.api.wait_for_run(dag_id, world.api.trigger(dag_id, conf=params), 240, world.check)

    def put(name: str, key: str) -> None:
        world.s3.put_object(Bucket=world.option(name, "source_bucket"), Key=key, Body=picture + key.encode())

    def starts() -> int:
        return [change["status"] for change in world.control("model/2")["history"]].count("RUNNING")

    put("broken", "1.png")
    denied: dict[str, Any] = {"status": 400, "code": "AccessDeniedException", "message": "not yours", "times": 10_000}
    world.control("faults", "PUT", [{"service": "rekognition", "operation": "DetectCustomLabels", **denied}])
    for number in range(1, PAUSE_AFTER + 1):
        assert not world.is_paused(BROKEN), f"before run {number}"
        assert run(BROKEN) == "failed"
        if number == 1:
            assert run(BROKEN, start_at_images=100) == "success", "a skipped run, which must not end the series"
    wait_until(lambda: world.is_paused(BROKEN), 60, "the pause", world.check)
    assert starts() == PAUSE_AFTER
    assert world.control("model/2")["status"] == "STOPPED"
    assert world.subjects() == [f"[label detection] Run failed: {BROKEN}"]
    assert [world.is_paused(dag_id) for dag_id in (GOOD, "label_detection_watchdog")] == [False, False]

    world.control("faults", "DELETE")
    put("good", "2.png")
    assert run(GOOD) == "success"
    world.api.pause(BROKEN, paused=False)
    assert run(BROKEN) == "success"
    assert world.keys(world.option("broken", "source_bucket")) == set(), "no picture may be lost"
    assert not world.is_paused(BROKEN)


def test_a_pool_that_does_not_exist_is_one_error_and_not_a_task_that_never_runs(
    world: SeriesWorld, picture: bytes
) -> None:
    world.s3.put_object(Bucket="poolless-source", Key="1.png", Body=picture)
    world.control("queues", "DELETE")
    run_id = world.api.trigger(POOLLESS)
    assert world.api.wait_for_run(POOLLESS, run_id, 240, world.check) == "failed"
    log = world.api.log(POOLLESS, run_id, "wait_for_images", 1)
    assert "pipelines: poolless: analysis_pool: Airflow has no pool 'never_made'; create it" in log
    world.api.call("POST", "/pools", {"name": "never_made", "slots": 2})
    run_id = world.api.trigger(POOLLESS)
    assert world.api.wait_for_run(POOLLESS, run_id, 240, world.check) == "success"
    assert world.keys("poolless-source") == set()
