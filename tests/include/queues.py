"""A test's queue: what a user of the AWS console could do with it."""

from __future__ import annotations

import time
from typing import Any

from tests.conftest import Aws


def send(aws: Aws, body: str) -> None:
    aws.sqs.send_message(QueueUrl=aws.settings.queue_url, MessageBody=body)


def receive(aws: Aws) -> list[Any]:
    return aws.sqs.receive_message(QueueUrl=aws.settings.queue_url, MaxNumberOfMessages=10).get("Messages", [])


def clear(aws: Aws) -> None:
    """Take the events away that the uploads made, for a test that sends its own."""
    for message in receive(aws):
        aws.sqs.delete_message(QueueUrl=aws.settings.queue_url, ReceiptHandle=message["ReceiptHandle"])


def wait_for(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.02)
