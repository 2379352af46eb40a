"""The messages that a consumer has received and not yet deleted or returned. A heartbeat keeps them invisible."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from label_detection_core import aws_errors
from label_detection_core.queue.image_queue import BATCH, ImageQueue
from label_detection_core.queue.messages import Message

log = logging.getLogger(__name__)

#: Heartbeats per visibility timeout. Two of them may fail.
_HEARTBEATS = 3


class InFlight:
    """The messages in flight of one consumer. Safe to use from several threads.

    Use it as a context manager: inside, a heartbeat extends the visibility timeouts. At the end, finished messages are
    deleted, and all others are returned to the queue.
    """

    def __init__(self, queue: ImageQueue) -> None:
        self._queue = queue
        self._held: dict[str, Message] = {}  # by receipt handle: a message that was delivered twice has two handles
        self._done: dict[str, Message] = {}  # finished, not deleted yet
        self._lock = threading.Lock()  # guards the two dicts
        self._calls = threading.Lock()  # no heartbeat for a message while it is being deleted
        self._ended = threading.Event()
        self._heartbeat = threading.Thread(target=self._keep_alive, name="visibility heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._heartbeat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        try:
            self.delete_done()
        finally:
            self.give_back(*self._held.values())

    @property
    def undeleted(self) -> int:
        """The number of finished messages that are not deleted yet."""
        with self._lock:
            return len(self._done)

    def hold(self, message: Message) -> bool:
        """Hold a received message. Return whether to work on it.

        SQS may deliver a message twice. If an earlier delivery is held already, this returns False, and both deliveries
        end together.
        """
        with self._lock:
            first = self._deliveries(message)
            self._held[message.receipt_handle] = message
            if any(m.receipt_handle in self._done for m in first):
                self._done[message.receipt_handle] = message
            return not first

    def done(self, message: Message) -> None:
        """Mark a message as finished. It is deleted with the next batch."""
        with self._lock:
            self._done.update({m.receipt_handle: m for m in self._deliveries(message)})

    def give_back(self, *messages: Message, seconds: float = 0) -> bool:
        """Return messages to the queue. They become visible after `seconds`.

        :return: False if some calls failed. Those messages become visible when their visibility timeout ends.
        """
        with self._calls, self._lock:
            ours = {m.receipt_handle: m for message in messages for m in self._deliveries(message)}
            for receipt_handle in ours:
                del self._held[receipt_handle]
        try:
            return self._queue.give_back(list(ours.values()), seconds)
        except aws_errors.AWS_ERRORS as error:
            log.warning(
                "%d messages could not be returned to the queue: %s; they become visible when their timeout ends",
                len(ours),
                error,
            )
            return False

    def delete_done(self, at_least: int = 1) -> bool:
        """Delete finished messages, if there are at least `at_least`. Failed deletes are tried again at a later call.

        :return: whether any message was deleted.
        :raises botocore.exceptions.ClientError: when SQS refuses permanently, such as access denied.
        """
        with self._calls:
            with self._lock:
                done = list(self._done.values())
            if len(done) < at_least:
                return False
            try:
                failed = self._queue.delete(done)
            except aws_errors.AWS_ERRORS as error:
                if not aws_errors.is_transient(error):
                    raise
                log.warning("%d messages could not be deleted: %s; will try again", len(done), error)
                return False
            with self._lock:
                for message in done:
                    if message not in failed:
                        self._done.pop(message.receipt_handle)
                        self._held.pop(message.receipt_handle)
            return len(failed) < len(done)

    def delete_full_batches(self) -> None:
        """Delete finished messages if they fill a batch."""
        self.delete_done(at_least=BATCH)

    def _deliveries(self, message: Message) -> list[Message]:
        return [held for held in self._held.values() if held.id == message.id]

    def _keep_alive(self) -> None:
        while not self._ended.wait(self._queue.visibility_seconds / _HEARTBEATS):
            with self._calls:
                with self._lock:
                    held = list(self._held.values())
                try:
                    self._queue.keep(held)
                except aws_errors.AWS_ERRORS as error:
                    log.warning("the visibility timeout of %d messages could not be extended: %s", len(held), error)
