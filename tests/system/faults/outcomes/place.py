"""An embedded AWS without Airflow, with buckets and a queue for each test."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import requests
from botocore.config import Config

from demo.pictures import examples
from sandbox.environment import PROJECT, cleaned
from sandbox.waiting import wait_until
from tests.seed import SEED
from tests.system.faults.kind import calls, kind, name_the_endpoint
from tests.system.faults.outcomes.audit import AuditedPipeline

_NUMBERS = itertools.count(1)
#: Share of failing calls, for each service.
SHARE = 0.05
_QUEUE_ARN = "arn:aws:sqs:us-east-1:123456789012:"


class ImageAws:
    """The server, with its faults and its model. Makes buckets and queues."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        session = boto3.Session(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
        )
        config = Config(retries={"mode": "standard", "total_max_attempts": 10}, read_timeout=20)
        self._clients: dict[str, Any] = {
            name: session.client(name, endpoint_url=environment["AWS_ENDPOINT_URL"], config=config)
            for name in ("s3", "sqs")
        }
        name_the_endpoint(
            session.client("sagemaker", endpoint_url=environment["AWS_ENDPOINT_URL"]), self.control("model")["arn"]
        )
        self.control("model", "PUT", {"status": "RUNNING"})

    def control(self, page: str, method: str = "GET", body: object = None) -> Any:
        """Call a control page of the embedded AWS, and return its JSON."""
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_local/{page}"
        answer = requests.request(method, url, json=body, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def make_place(self, max_receive_count: int | None = None) -> AuditedPipeline:
        """Make buckets and a queue that S3 notifies; with `max_receive_count`, a dead-letter queue as well."""
        name = f"faults-{next(_NUMBERS)}"
        sqs, s3 = self._clients["sqs"], self._clients["s3"]
        attributes, dead_letters = {}, None
        if max_receive_count:
            dead_letters = sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
            policy = {"deadLetterTargetArn": f"{_QUEUE_ARN}{name}-dead", "maxReceiveCount": max_receive_count}
            attributes["RedrivePolicy"] = json.dumps(policy)
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        for bucket in (f"{name}-source", f"{name}-final"):
            s3.create_bucket(Bucket=bucket)
        announce = {"QueueArn": f"{_QUEUE_ARN}{name}", "Events": ["s3:ObjectCreated:*"]}
        s3.put_bucket_notification_configuration(
            Bucket=f"{name}-source", NotificationConfiguration={"QueueConfigurations": [announce]}
        )
        place = AuditedPipeline(
            **self._clients,
            aws=self.environment,
            source_bucket=f"{name}-source",
            final_bucket=f"{name}-final",
            queue_url=url,
            model_arn=self.control("model")["arn"],
            dead_letters_url=dead_letters,
        )
        differing = {str(answer) for answer in place.answers.values()}
        assert len(differing) > len(place.answers) / 2, "the model must answer most scenes differently"
        return place


@contextmanager
def serve(folder: Path) -> Iterator[ImageAws]:
    """Run a new server with a model that knows the objects of the scenes."""
    examples(folder / "examples")
    env_file = folder / "aws.env"
    options = {
        "port": "0",
        "env-file": str(env_file),
        "examples": str(folder / "examples"),
        "rate": "0",
        "latency": "0",
        "model": kind(),
        "seed": str(SEED),
    }
    command = [sys.executable, "-m", "local_aws", *(word for o, v in options.items() for word in (f"--{o}", v))]
    with (folder / "aws.log").open("w") as log:
        process = subprocess.Popen(command, env=cleaned(), cwd=PROJECT, stdout=log, stderr=log)
    try:
        wait_until(env_file.exists, 60, "the embedded AWS")
        environment = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
        yield ImageAws(environment | {"AIRFLOW_CONN_AWS_DEFAULT": "aws://"}, folder)
    finally:
        process.terminate()
        process.wait(10)


def random_faults(seed: int) -> list[dict[str, Any]]:
    """Faults: 503, 500, a time-out, a cut connection, each before and after the call is carried out."""
    troubles: list[dict[str, Any]] = [
        {"status": 503, "code": "SlowDown"},
        {"status": 500, "code": "InternalError"},
        {"delay": 6, "status": 503},
        {"reset": True},
    ]
    faults = []
    for service, operation in (("s3", "*"), ("sqs", "*"), (calls().service, calls().operations["detect"])):
        for trouble in troubles:
            for when in ("before", "after"):
                seed += 1
                fault = {"service": service, "operation": operation, "when": when, "seed": seed, **trouble}
                faults.append(fault | {"probability": SHARE / (2 * len(troubles))})
    return faults
