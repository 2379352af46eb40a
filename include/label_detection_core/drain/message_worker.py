"""Handles one message in a worker thread: its images and problems get their outcomes, in the tally and the journal."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

from label_detection_core import aws_errors
from label_detection_core.drain.journal import Journal, list_parts, read_part
from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.drain.pace import Calls, Pace
from label_detection_core.drain.side_by_side import SideBySide
from label_detection_core.drain.signal_safe import SignalSafeEvent
from label_detection_core.drain.waits import Waits
from label_detection_core.labelling.decisions import SHORT_SECONDS, UNDECIDED_SECONDS, Outcome, Result, retry_seconds
from label_detection_core.labelling.doubts import ENOUGH, Doubt
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.labelling.labels import Error
from label_detection_core.queue import messages
from label_detection_core.queue.messages import ImageRef, Message

log = logging.getLogger(__name__)

#: After this number of failed images in a row, a service counts as down. To go on would only use up deliveries.
_FAILURES_IN_A_ROW = 20
#: The number of threads that help the workers with messages of several images.
_HELPERS = 16
#: In a message of more images, HEAD checks each image before the model is asked: the message may be old.
_MANY = 10
#: Seconds between two reads of the journal.
_LOOK_SECONDS = 2.0
#: The number of returned messages for which the worker remembers the finished images.
_REMEMBERED = 1000
#: The most parts of the run's journal that are read to find a labelled image.
_PARTS = 50


class DrainError(Exception):
    """The drain cannot go on, and no image is to blame. Its messages were returned to the queue."""


class RefusedError(DrainError):
    """A service refuses permanently, such as access denied, or nothing succeeded. A retry now would not help."""


@dataclass(frozen=True)
class Tally:
    """The number of images per outcome. A message without an image of the source bucket counts as one image."""

    labelled: int = 0
    rejected: int = 0
    ignored: int = 0
    failed: int = 0
    unreadable: int = 0

    def __str__(self) -> str:
        """Return a text for Airflow's grid, such as `28 labelled, 5 rejected`."""
        return ", ".join(f"{n} {name}" for name, n in vars(self).items() if n) or "nothing to do"


