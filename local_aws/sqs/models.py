"""Standard queues; FIFO queues are moto's.

moto rebuilds a queue's list of messages on every delete without a lock, so that a message sent meanwhile is lost, and
reads every message several times per call. Here a lock covers each step, and the cost of a step does not depend on the
length of the queue. Queues have the oddities that AWS documents: see ``oddities.py``.
"""

import time
from copy import copy
from typing import Any

from moto.sqs import urls as moto_urls
from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend, _filter_message_attributes, sqs_backends

from local_aws.oddities import OdditiesInForce
from local_aws.sqs.counts import CountHistory, Counts
from local_aws.sqs.messages import MessageStore

# A message can be kept invisible for at most 12 hours from its receipt.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
MAX_INVISIBLE_SECONDS = 43_200
# After this number of receives without a delete, SQS moves a message to the back of the queue, so its age counts last.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
MOVED_BACK_RECEIVES = 3
_COUNTS = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}


class LocalQueue(Queue):
    """A standard queue on a MessageStore.

    A second delivery is a separate message with the id of the first, as if an SQS server with a copy had missed the
    receive or the delete. It is visible immediately, or once the first is deleted, and needs a delete of its own.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
    """

    _store: MessageStore
    message_retention_period: int  # seconds

    def __init__(self, name: str, region: str, account_id: str, oddities: OdditiesInForce, **kwargs: Any):
        self._oddities = oddities
        self._history = CountHistory()
        self._doubled: set[str] = set()  # ids of messages
        self._missed_deletes: dict[
            int, Message
        ] = {}  # second deliveries, by the message whose delete makes them visible
        super().__init__(name, region, account_id, **kwargs)

    @property  # type: ignore[override]  # moto uses it as a list: it appends, removes and iterates
    def _messages(self) -> MessageStore:
        return self._store

    @_messages.setter
    def _messages(self, messages: list[Message]) -> None:
        store = MessageStore(self._history)
        for message in messages:
            store.append(message)
        self._missed_deletes.clear()
        self._store = store

    @property
    def messages(self) -> list[Message]:
        """The messages that can be received now."""
        with self._messages_lock:
            return self._store.visible()

    @property
    def approximate_number_of_messages(self) -> int:
        """The number of messages that can be received now."""
        with self._messages_lock:
            return self._store.counts().visible

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        """The number of messages in flight."""
        with self._messages_lock:
            return self._store.counts().in_flight

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        """The number of messages whose delay has not ended."""
        with self._messages_lock:
            return self._store.counts().delayed

    @property
    def counts(self) -> Counts:
        """The exact present counts."""
        with self._messages_lock:
            return self._store.counts()

    @property
    def second_deliveries(self) -> int:
        """The number of messages that were delivered twice, or will be delivered again when they are deleted."""
        with self._messages_lock:
            return len(self._doubled)

    def seen_counts(self) -> dict[str, str]:
        """The counts that GetQueueAttributes returns, by attribute, each with a random age (oddity ``count_age``)."""
        with self._messages_lock:
            self._store.counts()  # records the messages that have become visible meanwhile
            moments = {name: time.time() - self._oddities.count_age() for name in _COUNTS}
            return {name: str(getattr(self._history.at(moments[name]), kind)) for name, kind in _COUNTS.items()}

    def settle_counts(self) -> None:
        """Make GetQueueAttributes return the present counts until they change."""
        with self._messages_lock:
            self._store.counts()
            self._history.forget()

    @property
    def oldest_age(self) -> int | None:
        """Seconds since the first send of the oldest message in the queue; None for an empty queue."""
        with self._messages_lock:
            waiting: list[Any] = [  # moto declares sent_timestamp as None
                (message.approximate_receive_count >= MOVED_BACK_RECEIVES, message.sent_timestamp)
                for message in self._store
                if message.sent_timestamp is not None
            ]
        return max(0, int(time.time() - min(waiting)[1] / 1000)) if waiting else None

    def delete_message(self, receipt_handle: str) -> None:
        """Delete a message by any of its receipt handles; a repeated delete succeeds. Raises ReceiptHandleIsInvalid."""
        with self._messages_lock:
            if receipt_handle in self.deleted_messages:
                return
            message = self._store.by_handle(receipt_handle)
            if message is None:
                raise ReceiptHandleIsInvalid()
            missed = self._missed_deletes.get(id(message))
            self._forget(message)
            if missed is not None:
                self._store.append(missed)
                self._messages_lock.notify_all()

    def receive(self, count: int, visibility_timeout: int, is_short: bool = False) -> list[Message]:
        """Receive up to ``count`` messages and hide them for ``visibility_timeout`` seconds.

        Messages that were received ``maxReceiveCount`` times move to the dead-letter queue. In AWS a short poll asks a
        part of the servers, so with ``is_short`` a part of the messages is found.
        """
        received: list[Message] = []
        dead: list[Message] = []
        unseen: list[Message] = []
        doubles: list[Message] = []
        share = self._oddities.now.short_poll_share if is_short else 1.0
        dead_letters = self.dead_letter_queue
        limit = self.redrive_policy["maxReceiveCount"] if dead_letters and self.redrive_policy else None
        with self._messages_lock:
            oldest = (time.time() - self.message_retention_period) * 1000
            while len(received) < count and (message := self._store.take()) is not None:
                if share < 1 and self._oddities.draw("short_poll") >= share:
                    unseen.append(message)
                elif message.sent_timestamp is not None and message.sent_timestamp < oldest:
                    self._forget(message)
                elif limit is not None and message.approximate_receive_count >= limit:
                    self._forget(message)
                    dead.append(message)
                else:
                    doubles += self._perhaps_double(message)
                    message.mark_received(visibility_timeout=visibility_timeout)
                    received.append(message)
            self._store.put_back(unseen)
            for message in doubles:
                self._store.append(message)
            for message in received:
                self._store.received(message)
            copies = [copy(message) for message in received]
        if dead_letters:
            for message in dead:
                dead_letters.add_message(message)
        return copies

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Hide a received message for ``seconds`` from now; 0 returns it to the queue.

        Raises ReceiptHandleIsInvalid or InvalidParameterValue.
        """
        with self._messages_lock:
            message = self._store.by_handle(receipt_handle)
            if message is None:
                raise ReceiptHandleIsInvalid()
            if time.time() + seconds - self._store.received_at(message) > MAX_INVISIBLE_SECONDS:
                raise InvalidParameterValue(
                    f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total "
                    f"VisibilityTimeout for the message is beyond the limit [{MAX_INVISIBLE_SECONDS} seconds]"
                )
            if seconds == 0:
                message.visible_at = 0.0
            else:
                message.change_visibility(seconds)
            self._store.moved(message)
            self._messages_lock.notify_all()

    def _perhaps_double(self, message: Message) -> list[Message]:
        """Draw whether a message, at its first receive, is delivered twice.

        Returns the copy if it must be visible immediately; a copy for after the delete is kept in ``_missed_deletes``.
        """
        share = self._oddities.now.duplicate_share
        if message.approximate_receive_count or message.id in self._doubled:
            return []
        if share <= 0 or self._oddities.draw("duplicate") >= share:
            return []
        self._doubled.add(message.id)
        second = copy(message)
        second._old_receipt_handles = []
        if self._oddities.draw("missed_delete") < 0.5:
            self._missed_deletes[id(message)] = second
            return []
        return [second]

    def _forget(self, message: Message) -> None:
        """Remove a message. As in AWS, a later delete with one of its receipt handles succeeds."""
        self._store.remove(message)
        self._missed_deletes.pop(id(message), None)
        self.deleted_messages.update(handle for handle in message.all_receipt_handles if handle)

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for a message that may be received."""
        with self._messages_lock:
            if not self._store.counts().visible:
                due = self._store.next_due()
                self._messages_lock.wait(seconds if due is None else max(0.001, min(seconds, due)))


