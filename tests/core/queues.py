"""A test's queue: what a user of the AWS console could do with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from label_detection_core.drain.message_worker import MessageWorker
from label_detection_core.queue.messages import Message
from sandbox.waiting import wait_until
from tests.conftest import Aws
from tests.core.conftest import client


class Watched:
    """SQS, and when and how it was asked for messages, and how many it had."""

    def __init__(self) -> None:
        self._sqs = client("sqs")
        self.received: list[tuple[float, int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def receive_message(self, **arguments: Any) -> Any:
        begun = time.monotonic()
        answer = self._sqs.receive_message(**arguments)
        self.received.append((begun, arguments["WaitTimeSeconds"], len(answer.get("Messages", []))))
        return answer

    @property
    def empty(self) -> int:
        """How many of the last receives, in a row, had no message."""
        got = [messages for *_, messages in self.received]
        return next((n for n, messages in enumerate(reversed(got)) if messages), len(got))


class Counting(Watched):
    """SQS whose counts are as they were at another time."""

    def __init__(self, visible: int, in_flight: int) -> None:
        super().__init__()
        self._counts = {
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(in_flight),
            "ApproximateNumberOfMessagesDelayed": "0",
        }

    def get_queue_attributes(self, **_: Any) -> Any:
        return {"Attributes": self._counts}


def return_after(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have workers return messages to the queue for this time, in place of the one that grows with each delivery."""
    work: Callable[[MessageWorker, Message], float | None] = MessageWorker.work

    def fixed(worker: MessageWorker, message: Message) -> float | None:
        return None if work(worker, message) is None else seconds

    monkeypatch.setattr(MessageWorker, "work", fixed)


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


def delay(aws: Aws, seconds: int) -> None:
    """Give the queue a delay: a message that is sent from now on cannot be received until it is over."""
    aws.sqs.set_queue_attributes(QueueUrl=aws.settings.queue_url, Attributes={"DelaySeconds": str(seconds)})


def wait_for(condition: Any, seconds: float = 10) -> None:
    wait_until(condition, seconds, "what the test waits for", every=0.02)
