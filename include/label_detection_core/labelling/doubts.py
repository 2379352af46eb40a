"""Counts refusals whose cause is unknown: the image, or this pipeline's permissions, requests or settings.

Once a call of the task has succeeded, a further refusal is the image's fault. Until then, refused images return to the
queue, so that other images get their turn, and the task counts them. It counts **different** images (or messages), not
deliveries, so that a few bad images that return again and again never end a task.

Twenty different refusals of one type without a success end the task: then the cause is most likely the pipeline, and
each further image would only use up its deliveries. But a queue may also begin with twenty bad images and have good
ones behind them. So the task first looks for other evidence (see `MessageWorker`): an image that another task of the
run has labelled, another object that S3 lets it read, or a key without an object, for which S3 answers 404.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from enum import Enum

from label_detection_core.labelling.labels import Error
from label_detection_core.queue.messages import ImageRef

#: The task ends after refusals of this many different images without a success.
ENOUGH = 20


class Doubt(Enum):
    """A refusal with several possible causes. The value is the error text: the causes, and what to do."""

    OBJECT = (
        "S3 does not let this task read any of {count} objects. Either the task's role lacks a permission "
        "(s3:GetObject on the source bucket, kms:Decrypt on the bucket's KMS key), or the cause is in these objects "
        "(uploaded by another account, denied by a policy, encrypted with a disabled KMS key)"
    )
    DELETE = (
        "S3 does not let this task delete any of {count} labelled objects. Either the task's role lacks "
        "s3:DeleteObject on the source bucket, or these objects may not be deleted (a policy, a legal hold)"
    )
    MODEL = (
        "the model's service cannot read any of {count} objects that S3 lets this task read. Check that the bucket's "
        "policy lets the service read (a condition such as aws:SourceVpce or aws:SourceIp excludes it), that the "
        "policy of the bucket's KMS key does too, and that the bucket is in the model's Region"
    )
    REQUEST = (
        "the model's service refuses each of {count} requests. Either every request is wrong (check min_confidence "
        "and class_names), or these pictures are the cause"
    )
    BUCKET = (
        "all of {count} messages announce objects of another bucket than source_bucket. Set source_bucket to the "
        "bucket's own name, not to an access point or an alias, or set queue_url to the queue of source_bucket"
    )


#: The doubts that end when an image is labelled.
OF_IMAGES = (Doubt.OBJECT, Doubt.DELETE, Doubt.MODEL, Doubt.REQUEST)


class Doubts:
    """The refusals in one task whose cause is unknown. Safe to use from several threads."""

    def __init__(self) -> None:
        self._seen: dict[Doubt, dict[str, Error]] = defaultdict(dict)
        self._settled: set[Doubt] = set()
        self._ended: dict[Doubt, set[str]] = defaultdict(set)
        self._lock = threading.Lock()
        #: the copy of the image that was labelled last; the model can be tested with it
        self.last_labelled: ImageRef | None = None

    def labelled(self, copy: ImageRef) -> None:
        """Note a labelled image. `copy`: the image in the final bucket."""
        self.last_labelled = copy
        self.settle(*OF_IMAGES)

    def settle(self, *doubts: Doubt) -> None:
        """End doubts: from now on, such a refusal is the fault of the image or message."""
        with self._lock:
            self._settled.update(doubts)
            for doubt in doubts:
                self._seen.pop(doubt, None)

    def is_settled(self, doubt: Doubt) -> bool:
        """Whether such a refusal is the fault of the image or message."""
        with self._lock:
            return doubt in self._settled

    def note(self, doubt: Doubt, what: str, error: Error) -> bool:
        """Count a refusal of an image or message `what`. Return whether it was counted before."""
        with self._lock:
            seen = self._seen[doubt]
            before = what in seen
            if doubt not in self._settled and len(seen) < ENOUGH:
                seen[what] = error
            return before

    def end(self, doubt: Doubt, what: str) -> None:
        """Note that a counted image has its outcome. It still counts, but such images alone end no task."""
        with self._lock:
            if what in self._seen[doubt]:
                self._ended[doubt].add(what)

    def seen(self, doubt: Doubt) -> dict[str, Error]:
        """Return the counted images or messages, in order, with the error of each."""
        with self._lock:
            return dict(self._seen[doubt])

    def counted(self, at_least: int) -> list[Doubt]:
        """Return the open doubts about at least `at_least` images or messages, one of which has no outcome yet."""
        with self._lock:
            return [
                doubt
                for doubt, seen in self._seen.items()
                if len(seen) >= at_least and not seen.keys() <= self._ended[doubt]
            ]

    def text(self, doubt: Doubt) -> str:
        """Return the text of the error that ends the task: the possible causes, and the first refusal."""
        with self._lock:
            seen = self._seen[doubt]
            what, error = next(iter(seen.items()), ("", None))
            causes = doubt.value.format(count=len(seen))
        return f"{causes}. The first: {what}: {error}. No picture is lost: all messages are back on the queue"
