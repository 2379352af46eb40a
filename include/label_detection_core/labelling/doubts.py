"""Refusals that may have two causes: the image, or this pipeline's permissions, request or settings.

As soon as a task knows that its calls are well, a refusal is the image's own trouble. Until then the images go back to
the queue, so that others get their turn, and the task counts them. Counted are **different** images (or messages), not
deliveries: a few odd ones that come again and again never end a task. Twenty different ones of one kind, and none that
went well, do: then the cause is most likely ours, and each further image would only use up its deliveries. So would
twenty odd images at the head of a queue with good ones behind them; therefore the task first looks for other evidence
(see `MessageWorker`): an image that another task of the run has labelled, another object that S3 lets it read, a key
without an object that S3 answers with 404.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from enum import Enum

from label_detection_core.labelling.labels import Error
from label_detection_core.queue.messages import ImageRef

#: When this many different images were refused and none went well, the task ends.
ENOUGH = 20


class Doubt(Enum):
    """What was refused. The value is the text of the error: the possible causes, and what to do."""

    OBJECT = (
        "S3 does not let this task read any of {count} objects. Either its role lacks a permission (s3:GetObject on "
        "the source bucket, kms:Decrypt on its KMS key), or it is these objects' own trouble (uploaded by another "
        "account, denied by a policy, encrypted with a KMS key that is disabled)"
    )
    DELETE = (
        "S3 does not let this task delete any of {count} labelled objects. Either its role lacks s3:DeleteObject on "
        "the source bucket, or these objects may not be deleted (a policy, a legal hold)"
    )
    MODEL = (
        "the model's service cannot read any of {count} objects that S3 lets this task read. Check that the bucket's "
        "policy lets it read (a condition such as aws:SourceVpce or aws:SourceIp shuts it out), that the policy of the "
        "bucket's KMS key does, and that the bucket is in the model's Region"
    )
    REQUEST = (
        "the model's service refuses each of {count} requests. Either something is wrong with every request (see "
        "min_confidence, class_names and the request_... options), or with these images"
    )
    BUCKET = (
        "all of {count} messages announce objects of another bucket than source_bucket. Set source_bucket to the "
        "bucket's own name, not to an access point or its alias, or queue_url to the queue of that bucket"
    )


#: The doubts that a labelled image settles.
OF_IMAGES = (Doubt.OBJECT, Doubt.DELETE, Doubt.MODEL, Doubt.REQUEST)


class Doubts:
    """What a task has seen refused while it does not know why. Safe to use from several threads."""

    def __init__(self) -> None:
        self._seen: dict[Doubt, dict[str, Error]] = defaultdict(dict)
        self._settled: set[Doubt] = set()
        self._ended: dict[Doubt, set[str]] = defaultdict(set)
        self._lock = threading.Lock()
        #: the copy of the image that was labelled last: with it the model can be tried
        self.last_labelled: ImageRef | None = None

    def labelled(self, copy: ImageRef) -> None:
        """Note an image that was labelled, by its copy in the final bucket."""
        self.last_labelled = copy
        self.settle(*OF_IMAGES)

    def settle(self, *doubts: Doubt) -> None:
        """Note evidence that our side is well: such refusals are now the image's or message's own trouble."""
        with self._lock:
            self._settled.update(doubts)
            for doubt in doubts:
                self._seen.pop(doubt, None)

    def is_settled(self, doubt: Doubt) -> bool:
        """Whether such a refusal is the image's or the message's own trouble."""
        with self._lock:
            return doubt in self._settled

    def note(self, doubt: Doubt, what: str, error: Error) -> bool:
        """Count a refusal of an image or message; whether the same one was counted before."""
        with self._lock:
            seen = self._seen[doubt]
            before = what in seen
            if doubt not in self._settled and len(seen) < ENOUGH:
                seen[what] = error
            return before

    def end(self, doubt: Doubt, what: str) -> None:
        """The image has its outcome after all: it still counts beside others, but alone it is no reason to fail."""
        with self._lock:
            if what in self._seen[doubt]:
                self._ended[doubt].add(what)

    def seen(self, doubt: Doubt) -> dict[str, Error]:
        """What was counted, in its order, with the error of each."""
        with self._lock:
            return dict(self._seen[doubt])

    def counted(self, at_least: int) -> list[Doubt]:
        """Doubts, not settled, about at least that many images or messages, one of which has no outcome."""
        with self._lock:
            return [
                doubt
                for doubt, seen in self._seen.items()
                if len(seen) >= at_least and not seen.keys() <= self._ended[doubt]
            ]

    def text(self, doubt: Doubt) -> str:
        """For the error that ends the task: what was refused, the possible causes, and the first one with its error."""
        with self._lock:
            seen = self._seen[doubt]
            what, error = next(iter(seen.items()), ("", None))
            words = doubt.value.format(count=len(seen))
        return f"{words}. The first: {what}: {error}. Nothing is lost: all are back on the queue"