class LocalSQSBackend(SQSBackend):
    """moto's SQS with LocalQueue for every queue that is not FIFO."""

    oddities = OdditiesInForce()

    @property
    def _url_module(self) -> Any:
        return moto_urls

    def create_queue(self, name: str, tags: dict[str, str] | None = None, **kwargs: Any) -> Queue:
        """Create a queue, or return the existing queue with this name."""
        fifo = str(kwargs.get("FifoQueue", "false")).lower() == "true"
        if fifo or name in self.queues:
            return super().create_queue(name, tags, **kwargs)
        kwargs.pop("region", None)
        queue = LocalQueue(  # type: ignore[abstract]
            name, region=self.region_name, account_id=self.account_id, oddities=self.oddities, **kwargs
        )
        self.queues[name] = queue
        if tags:
            queue.tags = tags
        return queue

    def get_queue_attributes(self, queue_name: str, attribute_names: list[str]) -> dict[str, Any]:
        """The requested attributes. They are read once, because moto computes all attributes again for each name."""
        queue = self.get_queue(queue_name)
        if not isinstance(queue, LocalQueue):
            return super().get_queue_attributes(queue_name, attribute_names)
        if set(attribute_names) <= set(queue.BASE_ATTRIBUTES):
            attributes = queue.attributes
            found = {name: attributes[name] for name in attribute_names if attributes.get(name) is not None}
        else:
            found = super().get_queue_attributes(queue_name, attribute_names)
        return found | {name: value for name, value in queue.seen_counts().items() if name in found}

    def receive_message(
        self,
        queue_name: str,
        count: int,
        wait_seconds_timeout: int,
        visibility_timeout: int,
        message_attribute_names: list[str] | None = None,
    ) -> list[Message]:
        """Receive messages; waits up to ``wait_seconds_timeout`` seconds for the first one."""
        queue = self.get_queue(queue_name)
        if not isinstance(queue, LocalQueue):
            return super().receive_message(
                queue_name, count, wait_seconds_timeout, visibility_timeout, message_attribute_names
            )
        end = time.monotonic() + wait_seconds_timeout
        is_short = int(wait_seconds_timeout) == 0
        while not (messages := queue.receive(int(count), int(visibility_timeout), is_short)):
            left = end - time.monotonic()
            if left <= 0 or self.queues.get(queue_name) is not queue:
                return []
            queue.wait(min(left, 1.0))
        for message in messages:
            _filter_message_attributes(message, message_attribute_names or [])
        return messages

    def change_message_visibility(self, queue_name: str, receipt_handle: str, visibility_timeout: int) -> None:
        """Change a message's visibility timeout, in seconds from now; 0 returns the message to the queue."""
        queue = self.get_queue(queue_name)
        if isinstance(queue, LocalQueue):
            queue.change_visibility(receipt_handle, int(visibility_timeout))
        else:
            super().change_message_visibility(queue_name, receipt_handle, visibility_timeout)


def install(oddities: OdditiesInForce) -> None:
    """Make moto serve these queues; call it before moto's first request."""
    LocalSQSBackend.oddities = oddities
    sqs_backends.backend = LocalSQSBackend


def queues_of(account_id: str, region_name: str) -> list[LocalQueue]:
    """The standard queues of an account and Region."""
    return [
        queue for queue in list(sqs_backends[account_id][region_name].queues.values()) if isinstance(queue, LocalQueue)
    ]
