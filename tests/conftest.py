"""Fixtures for all tests: one embedded AWS per session, reached over HTTP, with buckets and a queue for each test."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import cv2
import numpy as np
import pytest
import requests

from label_detection_core.config.model_types import endpoint_name, model_of
from label_detection_core.config.settings import Settings
from sandbox.chromium import chromium, installed
from sandbox.environment import PROJECT, clean_own, cleaned
from sandbox.waiting import wait_until
from tests.model_calls import CALLS, KINDS, Call, ModelCalls
from tests.seed import SEED, VARIABLE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_scheduler import EventBridgeSchedulerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef
    from playwright.sync_api import Browser

# Must run before the first import of Airflow: the tests use a home folder of their own and no setting of the user's.
clean_own()
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="label-detection-tests-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = "aws://"

START_SECONDS = STOP_SECONDS = 1.0
#: Seconds: long enough for a test to notice the lag, short enough to keep the tests fast.
READY_LAG = DESCRIBE_LAG = 0.3
#: Further versions of the Rekognition project, beside the model that the settings name.
MORE_MODELS = ("2", "3")
OPTION = "AIRFLOW__LABEL_DETECTION__"
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Aws:
    """A client's view of the embedded AWS: clients, settings and the control pages."""

    environment: dict[str, str]
    s3: S3Client
    sqs: SQSClient
    sns: SNSClient
    scheduler: EventBridgeSchedulerClient
    settings: Settings
    calls: ModelCalls = CALLS["rekognition"]

    def control(self, page: str, method: str = "GET", body: object = None) -> Any:
        """Call a control page of the embedded AWS, and return its JSON."""
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_local/{page}"
        answer = requests.request(method, url, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def model(self, version: str = "") -> dict[str, Any]:
        """State and history of the settings' model, or of another version of the Rekognition project."""
        found: dict[str, Any] = self.control(f"model/{version or self.calls.page}")
        return found

    @property
    def is_started(self) -> bool:
        """Whether the settings' model is starting. On a busy machine it may have become RUNNING meanwhile."""
        return self.model()["status"] in {"STARTING", "RUNNING"}

    def change_model(self, **change: object) -> None:
        """Change how the settings' model behaves."""
        self.control(f"model/{self.calls.page}", "PUT", change)

    def put_model(self, status: str, version: str = "") -> None:
        """Put a model into a state. `status` is Rekognition's name of the state, for every model type."""
        self.control(f"model/{version or self.calls.page}", "PUT", {"status": status, "start_outcome": "RUNNING"})

    def fail_model(self, call: Call, **fault: object) -> None:
        """Make a call to the settings' model fail."""
        self.fail(self.calls.service, self.calls.operations[call], **fault)

    def schedules(self) -> list[str]:
        """The names of the existing EventBridge schedules."""
        return [schedule["Name"] for schedule in self.scheduler.list_schedules()["Schedules"]]

    def fail(self, service: str, operation: str, **fault: object) -> None:
        """Make calls of an operation fail. Faults that were set before stay."""
        faults = [*self.control("faults"), {"service": service, "operation": operation, **fault}]
        self.control("faults", "PUT", faults)

    def upload(self, key: str, body: bytes, **more: Any) -> str:
        """Put an object into the source bucket; return its eTag without quotes. The queue's counts include it."""
        answer = self.s3.put_object(Bucket=self.settings.source_bucket, Key=key, Body=body, **more)
        self.settle()
        return answer["ETag"].strip('"')

    def keys(self, bucket: str) -> list[str]:
        """All keys of a bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def source_keys(self) -> list[str]:
        """All keys of the source bucket."""
        return self.keys(self.settings.source_bucket)

    def final_keys(self) -> list[str]:
        """All keys of the final bucket, except reports and journals."""
        return [key for key in self.keys(self.settings.final_bucket) if not key.startswith("runs/")]

    def read(self, key: str) -> bytes:
        """The bytes of an object in the final bucket."""
        return self.s3.get_object(Bucket=self.settings.final_bucket, Key=key)["Body"].read()

    def depth(self) -> tuple[int, int]:
        """Exact number of messages waiting and in flight. Unlike GetQueueAttributes, these counts never lag."""
        queue = self.queue(self.settings.queue_url)
        return queue["visible"], queue["in_flight"]

    def queue(self, url: str) -> dict[str, int]:
        """Exact number of messages in a queue: `visible`, `in_flight`, `delayed`. These counts never lag."""
        found: dict[str, int] = self.control(f"queues/{url.rpartition('/')[2]}")
        return found

    def take_all(self, url: str) -> list[MessageTypeDef]:
        """Receive and delete all visible messages. A message that SQS delivers twice is returned once."""
        found: dict[str, MessageTypeDef] = {}
        while self.queue(url)["visible"]:
            answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                found.setdefault(message["MessageId"], message)
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return list(found.values())

    def settle(self) -> None:
        """Make GetQueueAttributes report the current counts."""
        self.control("queues", "DELETE")

    def set_oddities(self, **knobs: object) -> None:
        """Change the oddities of the embedded AWS until the test ends: see `/_local/oddities`."""
        self.control("oddities", "PUT", knobs)

    def exactly_once(self) -> None:
        """Deliver no message twice until the test ends."""
        self.set_oddities(duplicate_share=0)


@pytest.fixture(scope="session")
def _aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("aws")
    (folder / "examples").mkdir()
    env_file = folder / "aws.env"
    options = {
        "port": "0",
        "env-file": str(env_file),
        "examples": str(folder / "examples"),
        "start-seconds": str(START_SECONDS),
        "stop-seconds": str(STOP_SECONDS),
        "rate": "0",
        "latency": "0",
        "more-models": str(len(MORE_MODELS)),
        "ready-lag": str(READY_LAG),
        "describe-lag": str(DESCRIBE_LAG),
        "seed": str(SEED),
    }
    command = [sys.executable, "-m", "local_aws", *(word for o, v in options.items() for word in (f"--{o}", v))]
    with (folder / "aws.log").open("w") as log:
        process = subprocess.Popen(command, env=cleaned(), cwd=PROJECT, stdout=log, stderr=log)
    try:
        wait_until(env_file.exists, 60, "the embedded AWS")
        aws = _connect(env_file)
        _name_the_endpoint(aws)
        yield aws
    finally:
        process.terminate()
        process.wait(60)


def _connect(env_file: Path) -> Aws:
    environment = dict(line.split("=", 1) for line in env_file.read_text().splitlines() if "=" in line)
    session = boto3.session.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    endpoint = environment["AWS_ENDPOINT_URL"]
    options: Any = {
        name.removeprefix(OPTION).lower(): value for name, value in environment.items() if name.startswith(OPTION)
    }
    return Aws(
        environment,
        session.client("s3", endpoint_url=endpoint),
        session.client("sqs", endpoint_url=endpoint),
        session.client("sns", endpoint_url=endpoint),
        session.client("scheduler", endpoint_url=endpoint),
        Settings(**options),
    )


def _name_the_endpoint(aws: Aws) -> None:
    """Create the pipeline's endpoint: control pages that start an endpoint use the name of the newest one."""
    page = CALLS["sagemaker"].page
    client = boto3.client(
        "sagemaker",
        "us-east-1",
        endpoint_url=aws.environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
    )
    client.create_endpoint(EndpointName=endpoint_name(model_of(aws.model(page)["arn"])), EndpointConfigName=page)
    aws.put_model("STOPPED", page)


@pytest.fixture
def model_kind() -> str:
    """The model type of the test's model. A test marked `kinds` runs once for each type that the mark names."""
    return "rekognition"


@pytest.fixture
def aws(_aws_server: Aws, model_kind: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The embedded AWS with new buckets, a new queue and a model that was never started, set in the environment."""
    shared = replace(_aws_server, calls=CALLS[model_kind])
    for page in ("faults", "oddities", "objects"):
        shared.control(page, "DELETE")
    for version in ("", *MORE_MODELS):
        shared.put_model("TRAINING_COMPLETED", version)
    for schedule in shared.schedules():
        shared.scheduler.delete_schedule(Name=schedule)
    name = f"test-{next(_NUMBERS)}"
    own: dict[str, Any] = {"source_bucket": f"{name}-source", "final_bucket": f"{name}-final"}
    for bucket in own.values():
        shared.s3.create_bucket(Bucket=bucket)
    own["model_arn"] = shared.model()["arn"]
    own["queue_url"] = shared.sqs.create_queue(QueueName=name)["QueueUrl"]
    shared.s3.put_bucket_notification_configuration(
        Bucket=own["source_bucket"],
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": f"arn:aws:sqs:us-east-1:123456789012:{name}", "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    shared.sqs.purge_queue(QueueUrl=own["queue_url"])  # deletes the s3:TestEvent
    shared.settle()
    environment = {OPTION + option.upper(): value for option, value in own.items()}
    for variable, value in (shared.environment | environment).items():
        monkeypatch.setenv(variable, value)
    return replace(shared, settings=shared.settings.model_copy(update=own))


@dataclass(frozen=True)
class Topic:
    """An SNS topic with a queue that is subscribed to it."""

    arn: str
    aws: Aws
    queue_url: str

    def published(self) -> list[tuple[str, str]]:
        """Subject and text of each message since the last call. A message that SQS delivers twice counts once."""
        bodies = {message["MessageId"]: json.loads(message["Body"]) for message in self.aws.take_all(self.queue_url)}
        return [(body["Subject"], body["Message"]) for body in bodies.values()]


@pytest.fixture
def topic(aws: Aws) -> Topic:
    """A new topic for the test."""
    name = f"topic-{next(_NUMBERS)}"
    arn = aws.sns.create_topic(Name=name)["TopicArn"]
    queue_url = aws.sqs.create_queue(QueueName=name)["QueueUrl"]
    aws.sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:123456789012:{name}")
    return Topic(arn, aws, queue_url)


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A PNG of 96 x 96 pixels of noise, which the model accepts."""
    pixels = np.random.default_rng(7).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="module")  # while the browser exists, no other code may run an event loop for long
def chromium_browser() -> Iterator[Browser]:
    """A real browser. Without Chromium the test is skipped, and in the gate a skipped test fails."""
    if not installed():
        pytest.skip("chromium is not installed")
    with chromium() as browser:
        yield browser


#: Fixtures that bring up a real Airflow for many tests.
_WORLDS = {"_api_server", "_world", "site"}


def pytest_report_header() -> str:
    """Print the seed: a session with the same seed has the same oddities of the embedded AWS."""
    return f"{VARIABLE}={SEED} (seed of the embedded AWS's oddities)"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that is marked `kinds` once for each model type that the mark names."""
    kinds = metafunc.definition.get_closest_marker("kinds")
    if kinds and "model_kind" in metafunc.fixturenames:
        metafunc.parametrize("model_kind", kinds.args)


@pytest.hookimpl(tryfirst=True)  # before the hook of xdist, which reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests that share a world in one worker, because a world is expensive to start.

    Cases that are marked `only` exist for the model types that the mark names. LABEL_DETECTION_KINDS limits all tests
    to the model types that it lists.
    """
    for item in items:
        for world in _WORLDS & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.xdist_group(world))
        if _is_fast(item):
            item.add_marker(pytest.mark.fast)
    items[:] = [item for item in items if not _is_of_another_kind(item)]


