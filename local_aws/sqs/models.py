"""Standard queues. FIFO queues stay moto's own.

moto rebuilds a queue's list of messages on every delete without a lock, so that a message sent meanwhile
is lost, and looks at every message several times per call. Here a lock covers each step, and each step
costs the same however long the queue is. Queues are as odd as AWS's may be: see ``oddities.py``.
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

# A message can be kept invisible for 12 hours, counted from its receipt.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
MAX_INVISIBLE_SECONDS = 43_200
# A message that was received so often without being deleted counts as the queue's last, whenever it was sent.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
MOVED_BACK_RECEIVES = 3
_COUNTS = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}


class LocalQueue(Queue):
    """A standard queue over a MessageStore.

    A second delivery is a separate message with the same id, as if a server that keeps a copy had missed the receive
    or the delete: it is there at once, or as soon as the first is deleted, and must be deleted by itself.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
    """

    _store: MessageStore
    message_retention_period: int  # seconds

    def __init__(self, name: str, region: str, account_id: str, oddities: OdditiesInForce, **kwargs: Any):
        self._oddities = oddities
        self._history = CountHistory()
        self._doubled: set[str] = set()  # ids of messages
        self._missed_deletes: dict[int, Message] = {}  # by the message whose delete brings the copy
        super().__init__(name, region, account_id, **kwargs)

    @property  # type: ignore[override]  # moto sees a list: it appends, removes and iterates
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
        """How many can be received now."""
        with self._messages_lock:
            return self._store.counts().visible

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        """How many are in flight."""
        with self._messages_lock:
            return self._store.counts().in_flight

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        """How many wait for their delay to end."""
        with self._messages_lock:
            return self._store.counts().delayed

    @property
    def counts(self) -> Counts:
        """How many messages there are, exactly and now."""
        with self._messages_lock:
            return self._store.counts()

    @property
    def second_deliveries(self) -> int:
        """How many messages came twice, or will come again when they are deleted."""
        with self._messages_lock:
            return len(self._doubled)

    def seen_counts(self) -> dict[str, str]:
        """The counts as GetQueueAttributes has them, by attribute: each as old as it may be."""
        with self._messages_lock:
            self._store.counts()  # notes what has come back meanwhile
            moments = {name: time.time() - self._oddities.count_age() for name in _COUNTS}
            return {name: str(getattr(self._history.at(moments[name]), kind)) for name, kind in _COUNTS.items()}

    def settle_counts(self) -> None:
        """From now on GetQueueAttributes returns the present counts, until they change."""
        with self._messages_lock:
            self._store.counts()
            self._history.forget()

    @property
    def oldest_age(self) -> int | None:
        """Seconds since the oldest message that is not deleted was sent; None without any."""
        with self._messages_lock:
            waiting: list[Any] = [  # moto's type of the second is None
                (message.approximate_receive_count >= MOVED_BACK_RECEIVES, message.sent_timestamp)
                for message in self._store
                if message.sent_timestamp is not None
            ]
        return max(0, int(time.time() - min(waiting)[1] / 1000)) if waiting else None

    def delete_message(self, receipt_handle: str) -> None:
        """Delete by any handle the message was ever received with; again is fine."""
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
        """Up to ``count`` messages, now invisible; those received too often go to the dead-letter queue.

        A short poll asks some of the servers, so it sees some of the messages.
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
        """Keep a received message invisible for ``seconds`` from now; 0 gives it back."""
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
        """At its first receive a message may get a second delivery: the copy, if it must be there at once."""
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
        """Drop a message; as in AWS, deleting it by a handle it had is fine for ever."""
        self._store.remove(message)
        self._missed_deletes.pop(id(message), None)
        self.deleted_messages.update(handle for handle in message.all_receipt_handles if handle)

    def wait(self, seconds: float) -> None:
        """Wait until a message may be there, at most ``seconds``."""
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
        """Make a queue, or answer with the one of that name."""
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
        """The attributes asked for. moto works all of them out again for each name."""
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
        """Receive, waiting up to ``wait_seconds_timeout`` seconds for the first message."""
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
        """Keep a message invisible for longer, or give it back with 0."""
        queue = self.get_queue(queue_name)
        if isinstance(queue, LocalQueue):
            queue.change_visibility(receipt_handle, int(visibility_timeout))
        else:
            super().change_message_visibility(queue_name, receipt_handle, visibility_timeout)


def install(oddities: OdditiesInForce) -> None:
    """Make moto serve these queues; before its first request."""
    LocalSQSBackend.oddities = oddities
    sqs_backends.backend = LocalSQSBackend


def queues_of(account_id: str, region_name: str) -> list[LocalQueue]:
    """The standard queues of an account and Region."""
    return [
        queue for queue in list(sqs_backends[account_id][region_name].queues.values()) if isinstance(queue, LocalQueue)
    ]
