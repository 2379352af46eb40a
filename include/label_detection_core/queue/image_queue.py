"""The SQS queue: count, receive, extend the visibility timeout, return and delete messages, in batches."""

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

#: SQS: the most messages per receive, and the most entries per batch request.
BATCH = 10
#: The visibility timeout. Messages of a killed consumer become visible again after it.
VISIBILITY_SECONDS = 60
#: AWS: the longest visibility timeout, in seconds.
_MAX_HIDDEN_SECONDS = 43_200
_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


@dataclass(frozen=True)
class Depth:
    """The message counts of a queue. SQS: a count may be a minute old.

    :param visible: messages that can be received now.
    :param in_flight: messages that a consumer holds, or has returned with a delay.
    :param delayed: messages that cannot be received yet because of a `DelaySeconds` of the message or the queue.
    """

    visible: int
    in_flight: int
    delayed: int = 0

    @classmethod
    def from_attributes(cls, attributes: Mapping[Any, str]) -> Depth:
        """Read the counts from an answer of GetQueueAttributes."""
        return cls(*(int(attributes.get(name, 0)) for name in _COUNTS))

    @staticmethod
    def attribute_names() -> list[Any]:
        """Return the attribute names for GetQueueAttributes."""
        return list(_COUNTS)


@dataclass(frozen=True)
class ImageQueue:
    """One SQS queue. Safe to use from several threads.

    `visibility_seconds`: the visibility timeout of received messages.
    """

    sqs: SQSClient
    url: str
    visibility_seconds: int = VISIBILITY_SECONDS

    def depth(self) -> Depth:
        """Return the message counts of the queue."""
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=Depth.attribute_names())
        return Depth.from_attributes(answer["Attributes"])

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        """Receive at most `most` messages (SQS: at most 10). Wait up to `wait_seconds` (0-20) for the first one."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=min(most, BATCH),
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=self.visibility_seconds,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [Message.from_sqs(message) for message in answer.get("Messages", [])]

    def keep(self, messages: Sequence[Message]) -> None:
        """Extend the visibility timeout of messages to `visibility_seconds` from now."""
        self._hide(messages, self.visibility_seconds)

    def give_back(self, messages: Sequence[Message], seconds: float = 0) -> bool:
        """Return messages to the queue. They can be received again after `seconds` (AWS: at most 12 hours).

        :return: False if SQS refused some. Those become visible when their visibility timeout ends.
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
                    "the visibility timeout of message %s could not be set to %d s: %s; the message becomes visible "
                    "when its current timeout ends",
                    batch[int(failure["Id"])].id,
                    seconds,
                    failure.get("Message", failure["Code"]),
                )
        return done

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages. Return those that SQS failed to delete and that can be tried again."""
        failed = []
        for batch in _batches(messages):
            answer = self.sqs.delete_message_batch(
                QueueUrl=self.url,
                Entries=[{"Id": str(number), "ReceiptHandle": m.receipt_handle} for number, m in enumerate(batch)],
            )
            for failure in answer.get("Failed", []):
                message = batch[int(failure["Id"])]
                if failure["SenderFault"]:  # the receipt handle has expired: SQS delivers the message again
                    log.warning(
                        "message %s could not be deleted, and will be delivered again: %s",
                        message.id,
                        failure.get("Message", failure["Code"]),
                    )
                else:
                    failed.append(message)
        return failed


def _batches(messages: Sequence[Message]) -> list[Sequence[Message]]:
    return [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]
