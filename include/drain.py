"""The drain: takes messages from the queue until it is empty, the model's time is up, or it is told to stop.

One receiver (the thread that calls `run`) and a bounded set of workers. No more messages are held than are worked on,
so memory does not grow with the backlog, and a killed consumer leaves few images waiting for their visibility timeout.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from include import aws_errors, messages
from include.image_queue import BATCH, ImageQueue
from include.in_flight import InFlight
from include.journal import Journal
from include.labeller import Labeller, Outcome, Result
from include.labels import Error
from include.messages import ImageRef, Message

log = logging.getLogger(__name__)

_POLL_SECONDS = 1
_PROGRESS_SECONDS = 5.0
#: After a stop, work in hand may end by itself for so long before its messages are given back all the same. Airflow
#: sends SIGKILL 5 s after the signal that calls on_kill.
_STOP_GRACE_SECONDS = 2.0
#: After the deadline, or when a worker failed, the others may end what they hold for so long, with the model on.
_GRACE_SECONDS = 120.0
#: A consumer without work waits for messages that others hold until those of a killed one are back, and so much longer.
_PATIENCE_SECONDS = 15.0
#: Trouble with SQS is sat out for so long. The loop does the waiting, not the client: a stop must not wait for that.
_TROUBLE_SECONDS = 120.0
#: So many images in a row given back: a service is down, and going on would only use up their deliveries.
_FAILURES_IN_A_ROW = 20
#: How often the end of the journal is tried.
_JOURNAL_TRIES = 5
#: So many messages that SQS fails to delete: going on would hold more and more.
_UNDELETED = 5 * BATCH


class DrainError(Exception):
    """The drain cannot go on, and no image is to blame. What it held is back on the queue."""


class RefusedError(DrainError):
    """A service refuses for good, such as access denied: trying again would not help."""


@dataclass(frozen=True)
class Tally:
    """What a consumer did, in images; a message that announced no image of ours counts as one."""

    labelled: int = 0
    rejected: int = 0
    ignored: int = 0
    failed: int = 0

    def __str__(self) -> str:
        """In words, for the grid: `28 labelled, 5 rejected`."""
        return ", ".join(f"{n} {name}" for name, n in vars(self).items() if n) or "nothing to do"


class Drain:
    """A consumer of the queue.

    :param workers: threads; each works on one message at a time.
    :param deadline: seconds since the epoch; then no more messages are received.
    :param on_progress: called every few seconds with the tally so far.
    """

    def __init__(
        self,
        queue: ImageQueue,
        labeller: Labeller,
        journal: Journal,
        *,
        workers: int,
        deadline: float,
        on_progress: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        self._queue = queue
        self._labeller = labeller
        self._journal = journal
        self._workers = workers
        self._deadline = deadline
        self._on_progress = on_progress
        self._in_flight = InFlight(queue)
        self._working: set[Future[None]] = set()
        self._worked_at = 0.0  # time.monotonic() when there last was work
        self._stop = threading.Event()
        self._counts: Counter[Outcome] = Counter()
        self._failures_in_a_row = 0
        self._lock = threading.Lock()

    @property
    def tally(self) -> Tally:
        """What was done so far."""
        with self._lock:
            return Tally(**{outcome.value: n for outcome, n in self._counts.items()})

    def stop(self) -> None:
        """Stop receiving, give back what is held, and let `run` return soon. Safe to call from a signal handler."""
        self._stop.set()

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
                    self._stop.set()
                    raise
                finally:
                    self._finish_work_in_hand()
        except aws_errors.AWS_ERRORS as error:
            raise _error(error, "the queue") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._end_journal()
            self._on_progress(self.tally)
        return self.tally

    def _receive_all(self, pool: ThreadPoolExecutor) -> None:
        self._worked_at = well_at = progress_at = time.monotonic()
        while not self._stop.is_set() and time.time() < self._deadline:
            self._collect(timeout=0.0 if self._free_workers() else 1.0)
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
        log.info("told to stop" if self._stop.is_set() else "the model's time is up: the rest waits for the next run")

    def _receive_and_delete(self, pool: ThreadPoolExecutor) -> bool:
        """One turn with the queue; whether nothing is left in it."""
        self._receive(pool)
        now = time.monotonic()
        if self._working:
            self._worked_at = now
            self._in_flight.delete_full_batches()
            return False
        self._in_flight.delete_done()
        return self._nothing_left(waited=now - self._worked_at)

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

    def _free_workers(self) -> int:
        return self._workers - len(self._working)

    def _receive(self, pool: ThreadPoolExecutor) -> None:
        """Give each free worker a message, if there are any."""
        if free := self._free_workers():
            for message in self._queue.receive(free, wait_seconds=_POLL_SECONDS):
                self._in_flight.hold(message)
                self._working.add(pool.submit(self._work, message))

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
                log.warning("%d messages are still being worked on; they are given back", len(self._working))
                self._stop.set()  # a worker in a message of many images goes no further
                break
            try:
                self._collect(timeout=0.2)
            except DrainError as failure:
                error = error or failure
        if error:
            raise error

    def _nothing_left(self, waited: float) -> bool:
        """Whether the queue is empty, those messages included that others hold and may give back."""
        depth = self._queue.depth()
        if depth.visible == depth.in_flight == 0:
            return True
        if waited > self._queue.visibility_seconds + _PATIENCE_SECONDS:
            log.warning("the queue says %s, but nothing came for %.0f s: left to the next run", depth, waited)
            return True
        return False

    def _work(self, message: Message) -> None:
        """Handle one message, in a worker thread. It is deleted when each of its images has an outcome."""
        contents = messages.read(message.body)
        try:
            ended = self._handle(message, contents)
        except aws_errors.AWS_ERRORS as error:
            raise _error(error, _names(message, contents)) from error
        except DrainError:
            raise
        except Exception as error:  # whatever it is, one message must not end every consumer
            log.warning("%s failed", _names(message, contents), exc_info=True)
            ended = self._give_up_or_not(message, Error(type(error).__name__, str(error)))
        if ended:
            self._in_flight.done(message)
        elif not self._stop.is_set():  # else: given back with the rest
            self._in_flight.give_back(message)

    def _handle(self, message: Message, contents: messages.Contents) -> bool:
        """Bring each image and each problem of a message to its outcome; False when one has to come again."""
        foreign = sorted({image.bucket for image in contents.images} - {self._labeller.source_bucket})
        failed = False
        for image in contents.images:
            if self._stop.is_set():
                return False
            if image.bucket not in foreign:
                result = self._labeller.label(image, message.receives)
                failed |= result.outcome is Outcome.FAILED
                self._note(result)
        if problem := _problem(contents.problems, foreign):
            self._note(self._labeller.reject_message(message, problem))
        if contents.ignored:
            self._note(Result(Outcome.IGNORED, None, reason=f"message {message.id}: {contents.ignored}"))
        return not failed

    def _give_up_or_not(self, message: Message, error: Error) -> bool:
        """A message that fails for no known reason is kept as rejected after `max_receives`; its object stays."""
        if message.receives < self._labeller.max_receives:
            self._note(Result(Outcome.FAILED, None, error=error, reason=f"message {message.id}"))
            return False
        self._note(self._labeller.reject_message(message, error))
        return True

    def _note(self, result: Result) -> None:
        self._journal.add(result)
        self._count(result.outcome)
        what = _url(result.source) if result.source else ""
        if result.error:
            log.warning("%s: %s %s: %s", result.outcome, what, result.reason or "", _shown(str(result.error)))
        elif result.outcome is Outcome.IGNORED:
            log.info("%s: %s %s", result.outcome, what, _shown(result.reason or ""))

    def _count(self, outcome: Outcome) -> None:
        with self._lock:
            self._counts[outcome] += 1
            self._failures_in_a_row = self._failures_in_a_row + 1 if outcome is Outcome.FAILED else 0
            if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
                raise DrainError(f"{_FAILURES_IN_A_ROW} images in a row failed; the last errors are in the log above")


def _error(error: Exception, what: str) -> DrainError:
    kind = DrainError if aws_errors.is_transient(error) else RefusedError
    return kind(f"{error} ({what})")


def _names(message: Message, contents: messages.Contents) -> str:
    """Which message and images an error is about, for a log."""
    images = ", ".join(_url(image) for image in contents.images[:3])
    return f"message {message.id}: {images or 'no image'}"


def _url(image: ImageRef) -> str:
    """For logs and errors: a line break or an escape sequence in a key is shown, not obeyed."""
    return _shown(f"s3://{image.bucket}/{image.key}")


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _problem(unknown: messages.Notes, foreign: list[str]) -> Error | None:
    """What is wrong with a message as a whole, if anything."""
    words = messages.Notes([str(unknown)] if unknown else [])
    for bucket in foreign:
        words.append(f"{bucket!r} is not the source bucket; its object was not touched")
    return Error("UnknownMessage" if unknown else "ForeignBucket", str(words)) if words else None
