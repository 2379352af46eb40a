"""The drain: takes messages from the queue until it is empty, the model's time is up, or it is asked to stop.

One receiver (the thread that calls `run`) and a bounded set of workers. The pace says how many messages to hold: those
that are worked on and those whose turn is next. So memory does not grow with the backlog, and a killed consumer leaves
few images waiting for their visibility timeout.
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
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.queue.image_queue import BATCH, ImageQueue
from label_detection_core.queue.in_flight import InFlight
from label_detection_core.queue.messages import Message

log = logging.getLogger(__name__)

#: Every receive is a long poll of this many seconds. It asks all of SQS's servers and returns at once when one has a
#: message; a short poll asks only some of them, so that an empty one says nothing.
_POLL_SECONDS = 1
#: Empty polls in a row after which the queue counts as empty. SQS's counts cannot show it: they may be a minute old.
_EMPTY_POLLS = 2
#: A patient consumer takes the queue for empty once SQS has counted no message for this long. Each count is of another
#: moment: for some seconds a message that comes back may be in none of them.
_NOTHING_SECONDS = 6.0
#: How often to look which workers are free, while there is work for all of them.
_LOOK_SECONDS = 0.25
_PROGRESS_SECONDS = 5.0
#: After a stop: how long work in hand may take to end, before its messages are returned to the queue. Airflow
#: sends SIGKILL 5 s after the signal that calls on_kill.
_STOP_GRACE_SECONDS = 2.0
#: After the deadline, or when a worker failed, the others may end what they hold for so long, with the model on.
_GRACE_SECONDS = 120.0
#: Trouble with SQS is sat out for so long. The loop does the waiting, not the client: a stop must not wait for that.
_TROUBLE_SECONDS = 120.0
#: How often the end of the journal is tried.
_JOURNAL_TRIES = 5
#: So many messages that SQS fails to delete: going on would hold more and more.
_UNDELETED = 5 * BATCH


class Drain:
    """A consumer of the queue.

    :param pace: how often the model is asked; the labeller's `detect` keeps it.
    :param workers: threads at most; each works on one message at a time.
    :param deadline: seconds since the epoch; then no more messages are received.
    :param on_progress: called every few seconds with the tally so far.
    :param patience: seconds from the start in which an empty queue does not end the drain while SQS counts messages
        that others hold. A retry needs it: what its killed predecessor held comes back with its visibility timeout.
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
    ) -> None:
        self._queue = queue
        self._journal = journal
        self._pace = pace
        self._workers = workers
        self._deadline = deadline
        self._on_progress = on_progress
        self._patience = patience
        self._in_flight = InFlight(queue)
        self._working: set[Future[None]] = set()
        self._returned = Returned()
        self._patient_until = 0.0  # on time.monotonic()
        self._nothing_since: float | None = None  # the same: SQS counts nothing
        self._empty_polls = 0  # in a row
        self._stop = SignalSafeEvent()
        self._worker = MessageWorker(labeller, journal, pace, self._stop)

    @property
    def tally(self) -> Tally:
        """What was done so far."""
        return self._worker.tally

    def stop(self) -> None:
        """Stop receiving, return held messages to the queue, and let `run` end. Safe to call from a signal handler."""
        self._stop.set()
        self._pace.end()

    def run(self) -> Tally:
        """Work until the queue is empty, the deadline has passed, or `stop` was called.

        :raises DrainError: when a service fails for reasons that are not an image's; RefusedError: when it refuses.
        """
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="labeller")
        try:
            with self._in_flight:
                try:
                    self._receive_all(pool)
                except (DrainError, *aws_errors.AWS_ERRORS):
                    raise
                except BaseException:  # Airflow raises a task's time-out in this thread: no time for a grace
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
                if not aws_errors.is_transient(error) or time.monotonic() - well_at > _TROUBLE_SECONDS:
                    raise
                log.warning("trouble with the queue: %s; trying again", error)
                self._stop.wait(_POLL_SECONDS)
            if self._in_flight.undeleted > _UNDELETED:
                raise DrainError(f"SQS has not deleted {self._in_flight.undeleted} messages: see the log above")
            self._write_journal(self._journal.write_if_due)
            if time.monotonic() - progress_at >= _PROGRESS_SECONDS:
                progress_at = time.monotonic()
                self._on_progress(self.tally)
        log.info("asked to stop" if self._stop.is_set() else "the model's time is up: the rest waits for the next run")

    def _receive_and_delete(self, pool: ThreadPoolExecutor) -> bool:
        """One turn with the queue; whether the drain is at its end."""
        self._collect(timeout=0.0)
        most = min(self._workers, self._pace.images_at_once())
        room = most - len(self._working)
        if self._working and room < min(BATCH, max(most // 2, 1)):
            self._collect(timeout=_LOOK_SECONDS)  # a receive for each single image would double the calls to SQS
        elif self._receive(pool, room):
            self._empty_polls = 0
        else:
            self._empty_polls += 1
            return self._is_at_end()
        self._in_flight.delete_full_batches()
        return False

    def _is_at_end(self) -> bool:
        """Whether nothing is left to do here, after an empty poll. What other consumers hold is theirs."""
        self._collect(timeout=0.0)
        if self._in_flight.delete_done():
            return False  # SQS may have missed a delete on one of its servers: the next poll tells
        if self._working or self._empty_polls < _EMPTY_POLLS or self._returned.is_one_awaited():
            return False
        if time.monotonic() < self._patient_until and not self._is_nothing_counted():
            return False  # what comes back later than the counts say is left to the next run
        if left := self._returned.left():
            log.warning("%d messages that failed come back too late: left to the next run", left)
        return True

    def _is_nothing_counted(self) -> bool:
        """Whether SQS has counted no message, waiting or in flight, for some seconds."""
        depth, now = self._queue.depth(), time.monotonic()
        if depth.visible or depth.in_flight:
            self._nothing_since = None
            return False
        self._nothing_since = self._nothing_since or now
        return now - self._nothing_since >= _NOTHING_SECONDS

    def _write_journal(self, write: Callable[[], None]) -> bool:
        """The journal is for the report alone: trouble with it ends no drain. Its lines wait for the next part."""
        try:
            write()
        except aws_errors.AWS_ERRORS as error:
            log.error("the run's journal could not be written, its report may lack images: %s", error)
            return False
        return True

    def _end_journal(self) -> None:
        for _ in range(_JOURNAL_TRIES):
            if self._write_journal(self._journal.write) or self._stop.wait(_POLL_SECONDS):
                return

    def _receive(self, pool: ThreadPoolExecutor, most: int) -> bool:
        """Give messages to workers; whether there were any to work on."""
        before = len(self._working)
        for message in self._queue.receive(most, _POLL_SECONDS):
            if not self._in_flight.hold(message):
                log.info("message %s was delivered twice; it is worked on once", message.id)
            elif self._returned.is_in_time(message):
                self._working.add(pool.submit(self._work, message))
            else:
                self._in_flight.give_back(message, seconds=HIDDEN_SECONDS)
        return len(self._working) > before

    def _collect(self, timeout: float) -> None:
        """Note which workers are free again, waiting up to `timeout` seconds for the first; raises what one raised."""
        finished, self._working = wait(self._working, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in finished:
            future.result()

    def _finish_work_in_hand(self) -> None:
        started = time.monotonic()
        error: BaseException | None = None
        while self._working:
            grace = _STOP_GRACE_SECONDS if self._stop.is_set() else _GRACE_SECONDS
            if time.monotonic() - started > grace:
                log.warning("%d messages are still being worked on; they are returned to the queue", len(self._working))
                self.stop()  # a worker in a message of many images goes no further
                break
            try:
                self._collect(timeout=0.2)
            except DrainError as failure:
                error = error or failure
        if error:
            raise error

    def _work(self, message: Message) -> None:
        """In a worker thread. A message is deleted when each of its images has an outcome."""
        begun = time.monotonic()
        hidden = self._worker.work(message)
        if hidden is not None and self._stop.is_set():
            return  # it is returned to the queue with the rest
        took = time.monotonic() - begun
        self._returned.worked(message, took, hidden)
        if hidden is None:
            self._in_flight.done(message)
        elif not self._in_flight.give_back(message, seconds=hidden):
            self._returned.worked(message, took, self._queue.visibility_seconds)
