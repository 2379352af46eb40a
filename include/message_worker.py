"""One message in a worker thread: each image and each problem of it to its outcome, counted and noted."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass

from include import aws_errors, messages
from include.journal import Journal
from include.labeller import Labeller, Outcome, Result
from include.labels import Error
from include.messages import ImageRef, Message
from include.pace import Calls, Pace
from include.signal_safe import SignalSafeEvent

log = logging.getLogger(__name__)

#: So many images in a row given back: a service is down, and going on would only use up their deliveries.
_FAILURES_IN_A_ROW = 20


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
    unreadable: int = 0

    def __str__(self) -> str:
        """In words, for the grid: `28 labelled, 5 rejected`."""
        return ", ".join(f"{n} {name}" for name, n in vars(self).items() if n) or "nothing to do"


class MessageWorker:
    """Handles messages, in several threads at once. `stop`: when set, a message of many images goes no further."""

    def __init__(self, labeller: Labeller, journal: Journal, pace: Pace, stop: SignalSafeEvent) -> None:
        self._labeller = labeller
        self._journal = journal
        self._pace = pace
        self._stop = stop
        self._counts: Counter[Outcome] = Counter()
        self._failures_in_a_row = 0
        self._lock = threading.Lock()

    @property
    def tally(self) -> Tally:
        """What was done so far."""
        with self._lock:
            return Tally(**{outcome.value: n for outcome, n in self._counts.items()})

    def work(self, message: Message) -> bool:
        """Whether each image of the message has its outcome; else it has to come again.

        :raises DrainError: when a service fails for reasons that are not an image's; RefusedError: when it refuses.
        """
        contents = messages.read(message.body)
        try:
            return self._handle(message, contents)
        except aws_errors.AWS_ERRORS as error:
            raise service_error(error, _names(message, contents)) from error
        except DrainError:
            raise
        except Exception as error:  # whatever it is, one message must not end every consumer
            log.warning("%s failed", _names(message, contents), exc_info=True)
            return self._give_up_or_not(message, Error(type(error).__name__, str(error)))

    def _handle(self, message: Message, contents: messages.Contents) -> bool:
        """Bring each image and each problem of a message to its outcome; False when one has to come again."""
        foreign = sorted({image.bucket for image in contents.images} - {self._labeller.source_bucket})
        failed = False
        for image in contents.images:
            if self._stop.is_set():
                return False
            if image.bucket not in foreign:
                result = self._label(image, message)
                failed |= result.outcome is Outcome.FAILED
        if problem := _problem(contents.problems, foreign):
            self._note(self._labeller.reject_message(message, problem))
        for event in contents.ignored:
            reason = f"message {message.id}: {event.event}"
            self._note(Result(Outcome.IGNORED, event.image, reason=reason, ignored=event.why))
        return not failed

    def _label(self, image: ImageRef, message: Message) -> Result:
        with self._pace.image() as calls:
            result = self._labeller.label(image, message.receives)
        self._note(result, calls, message.sent_at)
        return result

    def _give_up_or_not(self, message: Message, error: Error) -> bool:
        """A message that fails for no known reason is kept as rejected after `max_receives`; its object stays."""
        if message.receives < self._labeller.max_receives:
            self._note(Result(Outcome.FAILED, None, error=error, reason=f"message {message.id}"))
            return False
        self._note(self._labeller.reject_message(message, error))
        return True

    def _note(self, result: Result, calls: Calls | None = None, announced_at: float | None = None) -> None:
        self._journal.add(result, calls, announced_at)
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


def service_error(error: Exception, what: str) -> DrainError:
    """What a call's failure means for the drain."""
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
