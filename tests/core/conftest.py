"""A labeller and a drain that use the embedded AWS and the real model hook."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config

from label_detection.hooks.model import model_hook
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.journal import Journal
from label_detection_core.drain.pace import Pace
from label_detection_core.drain.waits import Waits
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.labelling.labels import ModelInfo, RunInfo
from label_detection_core.queue.image_queue import ImageQueue
from tests.conftest import Aws

RUN = RunInfo("label_detection", "manual__1", 0)

MakeLabeller = Callable[..., Labeller]
MakeDrain = Callable[..., Drain]


def client(service: str) -> Any:
    """A client that sends each call once, so that a fault shows."""
    make: Callable[..., Any] = boto3.client
    return make(service, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def make_labeller(aws: Aws) -> MakeLabeller:
    """Makes a labeller; keyword arguments replace its parts."""
    aws.put_model("RUNNING")

    def make(**parts: Any) -> Labeller:
        settings = aws.settings
        usual = {
            "s3": client("s3"),
            "detect": model_hook(settings).detect,
            "source_bucket": settings.source_bucket,
            "final_bucket": settings.final_bucket,
            "model": ModelInfo(settings.model_arn, settings.least_confidence),
            "max_receives": 5,
            "run": RUN,
        }
        return Labeller(**(usual | parts))

    return make


@pytest.fixture
def make_drain(aws: Aws, make_labeller: MakeLabeller) -> MakeDrain:
    """Makes a drain; keyword arguments replace its parts. SQS delivers nothing twice: the tally counts deliveries."""
    aws.exactly_once()

    def make(
        *,
        workers: int = 4,
        seconds: float = 60,
        sqs: Any = None,
        visibility_seconds: int = 60,
        patience: float = 0.0,
        waits: Waits | None = None,
        **parts: Any,
    ) -> Drain:
        labeller = make_labeller(**parts)
        return Drain(
            ImageQueue(sqs or client("sqs"), aws.settings.queue_url, visibility_seconds),
            labeller,
            Journal(labeller.s3, labeller.final_bucket, labeller.run),
            Pace(1000, 0.1),
            workers=workers,
            deadline=time.time() + seconds,
            patience=patience,
            waits=waits,
        )

    return make


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the retries of the hooks' clients, so that a permanent fault fails immediately."""
    config = Config(retries={"total_max_attempts": 1})
    monkeypatch.setattr("label_detection.hooks.model.client_config", lambda *_, **__: config)