def _is_fast(item: pytest.Item) -> bool:
    """Whether it is a test of the core or of the documentation, without the embedded AWS."""
    is_there = item.path.parent in {PROJECT / "tests", PROJECT / "tests" / "core"}
    needs_aws = "_aws_server" in getattr(item, "fixturenames", ())
    return is_there and not needs_aws and item.get_closest_marker("slow") is None


def _is_of_another_kind(item: pytest.Item) -> bool:
    only, case = item.get_closest_marker("only"), getattr(item, "callspec", None)
    kind = case.params.get("model_kind", case.params.get("kind", "rekognition")) if case else "rekognition"
    wanted = os.environ.get("LABEL_DETECTION_KINDS", "").split()
    return (only is not None and kind not in only.args) or (bool(wanted) and kind in {*KINDS} - {*wanted})


def left_out(ignored: Iterable[str], marks: str) -> set[str]:
    """The suites (folders of `tests/`) that the options `--ignore` and `-m` leave out."""
    folders = {Path(path).resolve() for path in ignored}
    suites = {path.name for path in folders if path.parent == PROJECT / "tests"}
    by_mark = {"not system": {"system", "install", "site"}, "not install": {"install"}, "not site": {"site"}}
    return suites.union(*(its for mark, its in by_mark.items() if mark in marks))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the gate, fail the session if a test was skipped or if a suite ran no test and was not left out on purpose."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    wrong = [f"skipped: {report.nodeid}" for report in reporter.stats.get("skipped", [])]
    if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS and not session.config.option.keyword:
        without = left_out(session.config.option.ignore or (), session.config.option.markexpr)
        suites = {path.relative_to(PROJECT / "tests").parts[0] for path in PROJECT.glob("tests/*/**/test_*.py")}
        ran = {Path(report.nodeid.split("::")[0]).parts[1] for report in reporter.stats.get("passed", [])}
        wrong += [f"nothing ran of tests/{suite}" for suite in sorted(suites - ran - without)]
    for line in wrong:
        reporter.write_line(line, red=True)
    if wrong and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
