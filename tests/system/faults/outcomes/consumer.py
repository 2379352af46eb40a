"""One consumer as a separate process, without Airflow. Cheap enough to kill hundreds of them.

It does the work of an analysis task. `Orders` sets the differences: how often its clients send a call, and how soon a
message is visible again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import boto3
from botocore.config import Config

from label_detection.hooks.model import hook_for
from label_detection_core.config.model_types import model_of
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.journal import Journal
from label_detection_core.drain.message_worker import DrainError
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import Detect, ImageRefusedError, Labeller
from label_detection_core.labelling.labels import Detection, Error, ModelInfo, RunInfo
from label_detection_core.queue.image_queue import ImageQueue
from label_detection_core.queue.messages import ImageRef, Message
from tests.system.faults.kind import named_as_configured

#: The model refuses a picture with this word in its key in half of the calls.
FICKLE = "fickle"


@dataclass(frozen=True)
class Orders:
    """A consumer's parameters. `environment`: selects the embedded AWS; `seconds`: from its start to its deadline.

    With one attempt at S3 and SQS every failing call reaches the pipeline. A real task's client retries first.
    """

    environment: Mapping[str, str]
    source_bucket: str
    final_bucket: str
    queue_url: str
    model_arn: str
    number: int
    seconds: float
    visibility_seconds: int
    log: str
    attempts: int = 1
    model_attempts: int = 4
    workers: int = 4


def consume(orders: Orders) -> None:
    """Drain the queue, and end the process: exit code 0, or 3 when the drain failed."""
    os.environ.update(orders.environment)
    logging.basicConfig(
        filename=orders.log, level=logging.INFO, force=True, format="%(asctime)s %(process)d %(message)s"
    )
    try:
        _drain(orders).run()
    except DrainError as error:
        logging.getLogger(__name__).error("%s", error)
        os._exit(3)
    os._exit(0)


class _SoonBack(ImageQueue):
    """A queue that makes a returned message visible within the visibility timeout.

    The pipeline lets a message that failed often rest for minutes, and killed consumers raise the receive count of all.
    """

    def give_back(self, messages: Sequence[Message], seconds: float = 0) -> bool:
        return super().give_back(messages, min(seconds, self.visibility_seconds))


def _drain(orders: Orders) -> Drain:
    hook = hook_for(model_of(orders.model_arn), None, _config(orders.model_attempts))
    run = RunInfo("label_detection", "faults", orders.number)
    config = _config(orders.attempts)
    s3, sqs = boto3.client("s3", config=config), boto3.client("sqs", config=config)
    labeller = Labeller(
        s3=s3,
        detect=_fickle(named_as_configured(hook.detect, orders.environment)),
        source_bucket=orders.source_bucket,
        final_bucket=orders.final_bucket,
        model=ModelInfo(orders.model_arn, 70.0),
        max_receives=5,
        run=run,
    )
    queue = _SoonBack(sqs, orders.queue_url, orders.visibility_seconds)
    journal = Journal(s3, orders.final_bucket, run)
    return Drain(
        queue, labeller, journal, Pace(1000, 0.1), workers=orders.workers, deadline=time.time() + orders.seconds
    )


def _config(attempts: int) -> Config:
    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=2,
        read_timeout=3,
        max_pool_connections=8,
    )


def _fickle(detect: Detect) -> Detect:
    random = Random()  # noqa: S311

    def moody(image: ImageRef, min_confidence: float | None) -> Detection:
        if FICKLE in image.key and random.random() < 0.5:
            raise ImageRefusedError(Error("InvalidImageFormatException", "in a mood"))
        return detect(image, min_confidence)

    return moody
