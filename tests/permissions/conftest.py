"""The pipeline under the IAM policy of the docs, with every optional feature switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from label_detection.operators import images
from label_detection.operators.images import DrainsQueue
from label_detection_core.drain.waits import Waits
from label_detection_core.labelling.documents import RejectedImage
from label_detection_core.labelling.keys import REJECTED, final_key
from label_detection_core.labelling.labels import Error, ModelInfo, RunInfo
from label_detection_core.queue.image_queue import ImageQueue
from label_detection_core.queue.messages import ImageRef
from tests.core.images import TEXT, outcomes, upload
from tests.core.queues import send
from tests.permissions.policy import KMS_KEY, SWITCH_ROLE, Grant, policy_for

# The stand-ins for what Airflow keeps are the plugins' own.
from tests.plugins.conftest import _service_models_are_read_once, hook, quick, run, set_waits, variables  # noqa: F401

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic


@dataclass(frozen=True)
class PolicedAws:
    """A test's AWS with images for every outcome, under an IAM policy."""

    aws: Aws
    topic: Topic
    project_arn: str | None
    expected: dict[ImageRef, list[str]]

    def permit(self, without: Grant | None = None) -> None:
        """Put the policy in force; `without`: a grant that it lacks."""
        self.aws.control("policy", "PUT", policy_for(self.aws, self.topic, self.project_arn, without))

    def permit_all(self) -> None:
        """Remove the policy, to inspect the result."""
        self.aws.control("policy", "DELETE")

    def outcomes(self) -> dict[ImageRef, list[str]]:
        """The outcomes of each image."""
        return {image: outcomes(self.aws, image) for image in self.expected}


@pytest.fixture
def world(
    aws: Aws,
    topic: Topic,
    picture: bytes,
    hook: Any,  # noqa: F811
    variables: Any,  # noqa: F811
    quick: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[PolicedAws]:
    """An image for every path through the labeller. Every message was received once before; KMS encrypts everything."""
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__SNS_TOPIC_ARN", topic.arn)
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__DEAD_MAN_SWITCH_ROLE_ARN", SWITCH_ROLE)
    # Short delays for an image that the service fails on, and for a message that cannot be returned to the queue.
    config = Config(retries={"total_max_attempts": 1})
    monkeypatch.setattr("label_detection.hooks.model.client_config", lambda *_, **__: config)
    for module in ("labelling.decisions", "drain.message_worker"):
        monkeypatch.setattr(f"label_detection_core.{module}.retry_seconds", lambda _: 0.2)
        monkeypatch.setattr(f"label_detection_core.{module}.UNDECIDED_SECONDS", 6.0)
    monkeypatch.setattr(DrainsQueue, "drain_waits", Waits(returned=5.0, others=0.0))  # no other task runs
    monkeypatch.setattr(images, "ImageQueue", partial(ImageQueue, visibility_seconds=6))
    aws.fail("scheduler", "CreateSchedule", when="after", times=1)  # the retry finds the switch, and updates it
    encrypt(aws)
    makers: dict[str, Callable[[Aws, bytes], ImageRef]] = {
        "labelled": _part,
        "labelled after a rejection": _once_rejected,
        "labelled at the second try": _failing_once,
        "rejected": lambda aws, _: upload(aws, "notes.png", TEXT),
        "rejected as it lies": _begun_and_gone,
    }
    expected = {make(aws, picture): [outcome.split()[0]] for outcome, make in makers.items()}
    gone = upload(aws, "gone.png", picture)
    aws.s3.delete_object(Bucket=gone.bucket, Key=gone.key)
    send(aws, "not an event")
    _deliver_all_once(aws)
    yield PolicedAws(aws, topic, getattr(hook, "project_arn", None), expected)
    aws.control("policy", "DELETE")


def _part(aws: Aws, picture: bytes) -> ImageRef:
    return upload(aws, "line 3/part.png", picture, Tagging="line=3")


def _once_rejected(aws: Aws, picture: bytes) -> ImageRef:
    """An image that an earlier delivery rejected; its task was killed before it deleted the source."""
    image = upload(aws, "in doubt.png", picture + b"1")
    key, final = final_key(image, REJECTED), aws.settings.final_bucket
    model, run_info = ModelInfo(aws.settings.model_arn, 70.0), RunInfo("label_detection", "earlier", 0)
    copy = ImageRef(final, key)
    document = RejectedImage.of(image, copy, Error("InternalServerError", "x"), model, run_info)
    aws.s3.put_object(Bucket=final, Key=key, Body=picture + b"1")
    aws.s3.put_object(Bucket=final, Key=f"{key}.json", Body=document.to_json())
    return image


def _failing_once(aws: Aws, picture: bytes) -> ImageRef:
    """An image for which the service fails once."""
    aws.fail_model("detect", key="unlucky.png", times=1)
    return upload(aws, "unlucky.png", picture + b"unlucky.png")  # some models are sent the bytes, others the key


def _begun_and_gone(aws: Aws, _: bytes) -> ImageRef:
    """A text that an earlier delivery copied before its task was killed; its source was deleted later."""
    image = upload(aws, "begun.png", TEXT)
    aws.s3.copy_object(
        Bucket=aws.settings.final_bucket,
        Key=final_key(image),
        CopySource={"Bucket": image.bucket, "Key": image.key},
    )
    aws.s3.delete_object(Bucket=image.bucket, Key=image.key)
    return image


def encrypt(aws: Aws) -> None:
    """Encrypt the buckets and the queue with a KMS key."""
    rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY}}
    for bucket in (aws.settings.source_bucket, aws.settings.final_bucket):
        aws.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    aws.sqs.set_queue_attributes(QueueUrl=aws.settings.queue_url, Attributes={"KmsMasterKeyId": KMS_KEY})


def _deliver_all_once(aws: Aws) -> None:
    aws.exactly_once()
    waiting = aws.depth()[0]
    messages = aws.sqs.receive_message(
        QueueUrl=aws.settings.queue_url, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=1
    ).get("Messages", [])
    assert len(messages) == waiting
