"""Credentials, tokens and signatures are in nothing that a run writes, whether it succeeds or fails."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from label_detection.hooks import clients
from label_detection.hooks.redacting import RedactingAwsHook
from label_detection.operators.backfill import EnqueueImagesOperator, PlanBackfillOperator
from label_detection.operators.images import AnalyseImagesOperator
from label_detection.operators.model import StartModelOperator, StopModelOperator
from label_detection.operators.run import PlanRunOperator, WriteReportOperator
from label_detection.sensors.model import ModelRunningSensor
from label_detection.sensors.sqs import QueueDepthSensor
from label_detection_core.config.settings import SettingsError, load
from label_detection_core.redaction import redact
from sandbox.environment import PROJECT
from sandbox.waiting import wait_until
from tests.conftest import Aws
from tests.plugins.conftest import Run, Variables

KEY_ID, SECRET, TOKEN = "AKIADISTINCTIVE00001", "dIsTiNcTiVe+secret/key", "FwoGdistinctiveTOKEN//////////=="
USER, PASSWORD = "proxyuser", "pr0xy-p4ssword"
SECRETS = (KEY_ID, SECRET, TOKEN, PASSWORD)

#: AWS's message about a signature that it does not accept (SQS, Rekognition: with the whole canonical request).
REFUSED_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. The Canonical String for this "
    f"request should have been\n'POST\n/\n\nhost:sqs.eu-west-1.amazonaws.com\nx-amz-security-token:{TOKEN}\n\nhost'\n"
)


class Written:
    """Everything that tasks have written, for a search."""

    def __init__(self, aws: Aws, run: Run, variables: Variables, capture: Any, caplog: Any) -> None:
        self._aws, self._run, self._variables = aws, run, variables
        self._capture, self._caplog = capture, caplog
        self.raised: list[BaseException] = []

    def attempt(self, call: Callable[[], Any]) -> Any:
        """Call a function; write its exception to the task's log."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # any exception is searched
            self.raised.append(error)
            return None

    def places(self) -> Iterator[tuple[str, str]]:
        """Each text, with its place."""
        output = self._capture.readouterr()
        yield "the output", output.out + output.err
        yield "the log", self._caplog.text
        for error in self.raised:
            yield "a traceback", "".join(traceback.format_exception(error))
        yield "XCom", str(self._run.xcoms)
        yield "variables", str(self._variables.values)
        for key in self._aws.keys(self._aws.settings.final_bucket):
            yield key, self._aws.read(key).decode(errors="replace")

    def leaks(self) -> set[str]:
        """Each secret that was found, with its place."""
        return {f"{secret} in {place}" for place, text in self.places() for secret in SECRETS if secret in text}


