"""The queue as a consumer uses it: depth, receive, keep alive, delete in batches, return."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from label_detection_core.queue.messages import Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

log = logging.getLogger(__name__)

#: SQS: the most messages of a receive, and the most entries of a batch.
BATCH = 10
#: How long a killed consumer's images wait.
VISIBILITY_SECONDS = 60
#: AWS: the longest visibility timeout.
_MAX_HIDDEN_SECONDS = 43_200
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class Depth:
    """A queue's counts of messages. SQS: they may be a minute old.

    :param visible: messages that can be received now.
    :param in_flight: messages that a consumer holds, or returned with a delay.
    :param delayed: messages that were sent with a delay, or to a queue with `DelaySeconds`, and cannot be received yet.
    """

    visible: int
    in_flight: int
    delayed: int = 0

    @classmethod
    def from_attributes(cls, attributes: Mapping[Any, str]) -> Depth:
        """From GetQueueAttributes' answer."""
        return cls(*(int(attributes.get(name, 0)) for name in _COUNTS))

    @staticmethod
    def attribute_names() -> list[Any]:
        """What to ask GetQueueAttributes for."""
        return list(_COUNTS)


@dataclass(frozen=True)
class ImageQueue:
    """One SQS queue. Safe to use from several threads.

    `visibility_seconds`: until a message without a heartbeat can be received again.
    """

    sqs: SQSClient
    url: str
    visibility_seconds: int = VISIBILITY_SECONDS

    def depth(self) -> Depth:
        """The queue's depth now."""
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=Depth.attribute_names())
        return Depth.from_attributes(answer["Attributes"])

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        """At most `most` messages (and at most 10), waiting up to `wait_seconds` (0-20) for the first."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=min(most, BATCH),
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=self.visibility_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [Message.from_sqs(message) for message in answer.get("Messages", [])]

    def keep(self, messages: Sequence[Message]) -> None:
        """Hide messages for `visibility_seconds` from now."""
        self._hide(messages, self.visibility_seconds)

    def give_back(self, messages: Sequence[Message], seconds: float = 0) -> bool:
        """Return messages to the queue: they can be received again after `seconds` (AWS: 12 hours at most).

        False: SQS refused it for some, and they return by themselves within `visibility_seconds`.
        """
        return self._hide(messages, min(math.ceil(seconds), _MAX_HIDDEN_SECONDS))

    def _hide(self, messages: Sequence[Message], seconds: int) -> bool:
        done = True
        for batch in _batches(messages):
            answer = self.sqs.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": message.receipt_handle, "VisibilityTimeout": seconds}
                    for number, message in enumerate(batch)
                ],
            )
            for failure in answer.get("Failed", []):
                done = False
                log.warning(
                    "message %s could not be hidden for %d s: %s; it returns by itself",
                    batch[int(failure["Id"])].id,
                    seconds,
                    failure.get("Message", failure["Code"]),
                )
        return done

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages; those that SQS failed to delete are returned, to be tried again."""
        failed = []
        for batch in _batches(messages):
            answer = self.sqs.delete_message_batch(
                QueueUrl=self.url,
                Entries=[{"Id": str(number), "ReceiptHandle": m.receipt_handle} for number, m in enumerate(batch)],
            )
            for failure in answer.get("Failed", []):
                message = batch[int(failure["Id"])]
                if failure["SenderFault"]:  # the receipt handle is no longer good: it will be delivered again
                    log.warning(
                        "message %s could not be deleted: %s",
                        message.id,
                        failure.get("Message", failure["Code"]),
                    )
                else:
                    failed.append(message)
        return failed


def _batches(messages: Sequence[Message]) -> list[Sequence[Message]]:
    return [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]
