"""The state of the world after a run: both buckets, the queues, the model, the run and its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class Stored:
    """An object in S3."""

    body: bytes = field(repr=False)
    content_type: str
    metadata: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Depth:
    """The numbers of messages in a queue: visible, and in flight (received but not deleted)."""

    visible: int
    in_flight: int


@dataclass(frozen=True)
class Aftermath:
    """The state of the world after a run.

    `model`: the JSON of `/_local/model`; `report`: report.json, or None; `second_deliveries`: the number of messages
    that the queue delivered twice.
    """

    final: Mapping[str, Stored]
    source_keys: tuple[str, ...]
    queue: Depth
    dead_letters: Depth | None
    model: Mapping[str, Any]
    run_state: str
    report: Mapping[str, Any] | None
    second_deliveries: int = 0


def read_bucket(s3: S3Client, bucket: str) -> dict[str, Stored]:
    """All objects of a small bucket, by key."""
    return {key: _read(s3, bucket, key) for key in keys(s3, bucket)}


def keys(s3: S3Client, bucket: str) -> list[str]:
    """All keys of a bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def depth(sqs: SQSClient, queue_url: str) -> Depth:
    """The numbers of messages in a queue, as GetQueueAttributes returns them."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(names))  # type: ignore[arg-type]
    return Depth(*(int(answer["Attributes"][name]) for name in names))  # type: ignore[index]


def gather(
    s3: S3Client,
    sqs: SQSClient,
    settings: Mapping[str, str],
    model: Mapping[str, Any],
    run_id: str,
    run_state: str,
    second_deliveries: int = 0,
) -> Aftermath:
    """Read the state of the world; `settings`: queue_url, source_bucket and final_bucket."""
    final = read_bucket(s3, settings["final_bucket"])
    report = final.get(f"runs/{run_id}/report.json")
    return Aftermath(
        final=final,
        source_keys=tuple(keys(s3, settings["source_bucket"])),
        queue=depth(sqs, settings["queue_url"]),
        dead_letters=_dead_letters(sqs, settings["queue_url"]),
        model=model,
        run_state=run_state,
        report=json.loads(report.body) if report else None,
        second_deliveries=second_deliveries,
    )


def _read(s3: S3Client, bucket: str, key: str) -> Stored:
    answer = s3.get_object(Bucket=bucket, Key=key)
    tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return Stored(
        answer["Body"].read(),
        answer["ContentType"],
        answer["Metadata"],
        {tag["Key"]: tag["Value"] for tag in tags},
    )


def _dead_letters(sqs: SQSClient, queue_url: str) -> Depth | None:
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"]).get("Attributes", {})
    if "RedrivePolicy" not in attributes:
        return None
    name = json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].rpartition(":")[2]
    return depth(sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"])
