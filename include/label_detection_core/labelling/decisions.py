"""Decides the outcome of an image from the answers of S3 and the model. Makes no calls: `labeller` does.

Labelled wins over rejected. A refusal or a failure is blamed on the image only when the task's permissions, requests
and settings are known to be right (see `doubts`), or after many deliveries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Any

from label_detection_core.labelling.keys import Keys
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.queue.messages import Ignored, ImageRef


class Outcome(StrEnum):
    """The outcome of an image in one delivery of its message."""

    LABELLED = "labelled"
    REJECTED = "rejected"
    UNREADABLE = "unreadable"  # S3 refuses access; the object stays in the source bucket, and its message is kept
    IGNORED = "ignored"  # nothing to do: deleted, or overwritten (the new version has its own event)
    FAILED = "failed"  # returned to the queue; the next delivery tries again


@dataclass(frozen=True)
class Result:
    """The outcome of an image, with details.

    :param source: None for a message that announced no image of the source bucket.
    :param image_key: the image's key in the final bucket.
    :param retry_seconds: for a failed image: how long its message stays invisible.
    :param is_own: for a failed image: it may be to blame, so the failure does not count against the services.
    """

    outcome: Outcome
    source: ImageRef | None
    image_key: str | None = None
    labels: list[dict[str, Any]] = field(default_factory=list)
    error: Error | None = None
    reason: str | None = None
    anomaly: dict[str, Any] | None = None  # in the form of the label document
    ignored: Ignored | None = None
    retry_seconds: float = 0.0
    is_own: bool = False

    @property
    def is_final(self) -> bool:
        """Whether this outcome is final, so that the message is no longer needed for this image."""
        return self.outcome in {Outcome.LABELLED, Outcome.REJECTED, Outcome.IGNORED}


#: After its first delivery, a failed message stays invisible for this many seconds, then four times longer each time.
SHORT_SECONDS = 2.0
_GROWTH = 4
_LONGEST_SECONDS = 900.0
#: The same for a repeated refusal whose cause is unknown. It is longer than a drain waits for returned messages.
UNDECIDED_SECONDS = 60.0


def retry_seconds(receives: int) -> float:
    """Return how long a failed message stays invisible: 2, 8, 32, 128, 512, then 900 seconds, by its deliveries.

    So an outage of some minutes uses up few deliveries, and the first retries are within the run.
    """
    return float(min(SHORT_SECONDS * _GROWTH ** min(max(receives, 1) - 1, 10), _LONGEST_SECONDS))


#: While no labelled image exists as a comparison, an image may fail for `max_receives` times this many deliveries.
IN_DOUBT = 10


def labelled(keys: Keys, found: Detection) -> Result:
    """The image is labelled, and all files are written."""
    anomaly = found.anomaly.to_dict() if found.anomaly else None
    return Result(Outcome.LABELLED, keys.source, keys.labelled.image.key, found.labels, anomaly=anomaly)


def rejected(keys: Keys, error: Error, earlier: Detection | None) -> Result:
    """The model refuses the image permanently. `earlier`: labels from another delivery, which win."""
    if earlier:
        return labelled(keys, earlier)
    return Result(Outcome.REJECTED, keys.source, keys.rejected.image.key, error=error)


def ignored(image: ImageRef, why: Ignored) -> Result:
    """There is nothing to do for the image."""
    return Result(Outcome.IGNORED, image, reason=str(why), ignored=why)


def failed(
    image: ImageRef, error: Error, receives: int, *, soon: bool = False, is_own: bool = False, reason: str | None = None
) -> Result:
    """Return the message to the queue; with `soon` for a few seconds only, whatever its number of deliveries."""
    seconds = SHORT_SECONDS if soon else retry_seconds(receives)
    return Result(Outcome.FAILED, image, error=error, reason=reason, retry_seconds=seconds, is_own=is_own)


def undecided(image: ImageRef, error: Error, before: bool) -> Result:
    """Return the message to the queue: the cause is not known yet. `before`: this task has seen the refusal before."""
    seconds = UNDECIDED_SECONDS if before else SHORT_SECONDS
    return Result(Outcome.FAILED, image, error=error, retry_seconds=seconds, is_own=True)


def may_be_to_blame(receives: int, max_receives: int, *, throttled: bool) -> bool:
    """Whether a failure may be the image's fault. Then the model is tried with another image."""
    return not throttled and receives >= max_receives


def is_to_blame(receives: int, max_receives: int, *, labels_another: bool) -> bool:
    """Whether the image is to blame if the model fails at it once more."""
    return labels_another or receives >= max_receives * IN_DOUBT


def is_believed(receives: int, max_receives: int, *, was_taken: bool) -> bool:
    """Whether to believe a refusal. `was_taken`: the model has labelled this image before."""
    return not was_taken or receives >= max_receives * IN_DOUBT


def is_the_images(receives: int, max_receives: int, *, before: bool, many: bool) -> bool:
    """Whether the image is to blame for a refusal that may concern all requests, while no request has succeeded yet.

    :param before: this task has seen a refusal of the image before.
    :param many: too many other images were refused as well.
    """
    return before and receives >= max_receives and not many


def unreadable(
    image: ImageRef, error: Error, receives: int, max_receives: int, *, certain: bool, evidence: bool, before: bool
) -> Result:
    """Decide about an object that cannot be read: try again later, and finally leave it where it is.

    The caller must keep the message. While the cause is unknown, the next delivery comes soon: by then, another image
    may have been labelled.

    :param certain: the object is to blame.
    :param evidence: not certain, but something shows that permissions and settings are right; checked from
        `max_receives` on.
    :param before: this task has seen a refusal of the image before.
    """
    if receives >= max_receives and (certain or evidence):
        return Result(Outcome.UNREADABLE, image, error=error)
    return failed(image, error, receives, is_own=True) if certain else undecided(image, error, before)


class Begun(Enum):
    """The state of the copy in the final bucket of an image whose source object is gone."""

    NOTHING = auto()  # no copy
    CUT_OFF = auto()  # a copy without a document: a delivery was killed between the two
    OTHERS = auto()  # the copy may be of another version, which has its own event
    ENDED = auto()  # the document exists


def begun(image: ImageRef, etag: str | None, *, has_document: bool, is_copy_of_version: bool) -> Begun:
    """Return how far an earlier delivery came.

    :param etag: the eTag of the copy; None if there is no copy.
    :param is_copy_of_version: S3 supports conditional copies, so a copy is always of the requested version.
    """
    if not etag:
        return Begun.NOTHING
    if has_document:
        return Begun.ENDED
    return Begun.CUT_OFF if is_copy_of_version or etag == image.etag else Begun.OTHERS
