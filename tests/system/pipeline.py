"""The pipeline of a running world, with the operations that system tests use."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.waiting import wait_until
from sandbox.world import World

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

DAG_ID = "label_detection"


@dataclass(frozen=True)
class Pipeline:
    """The actions and the views of the pipeline's user."""

    world: World
    s3: S3Client
    sqs: SQSClient

    def upload(self, count: int, body: bytes) -> list[str]:
        """Upload pictures with different bytes under new keys; return the keys. The queue's counts include them."""
        keys = [f"line 3/{time.time_ns()}+é-{number}.png" for number in range(count)]
        for key in keys:
            self.s3.put_object(
                Bucket=self.world.setting("source_bucket"), Key=key, Body=body + key.encode(), ContentType="image/png"
            )
        self.settle()
        return keys

    def trigger(self, **params: Any) -> str:
        """Start a run; return its id."""
        return self.world.api.trigger(DAG_ID, conf=params)

    def finish(self, run_id: str, seconds: float = 240) -> str:
        """Wait until the run has ended; return its state."""
        return self.world.api.wait_for_run(DAG_ID, run_id, seconds, self.world.check)

    def states(self, run_id: str) -> dict[str, list[str | None]]:
        """The states of a run's task instances, by task id."""
        return self.world.api.task_states(DAG_ID, run_id)

    def log(self, run_id: str, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        """The log of a task."""
        return self.world.api.log(DAG_ID, run_id, task_id, try_number, map_index)

    def labels_in_grid(self, run_id: str) -> list[str | None]:
        """The names of the analysis tasks in the grid."""
        tasks = self.world.api.tasks(DAG_ID, run_id)
        return [task.rendered_map_index for task in tasks if task.task_id == "analyse_images"]

    def report(self, run_id: str) -> dict[str, Any]:
        """The report of the run."""
        key = f"runs/{run_id}/report.json"
        found: dict[str, Any] = json.loads(
            self.s3.get_object(Bucket=self.world.setting("final_bucket"), Key=key)["Body"].read()
        )
        return found

    def keys(self, which: str) -> list[str]:
        """All keys of the `source_bucket` or the `final_bucket`."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.world.setting(which))
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def depth(self) -> tuple[int, ...]:
        """Exact number of messages waiting and in flight. Unlike GetQueueAttributes, these counts never lag."""
        queue = self.world.control(f"queues/{self.world.setting('queue_url').rpartition('/')[2]}")
        return queue["visible"], queue["in_flight"]

    def settle(self) -> None:
        """Make GetQueueAttributes report the current counts."""
        self.world.control("queues", "DELETE")

    def exactly_once(self) -> None:
        """Deliver no message twice until the test ends."""
        self.world.control("oddities", "PUT", {"duplicate_share": 0})

    def model_history(self) -> list[str]:
        """The model's states so far, oldest first."""
        return [change["status"] for change in self.world.model()["history"]]

    def wait_until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until a condition is true."""
        wait_until(condition, seconds, "what the test waits for", self.world.check)

    def fail(self, service: str, operation: str, **fault: Any) -> None:
        """Make calls of an operation fail until the test ends."""
        self.world.control("faults", "PUT", [{"service": service, "operation": operation, **fault}])

    def put_model(self, status: str) -> None:
        """Put the model into a state."""
        self.world.control("model", "PUT", {"status": status, "start_outcome": "RUNNING"})

    def empty(self) -> None:
        """Empty the source bucket and the queue. Waits for messages in flight."""
        bucket, url = self.world.setting("source_bucket"), self.world.setting("queue_url")
        for key in self.keys("source_bucket"):
            self.s3.delete_object(Bucket=bucket, Key=key)
        while self.depth() != (0, 0):
            for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
                "Messages", []
            ):
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