class MessageWorker:
    """Handles messages, in several threads. After `stop` is set, it starts no further image of a message."""

    def __init__(
        self, labeller: Labeller, journal: Journal, pace: Pace, stop: SignalSafeEvent, waits: Waits | None = None
    ) -> None:
        self._waits = waits or Waits()
        self._labeller = labeller
        self._doubts = labeller.doubts
        self._journal = journal
        self._pace = pace
        self._stop = stop
        self._side_by_side = SideBySide(_HELPERS)
        self._done: dict[str, set[ImageRef]] = {}  # finished images, by the id of a message that went back to SQS
        self._counts: Counter[Outcome] = Counter()
        self._failing: set[str] = set()  # different failures since the last outcome that was none
        self._last_failure: Error | None = None
        self._lock = threading.Lock()
        self._deciding = threading.Lock()

    @property
    def tally(self) -> Tally:
        """The number of images per outcome until now."""
        with self._lock:
            return Tally(**{outcome.value: n for outcome, n in self._counts.items()})

    def work(self, message: Message) -> float | None:
        """Handle a message.

        :return: None if each image has a final outcome, else the seconds after which the message must return.
        :raises DrainError: when a service fails and no image is to blame; RefusedError: when it refuses permanently.
        """
        contents = messages.read(message.body)
        try:
            return self._handle(message, contents)
        except aws_errors.AWS_ERRORS as error:
            raise service_error(error, _names(message, contents)) from error
        except DrainError:
            raise
        except Exception as error:  # one message with an unknown error must not end every consumer
            log.warning("%s failed with an unexpected error", _names(message, contents), exc_info=True)
            return self._give_up_or_not(message, Error(type(error).__name__, str(error)))

    def conclude(self) -> None:
        """Check the result at the end of the queue.

        :raises RefusedError: when something failed, and nothing succeeded in any task of the run.
        """
        if self._stop.is_set():
            return
        self._end_if_all_are_refused(at_least=1, others_seconds=self._waits.others)
        tally = self.tally
        went_well = tally.labelled or tally.rejected or tally.unreadable
        if self._last_failure and not went_well and not self._has_run_labelled(self._waits.others):
            last = _shown(str(self._last_failure))
            raise RefusedError(f"no picture was labelled, and {tally.failed} deliveries failed; the last error: {last}")

    def _handle(self, message: Message, contents: messages.Contents) -> float | None:
        """Handle each image and each problem of a message. Return as `work` does."""
        ours = dict.fromkeys(image for image in contents.images if image.bucket == self._labeller.source_bucket)
        foreign = sorted({image.bucket for image in contents.images} - {self._labeller.source_bucket})
        if ours:
            self._doubts.settle(Doubt.BUCKET)
        elif foreign and self._may_be_ours(message):
            return self._return_foreign(message, foreign)
        done = self._done.pop(message.id, set())
        results = self._label_all([image for image in ours if image not in done], message)
        if len(results) + len(done) < len(ours):
            return 0.0  # stopped
        unreadable = [result for result in results.values() if result.outcome is Outcome.UNREADABLE]
        if seconds := [result.retry_seconds for result in results.values() if result.outcome is Outcome.FAILED]:
            for result in unreadable:  # the message is kept once the other images are done
                self._note(replace(result, outcome=Outcome.FAILED, is_own=True))
            if len(self._done) < _REMEMBERED:
                self._done[message.id] = done | {image for image, result in results.items() if result.is_final}
            return max(seconds)
        self._keep(message, _problem(contents.problems, foreign), unreadable)
        self._note_ignored(message, contents)
        self._doubts.end(Doubt.BUCKET, f"message {message.id}")
        return None

    def _label_all(self, images: Iterable[ImageRef], message: Message) -> dict[ImageRef, Result]:
        """Label images in parallel, but those of one key one after the other. Return the results of those worked on."""
        by_key: dict[str, list[ImageRef]] = {}
        for image in images:
            by_key.setdefault(image.key, []).append(image)
        results: dict[ImageRef, Result] = {}
        many = sum(map(len, by_key.values())) > _MANY

        def label(same_key: list[ImageRef]) -> None:
            for image in same_key:
                if self._stop.is_set():
                    return
                result = self._label(image, message, look_first=many)
                results[image] = replace(result, labels=[])  # an image may have thousands of labels

        self._side_by_side.each(label, by_key.values())
        return results

    def _label(self, image: ImageRef, message: Message, *, look_first: bool) -> Result:
        with self._pace.image() as calls:
            result = self._labeller.label(image, message.receives, look_first=look_first)
        if result.outcome is not Outcome.UNREADABLE:  # else: noted after its message is kept
            self._note(result, calls, message.sent_at)
        if result.is_own:
            self._end_if_all_are_refused()
        return result

    def _may_be_ours(self, message: Message) -> bool:
        """Whether, for a message about another bucket, the option source_bucket may be wrong instead of the message."""
        settled = self._doubts.is_settled(Doubt.BUCKET)
        return not settled and message.receives < self._labeller.max_receives

    def _return_foreign(self, message: Message, foreign: list[str]) -> float:
        buckets = messages.Notes()
        for bucket in foreign:
            buckets.append(repr(bucket))
        error = Error("ForeignBucket", f"objects of {buckets}, but source_bucket is {self._labeller.source_bucket!r}")
        before = self._doubts.note(Doubt.BUCKET, f"message {message.id}", error)
        seconds = UNDECIDED_SECONDS if before else SHORT_SECONDS
        self._note(Result(Outcome.FAILED, None, error=error, reason=f"message {message.id}", is_own=True))
        self._end_if_all_are_refused()
        return seconds

    def _give_up_or_not(self, message: Message, error: Error) -> float | None:
        """Handle a message with an unexpected error. After `max_receives` deliveries it is kept as rejected."""
        if message.receives < self._labeller.max_receives:
            self._note(Result(Outcome.FAILED, None, error=error, reason=f"message {message.id}"))
            return retry_seconds(message.receives)
        self._keep(message, error, [])
        return None

    def _keep(self, message: Message, problem: Error | None, unreadable: list[Result]) -> None:
        """Write the document of a message with a problem or unreadable images; then count its outcomes."""
        if not problem and not unreadable:
            return
        notes = messages.Notes([problem.message] if problem else [])
        for result in unreadable:
            notes.append(f"{result.source.url}: {result.error}" if result.source else str(result.error))
        first = problem or unreadable[0].error
        self._labeller.keep_message(message, Error(first.code if first else "", str(notes)))
        if problem:
            self._note(Result(Outcome.REJECTED, None, error=problem, reason=f"message {message.id}"))
        for result in unreadable:
            self._note(replace(result, reason=f"message {message.id} is kept"))

    def _end_if_all_are_refused(self, at_least: int = ENOUGH, others_seconds: float = 0.0) -> None:
        """:raises RefusedError: when at least `at_least` were refused, and nothing shows that others are accepted."""
        with self._deciding:
            for doubt in self._doubts.counted(at_least):
                few = at_least < ENOUGH
                if not self._labeller.has_evidence(doubt, of_few=few) and not self._has_run_labelled(others_seconds):
                    raise RefusedError(_shown(self._doubts.text(doubt)))

    def _has_run_labelled(self, seconds: float) -> bool:
        """Whether any task of the run has labelled an image. Checks again for up to `seconds`."""
        until = time.monotonic() + seconds
        while not (found := self._is_labelled_in_journal()) and time.monotonic() < until:
            if self._stop.wait(_LOOK_SECONDS):
                return True  # stopped: the answer does not matter any more
        if found:
            self._doubts.settle(*Doubt)
        return found

    def _is_labelled_in_journal(self) -> bool:
        labeller = self._labeller
        place = labeller.s3, labeller.final_bucket, labeller.run.run_id
        try:
            for part in islice(list_parts(*place), _PARTS):
                lines = map(JournalLine.parse, read_part(*place, part))
                if any(line and line.outcome == Outcome.LABELLED for line in lines):
                    return True
        except aws_errors.AWS_ERRORS as error:
            log.warning("the run's journal could not be read: %s", error)
        return False

    def _note_ignored(self, message: Message, contents: messages.Contents) -> None:
        for event in contents.ignored:
            reason = f"message {message.id}: {event.event}"
            self._note(Result(Outcome.IGNORED, event.image, reason=reason, ignored=event.why))
        for why, count in contents.more_ignored.items():
            self._note(Result(Outcome.IGNORED, None, reason=f"message {message.id}: {count} more", ignored=why))

    def _note(self, result: Result, calls: Calls | None = None, announced_at: float | None = None) -> None:
        self._journal.add(result, calls, announced_at)
        what = _shown(result.source.url) if result.source else ""
        if result.error:
            log.warning("%s: %s %s: %s", result.outcome, what, result.reason or "", _shown(str(result.error)))
        elif result.outcome is Outcome.IGNORED:
            log.info("%s: %s %s", result.outcome, what, _shown(result.reason or ""))
        self._count(result)

    def _count(self, result: Result) -> None:
        """Count an outcome.

        A failure with `is_own` does not count against the services. Once an image was labelled, only failures of
        different images count: a few images that fail at every delivery must not end the drain.

        :raises DrainError: when too many images failed in a row.
        """
        with self._lock:
            self._counts[result.outcome] += 1
            if result.outcome is not Outcome.FAILED:
                self._failing.clear()
            elif not result.is_own:
                self._last_failure = result.error
                what = result.source.url if result.source else result.reason or ""
                again = "" if self._counts[Outcome.LABELLED] else f" {self._counts[Outcome.FAILED]}"
                self._failing.add(what + again)
            if len(self._failing) >= _FAILURES_IN_A_ROW:
                raise DrainError(f"{_FAILURES_IN_A_ROW} pictures in a row failed; the last errors are in the log above")


def service_error(error: Exception, what: str) -> DrainError:
    """Return the error that ends the drain because a call failed. `what`: the thing that the call was about."""
    kind = DrainError if aws_errors.is_transient(error) else RefusedError
    return kind(f"{error} ({what})")


def _names(message: Message, contents: messages.Contents) -> str:
    """Return the message id and the first images, for a log line."""
    images = ", ".join(_shown(image.url) for image in contents.images[:3])
    return f"message {message.id}: {images or 'no image'}"


def _shown(text: str) -> str:
    """Escape control characters, such as line breaks and escape sequences in a key, for logs and errors."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _problem(unknown: messages.Notes, foreign: list[str]) -> Error | None:
    """Return the problem with a message, if any. `foreign`: other buckets that it names."""
    notes = messages.Notes([str(unknown)] if unknown else [])
    for bucket in foreign:
        notes.append(f"{bucket!r} is not the source bucket; its object was not touched")
    return Error("UnknownMessage" if unknown else "ForeignBucket", str(notes)) if notes else None
