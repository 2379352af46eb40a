"""Operations on a test's queue that a user of the AWS console could do as well."""

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
    """An SQS client that records each receive: its time, its wait in seconds and the number of messages."""

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
        """Number of receives without a message since the last receive with one."""
        got = [messages for *_, messages in self.received]
        return next((n for n, messages in enumerate(reversed(got)) if messages), len(got))


class Counting(Watched):
    """An SQS client whose message counts are fixed values."""

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
    """Make workers return each message after this delay, instead of a delay that grows with each delivery."""
    work: Callable[[MessageWorker, Message], float | None] = MessageWorker.work

    def fixed(worker: MessageWorker, message: Message) -> float | None:
        return None if work(worker, message) is None else seconds

    monkeypatch.setattr(MessageWorker, "work", fixed)


def send(aws: Aws, body: str) -> None:
    aws.sqs.send_message(QueueUrl=aws.settings.queue_url, MessageBody=body)


def receive(aws: Aws) -> list[Any]:
    """Receive up to ten messages. Uses a long poll, because a short poll can miss messages."""
    if not aws.depth()[0]:
        return []
    url = aws.settings.queue_url
    return aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])


def clear(aws: Aws) -> None:
    """Delete the events of the test's uploads, for a test that sends its own messages."""
    aws.take_all(aws.settings.queue_url)


def delay(aws: Aws, seconds: int) -> None:
    """Set the queue's DelaySeconds: a message sent after this call is invisible for that time."""
    aws.sqs.set_queue_attributes(QueueUrl=aws.settings.queue_url, Attributes={"DelaySeconds": str(seconds)})


def wait_for(condition: Any, seconds: float = 60) -> None:
    wait_until(condition, seconds, "what the test waits for", every=0.02)