@pytest.fixture
def written(
    aws: Aws, run: Run, variables: Variables, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Written:
    caplog.set_level(logging.INFO)
    for name in ("label_detection_core", "label_detection"):
        caplog.set_level(logging.DEBUG, name)
    return Written(aws, run, variables, capfd, caplog)


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make clients send each call once."""
    config = Config(retries={"total_max_attempts": 1})
    monkeypatch.setattr(clients, "client_config", lambda *_, **__: config)
    monkeypatch.setattr("label_detection.hooks.model.client_config", lambda *_, **__: config)


def in_environment(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    for name, value in (("ACCESS_KEY_ID", KEY_ID), ("SECRET_ACCESS_KEY", SECRET), ("SESSION_TOKEN", TOKEN)):
        monkeypatch.setenv(f"AWS_{name}", value)


def in_connection(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    connection = {"conn_type": "aws", "login": KEY_ID, "password": SECRET, "extra": {"aws_session_token": TOKEN}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


def in_endpoint(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    in_environment(monkeypatch, aws)
    monkeypatch.setenv("AWS_ENDPOINT_URL", with_login(aws.environment["AWS_ENDPOINT_URL"]))


def with_login(url: str, port: int | None = None) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{USER}:{PASSWORD}@{parts.hostname}:{port or parts.port}"


CREDENTIALS = pytest.mark.parametrize("credentials", [in_environment, in_connection, in_endpoint])


def pipeline(aws: Aws, run: Run, written: Written) -> None:
    """Run every task of a backfill and of a run, even after a failed one."""
    run.params |= {"dry_run": False, "older_than_minutes": 0}
    for chunk in written.attempt(lambda: run.execute(PlanBackfillOperator(task_id="plan_backfill"))) or []:
        enqueue = EnqueueImagesOperator(task_id="enqueue_images", chunk=chunk)
        written.attempt(partial(run.execute, enqueue, run.context("enqueue_images", 0)))
    for task in (
        QueueDepthSensor(task_id="wait_for_images"),
        PlanRunOperator(task_id="plan_run"),
        StartModelOperator(task_id="start_model"),
        ModelRunningSensor(task_id="wait_for_model"),
        AnalyseImagesOperator(task_id="analyse_images", images_per_second=100),
        StopModelOperator(task_id="stop_model"),
        WriteReportOperator(task_id="write_report"),
    ):
        if task.task_id == "wait_for_model" and aws.model()["status"] == "STARTING":
            wait_until(lambda: aws.model()["status"] == "RUNNING", 60, "the model")
        written.attempt(partial(run.execute, task))


@CREDENTIALS
def test_a_run_and_a_backfill_write_no_secrets(
    aws: Aws,
    run: Run,
    written: Written,
    quick: None,
    picture: bytes,
    monkeypatch: pytest.MonkeyPatch,
    credentials: Callable[..., None],
) -> None:
    credentials(monkeypatch, aws)
    for key in ("a.png", "b.png", "c.txt"):
        aws.upload(key, picture if key != "c.txt" else b"text")
    pipeline(aws, run, written)
    assert written.raised == []
    assert written.leaks() == set()
    assert len(aws.final_keys()) == 6


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sqs", "GetQueueAttributes"),
        ("sqs", "SendMessageBatch"),
        ("rekognition", "DetectCustomLabels"),
        ("rekognition", "StopProjectVersion"),
        ("s3", "PutObject"),
    ],
)
def test_the_error_of_a_refused_signature_lacks_the_session_token(
    aws: Aws,
    run: Run,
    written: Written,
    quick: None,
    picture: bytes,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    operation: str,
) -> None:
    in_environment(monkeypatch, aws)
    aws.upload("a.png", picture)
    aws.fail(service, operation, status=403, code="InvalidSignatureException", message=REFUSED_SIGNATURE)
    pipeline(aws, run, written)
    aws.control("faults", "DELETE")
    assert any("The Canonical String" in str(error) for error in written.raised), "the injected fault did not occur"
    assert written.leaks() == set()


def test_an_endpoint_that_is_gone_is_named_without_its_login(
    aws: Aws, run: Run, written: Written, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", with_login("http://127.0.0.1", port=1))
    run.plan(aws.settings)
    pipeline(aws, run, written)
    assert any("127.0.0.1:1" in str(error) for error in written.raised), "an error must name the endpoint"
    assert written.leaks() == set()


def test_an_error_that_is_kept_in_a_document_has_no_secrets(
    aws: Aws, run: Run, written: Written, quick: None, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("labelling.decisions", "drain.message_worker"):
        monkeypatch.setattr(f"label_detection_core.{module}.retry_seconds", lambda _: 0.2)
    aws.upload("a.png", picture)
    said = f"internal: https://b.s3.amazonaws.com/a.png?X-Amz-Security-Token={TOKEN}&X-Amz-Signature={SECRET}"
    aws.fail("rekognition", "DetectCustomLabels", status=500, message=said, times=6)
    run.params = {"max_receives": 2}
    pipeline(aws, run, written)
    assert written.leaks() == set()
    assert any("https://b.s3.amazonaws.com/a.png" in text for _, text in written.places())


def test_a_queue_url_with_a_login_is_refused_without_repeating_it(aws: Aws) -> None:
    options = {name: str(value) for name, value in aws.settings.model_dump().items() if value is not None}
    options["queue_url"] = f"https://{USER}:{PASSWORD}@sqs.eu-west-1.amazonaws.com/123456789012/images"
    with pytest.raises(SettingsError, match="queue_url") as refused:  # the settings are a part of the XCom
        load(options.get)
    assert PASSWORD not in str(refused.value)


def test_an_asynchronous_client_redacts_too(aws: Aws) -> None:
    aws.fail("sqs", "GetQueueAttributes", status=403, code="InvalidSignatureException", message=REFUSED_SIGNATURE)

    async def ask() -> None:
        async with await RedactingAwsHook(client_type="sqs", region_name="us-east-1").get_async_conn() as sqs:
            await sqs.get_queue_attributes(QueueUrl=aws.settings.queue_url)

    with pytest.raises(ClientError, match=r"x-amz-security-token:…") as refused:
        asyncio.run(ask())
    assert TOKEN not in str(refused.value)


def test_every_hook_of_ours_redacts() -> None:
    files = [path for path in (PROJECT / "plugins").rglob("*.py") if path.name != "redacting.py"]
    assert [path.name for path in files if re.search(r"\baws\.hooks\b", path.read_text())] == [], (
        "take label_detection.hooks.clients.aws_hook in its place"
    )


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Could not connect to http://u:p@host:80/q", "Could not connect to http://…@host:80/q"),
        ("http://u:p%40ss@w0rd@host/", "http://…@host/"),
        ("redis+ssl://:p@host", "redis+ssl://…@host"),
        ("x-amz-security-token:abc==\nhost:h", "x-amz-security-token:…\nhost:h"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=A, Signature=b", "Authorization: …"),
        ("https://b/k?X-Amz-Signature=ab&X-Amz-Date=1", "https://b/k?X-Amz-Signature=…&X-Amz-Date=1"),
        ("https://b/k?AWSAccessKeyId=A&Signature=s%3D", "https://b/k?AWSAccessKeyId=…&Signature=…"),
        ("s3://bucket/me@home.png", "s3://bucket/me@home.png"),
        ("the signature does not match; mail a@b.example", "the signature does not match; mail a@b.example"),
        ("", ""),
    ],
)
def test_a_text_is_redacted(text: str, redacted: str) -> None:
    assert redact(text) == redacted
