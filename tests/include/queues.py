"""A test's queue: what a user of the AWS console could do with it."""

from __future__ import annotations

import time
from typing import Any

from tests.conftest import Aws


def send(aws: Aws, body: str) -> None:
    aws.sqs.send_message(QueueUrl=aws.settings.queue_url, MessageBody=body)


def receive(aws: Aws) -> list[Any]:
    """Up to ten messages; a short poll would see some of those that are there."""
    if not aws.depth()[0]:
        return []
    url = aws.settings.queue_url
    return aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])


def clear(aws: Aws) -> None:
    """Take the events away that the uploads made, for a test that sends its own."""
    aws.take_all(aws.settings.queue_url)


def wait_for(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.02)
