"""The drain: labels the images of the queue until it is empty, the model's time is up, or the drain is stopped.

There is one receiver (the thread that calls `run`) and a limited number of worker threads. The pace limits the number
of held messages: those in work, and those that are next. So memory does not grow with the backlog, and a killed
consumer leaves few messages to wait for their visibility timeout.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from label_detection_core import aws_errors
from label_detection_core.drain.journal import Journal
from label_detection_core.drain.message_worker import DrainError, MessageWorker, Tally, service_error
from label_detection_core.drain.pace import Pace
from label_detection_core.drain.returned import HIDDEN_SECONDS, Returned
from label_detection_core.drain.signal_safe import SignalSafeEvent
from label_detection_core.drain.waits import Waits
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.queue.image_queue import BATCH, ImageQueue
from label_detection_core.queue.in_flight import InFlight
from label_detection_core.queue.messages import Message

log = logging.getLogger(__name__)

#: Every receive is a long poll of this many seconds. A long poll asks all of SQS's servers, and returns as soon as one
#: has a message. A short poll asks only some servers, so an empty answer proves nothing.
_POLL_SECONDS = 1
#: After this number of empty polls in a row the queue counts as empty. SQS's counts may be a minute old.
_EMPTY_POLLS = 2
#: With `patience`, the queue counts as empty after SQS has counted no message for this long. SQS counts visible
#: messages and those in flight at different moments, so for some seconds a returning message may be in neither count.
_NOTHING_SECONDS = 6.0
#: While all workers are busy, the drain checks for free ones at this interval, in seconds.
_LOOK_SECONDS = 0.25
#: Seconds between two calls of `on_progress`.
_PROGRESS_SECONDS = 5.0
#: After a stop, running work may take this long. Then its messages are returned to the queue. Airflow sends SIGKILL 5 s
#: after the signal that calls on_kill.
_STOP_GRACE_SECONDS = 2.0
#: After the deadline or a failure, the workers have this many seconds to finish their messages, with the model on.
_GRACE_SECONDS = 120.0
#: How many times the last part of the journal is tried.
_JOURNAL_TRIES = 5
#: With more finished messages than this that SQS fails to delete, the drain ends: it would hold more and more.
_UNDELETED = 5 * BATCH


class Drain:
    """A consumer of the queue.

    :param pace: the request rate for the model; the labeller's `detect` waits for it.
    :param workers: the most worker threads; each works on one message at a time.
    :param deadline: in seconds since 1970; after it no more messages are received.
    :param on_progress: called every few seconds with the tally.
    :param patience: for this many seconds after the start, an empty queue does not end the drain while SQS counts
        messages in flight. A retry needs this: messages of its killed predecessor become visible after their visibility
        timeout.
    :param waits: how long it waits at trouble and at the end of the queue.
    """

    def __init__(
        self,
        queue: ImageQueue,
        labeller: Labeller,
        journal: Journal,
        pace: Pace,
        *,
        workers: int,
        deadline: float,
        on_progress: Callable[[Tally], None] = lambda _: None,
        patience: float = 0.0,
        waits: Waits | None = None,
    ) -> None:
        self._waits = waits or Waits()
        self._queue = queue
        self._journal = journal
        self._pace = pace
        self._workers = workers
        self._deadline = deadline
        self._on_progress = on_progress
        self._patience = patience
        self._in_flight = InFlight(queue)
        self._working: set[Future[None]] = set()
        self._returned = Returned(self._waits.returned)
        self._patient_until = 0.0  # by time.monotonic()
        self._nothing_since: float | None = None  # by time.monotonic(): since then SQS has counted no message
        self._empty_polls = 0  # in a row
        self._stop = SignalSafeEvent()
        self._worker = MessageWorker(labeller, journal, pace, self._stop, self._waits)

    @property
    def tally(self) -> Tally:
        """The number of images per outcome until now."""
        return self._worker.tally

    def stop(self) -> None:
        """Stop receiving, return held messages to the queue, and let `run` end. Safe to call from a signal handler."""
        self._stop.set()
        self._pace.end()

    def run(self) -> Tally:
        """Work until the queue is empty, the deadline has passed, or `stop` was called.

        :raises DrainError: when a service fails and no image is to blame; RefusedError: when it refuses permanently.
        """
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="labeller")
        try:
            with self._in_flight:
                try:
                    self._receive_all(pool)
                except (DrainError, *aws_errors.AWS_ERRORS):
                    raise
                except BaseException:  # Airflow raises the task's time-out in this thread: no time to finish
                    self.stop()
                    raise
                finally:
                    self._finish_work_in_hand()
            self._worker.conclude()
        except aws_errors.AWS_ERRORS as error:
            raise service_error(error, "the queue") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._end_journal()
            self._on_progress(self.tally)
        return self.tally

    def _receive_all(self, pool: ThreadPoolExecutor) -> None:
        well_at = progress_at = time.monotonic()
        self._patient_until = well_at + self._patience
        while not self._stop.is_set() and time.time() < self._deadline:
            try:
                if self._receive_and_delete(pool):
                    return
                well_at = time.monotonic()
            except aws_errors.AWS_ERRORS as error:
                if not aws_errors.is_transient(error) or time.monotonic() - well_at > self._waits.trouble:
                    raise
                log.warning("the call to the queue failed: %s; trying again", error)
                self._stop.wait(_POLL_SECONDS)
            if self._in_flight.undeleted > _UNDELETED:
                raise DrainError(f"SQS failed to delete {self._in_flight.undeleted} messages: see the log above")
            self._write_journal(self._journal.write_if_due)
            if time.monotonic() - progress_at >= _PROGRESS_SECONDS:
                progress_at = time.monotonic()
                self._on_progress(self.tally)
        log.info(
            "stopped on request"
            if self._stop.is_set()
            else "the model's time is up: messages that are left wait for the next run"
        )

    def _receive_and_delete(self, pool: ThreadPoolExecutor) -> bool:
        """Receive messages or wait for workers; delete finished messages. Return whether the drain is at its end."""
        self._collect(timeout=0.0)
        most = min(self._workers, self._pace.images_at_once())
        room = most - len(self._working)
        if self._working and room < min(BATCH, max(most // 2, 1)):
            self._collect(timeout=_LOOK_SECONDS)  # one receive per image would double the calls to SQS
        elif self._receive(pool, room):
            self._empty_polls = 0
        else:
            self._empty_polls += 1
            return self._is_at_end()
        self._in_flight.delete_full_batches()
        return False

    def _is_at_end(self) -> bool:
        """Whether nothing is left to do, after an empty poll. Messages that other consumers hold do not count."""
        self._collect(timeout=0.0)
        if self._in_flight.delete_done():
            return False  # one of SQS's servers may have missed a delete: poll again
        if self._working or self._empty_polls < _EMPTY_POLLS or self._returned.is_one_awaited():
            return False
        if time.monotonic() < self._patient_until and not self._is_nothing_counted():
            return False  # messages that return after this are left to the next run
        if left := self._returned.left():
            log.warning("%d failed messages become visible too late for this run: the next run tries them again", left)
        return True

    def _is_nothing_counted(self) -> bool:
        """Whether SQS has counted no message for some seconds, neither visible nor in flight."""
        depth, now = self._queue.depth(), time.monotonic()
        if depth.visible or depth.in_flight:
            self._nothing_since = None
            return False
        self._nothing_since = self._nothing_since or now
        return now - self._nothing_since >= _NOTHING_SECONDS

    def _write_journal(self, write: Callable[[], None]) -> bool:
        """Write to the journal. Return False for an AWS error: only the report needs it, so the drain goes on."""
        try:
            write()
        except aws_errors.AWS_ERRORS as error:
            log.error("the run's journal could not be written, so the report may lack pictures: %s", error)
            return False
        return True

    def _end_journal(self) -> None:
        for _ in range(_JOURNAL_TRIES):
            if self._write_journal(self._journal.write) or self._stop.wait(_POLL_SECONDS):
                return

    def _receive(self, pool: ThreadPoolExecutor, most: int) -> bool:
        """Receive messages and start work on them. Return whether there was any to work on."""
        before = len(self._working)
        for message in self._queue.receive(most, _POLL_SECONDS):
            if not self._in_flight.hold(message):
                log.info("message %s was delivered twice; the second delivery is not worked on", message.id)
            elif self._returned.is_in_time(message):
                self._working.add(pool.submit(self._work, message))
            else:
                self._in_flight.give_back(message, seconds=HIDDEN_SECONDS)
        return len(self._working) > before

    def _collect(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for a worker to finish; collect all that have. Raises a worker's exception."""
        finished, self._working = wait(self._working, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in finished:
            future.result()

    def _finish_work_in_hand(self) -> None:
        started = time.monotonic()
        error: BaseException | None = None
        while self._working:
            grace = _STOP_GRACE_SECONDS if self._stop.is_set() else _GRACE_SECONDS
            if time.monotonic() - started > grace:
                log.warning("%d messages are still in work; they are returned to the queue", len(self._working))
                self.stop()  # a worker with a message of many images starts no further image
                break
            try:
                self._collect(timeout=0.2)
            except DrainError as failure:
                error = error or failure
        if error:
            raise error

    def _work(self, message: Message) -> None:
        """Handle one message, in a worker thread. It is finished when each of its images has a final outcome."""
        begun = time.monotonic()
        hidden = self._worker.work(message)
        if hidden is not None and self._stop.is_set():
            return  # returned to the queue at the end, with the others
        took = time.monotonic() - begun
        self._returned.worked(message, took, hidden)
        if hidden is None:
            self._in_flight.done(message)
        elif not self._in_flight.give_back(message, seconds=hidden):
            self._returned.worked(message, took, self._queue.visibility_seconds)
