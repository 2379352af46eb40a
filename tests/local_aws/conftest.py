"""The embedded AWS as a separate process, and boto3 clients for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from sandbox.waiting import wait_until
from tests.local_aws.pictures import save_examples
from tests.seed import SEED

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Aws:
    """A running embedded AWS."""

    env: dict[str, str]
    process: subprocess.Popen[str]

    @property
    def endpoint(self) -> str:
        return self.env["AWS_ENDPOINT_URL"]

    @property
    def queue_url(self) -> str:
        return self.env["AIRFLOW__LABEL_DETECTION__QUEUE_URL"]

    @property
    def source(self) -> str:
        return self.env["AIRFLOW__LABEL_DETECTION__SOURCE_BUCKET"]

    @property
    def final(self) -> str:
        return self.env["AIRFLOW__LABEL_DETECTION__FINAL_BUCKET"]

    @property
    def model_arn(self) -> str:
        return self.env["AIRFLOW__LABEL_DETECTION__MODEL_ARN"]

    def client(self, service: str, **options: Any) -> Any:
        # One attempt: botocore's retries would hide the tested behaviour.
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=20, **options)
        make: Callable[..., Any] = boto3.client
        return make(
            service,
            endpoint_url=self.endpoint,
            region_name=self.env["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            config=config,
        )

    def model(self, name: str = "", /, **change: Any) -> dict[str, Any]:
        """Change a model's control page if `change` is given, and return it. Default: the model that was chosen."""
        url = f"{self.endpoint}/_local/model/{name}".removesuffix("/")
        answer = requests.put(url, json=change, timeout=10) if change else requests.get(url, timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def models(self) -> list[dict[str, Any]]:
        """The control pages of all models."""
        return list(requests.get(f"{self.endpoint}/_local/models", timeout=10).json())

    def control(self, page: str, method: str = "GET", body: Any = None) -> Any:
        """Call a control page and return its JSON."""
        answer = requests.request(method, f"{self.endpoint}/_local/{page}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def faults(self, *faults: dict[str, Any]) -> requests.Response:
        return requests.put(f"{self.endpoint}/_local/faults", json=list(faults), timeout=10)

    def left_faults(self) -> list[dict[str, Any]]:
        return list(requests.get(f"{self.endpoint}/_local/faults", timeout=10).json())


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "local_aws", *options]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Aws]:
    """Run an embedded AWS on a free port; SIGTERM ends it."""
    env_file = folder / "aws.env"
    env_file.unlink(missing_ok=True)
    with (folder / "aws.log").open("w") as log:
        process = subprocess.Popen(
            command("--port", "0", "--env-file", str(env_file), *options),
            cwd=ROOT,
            stdout=log,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            until(env_file.exists)
            lines = env_file.read_text().splitlines()
            yield Aws(dict(line.split("=", 1) for line in lines), process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def until(condition: Callable[[], Any]) -> Any:
    """Wait until the condition returns a true value, and return that value."""
    return wait_until(condition, 60, "what the test waits for", every=0.02)


def receive(sqs: Any, queue_url: str, seconds: int = 0) -> list[dict[str, Any]]:
    """Wait for a first message, then receive and delete all. A message that SQS delivers twice is returned once."""
    found: dict[str, dict[str, Any]] = {}
    page = f"{sqs.meta.endpoint_url}/_local/queues/{queue_url.rpartition('/')[2]}"
    while (not found and seconds) or requests.get(page, timeout=10).json()["visible"]:
        answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds or 1)
        messages = answer.get("Messages", [])
        for message in messages:
            found.setdefault(message["MessageId"], message)
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        if not messages:
            break
    return list(found.values())


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    save_examples(folder)
    return folder


#: Seconds that a start and a stop take. A test that must see a state in between makes them take hours.
SOON = {"start_seconds": 0.3, "stop_seconds": 0.3}
HOURS = {"start_seconds": 9999, "stop_seconds": 9999}


@pytest.fixture(scope="session")
def shared_aws(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[Aws]:
    options = (
        *("--start-seconds", "0.3", "--stop-seconds", "0.3", "--rate", "0", "--latency", "0"),
        *("--ready-lag", "0.2", "--describe-lag", "0.2", "--seed", str(SEED)),
    )
    with running(tmp_path_factory.mktemp("aws"), "--examples", str(examples), *options) as aws:
        yield aws


@pytest.fixture
def aws(shared_aws: Aws) -> Aws:
    """The embedded AWS with models that were never started, no faults, and an empty queue and source bucket."""
    shared_aws.faults()
    shared_aws.control("oddities", "DELETE")
    shared_aws.control("objects", "DELETE")
    usual: dict[str, Any] = {"status": "TRAINING_COMPLETED", "start_outcome": "RUNNING", "rate": 0, "latency": 0} | SOON
    for model in shared_aws.models():
        shared_aws.model(model["name"], **usual)
    s3 = shared_aws.client("s3")
    for bucket in (shared_aws.source, shared_aws.final):
        for found in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=found["Key"])
    receive(shared_aws.client("sqs"), shared_aws.queue_url)
    return shared_aws


@pytest.fixture
def plain_aws(aws: Aws) -> Aws:
    """The embedded AWS without its oddities, for tests that need exact answers."""
    knobs = {"count_age": 0, "short_poll_share": 1, "duplicate_share": 0, "ready_lag": 0, "describe_lag": 0}
    aws.control("oddities", "PUT", knobs)
    return aws


@pytest.fixture
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture
def sqs(aws: Aws) -> Any:
    return aws.client("sqs")


@pytest.fixture
def rekognition(aws: Aws) -> Any:
    return aws.client("rekognition")


@pytest.fixture
def put(aws: Aws) -> Iterator[Callable[[Any], requests.Response]]:
    """Put an IAM policy in force."""
    url = f"{aws.endpoint}/_local/policy"
    yield lambda policy: requests.put(url, json=policy, timeout=10)
    requests.delete(url, timeout=10)
