"""What becomes of an image, given what S3 and the model answered. Nothing here calls them: `labeller` does.

Labelled wins over rejected. A refusal, or a failure, is the image's own trouble only when it is known that our side is
well (see `doubts`), or after many deliveries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Any

from label_detection_core.labelling.keys import Keys
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.queue.messages import Ignored, ImageRef


class Outcome(StrEnum):
    """What became of an image in this delivery."""

    LABELLED = "labelled"
    REJECTED = "rejected"
    UNREADABLE = "unreadable"  # S3 refuses the object to us; it stays where it is, its message is kept
    IGNORED = "ignored"  # nothing to do: gone, or overwritten and left for its own event
    FAILED = "failed"  # back to the queue; another delivery will try again


@dataclass(frozen=True)
class Result:
    """An image's outcome, and its details. `image_key` is its key in the final bucket.

    `source` is None for a message that announced no image of ours. For a failed one, `retry_seconds` is how long its
    message is hidden; with `is_own` the failure does not count against the services: the image may be to blame.
    """

    outcome: Outcome
    source: ImageRef | None
    image_key: str | None = None
    labels: list[dict[str, Any]] = field(default_factory=list)
    error: Error | None = None
    reason: str | None = None
    anomaly: dict[str, Any] | None = None  # as its document has it
    ignored: Ignored | None = None
    retry_seconds: float = 0.0
    is_own: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the image has its outcome, so that its message need not come again for it."""
        return self.outcome in {Outcome.LABELLED, Outcome.REJECTED, Outcome.IGNORED}


#: How long a message is hidden after its first delivery, in seconds; then four times as long each time, at most 900.
SHORT_SECONDS = 2.0
_GROWTH = 4
_LONGEST_SECONDS = 900.0
#: How long it is hidden when it is refused again and the cause is not known: longer than a drain keeps the model on.
UNDECIDED_SECONDS = 60.0


def retry_seconds(receives: int) -> float:
    """How long a message that failed is hidden, by its deliveries: 2, 8, 32, 128, 512, 900 seconds.

    An outage of minutes uses up few of its deliveries, and the first ones come within the same run.
    """
    return float(min(SHORT_SECONDS * _GROWTH ** min(max(receives, 1) - 1, 10), _LONGEST_SECONDS))


#: While the model has labelled no image to try again, another may fail for `max_receives` times this many deliveries.
IN_DOUBT = 10


def labelled(keys: Keys, found: Detection) -> Result:
    """The model has answered, and all is written."""
    anomaly = found.anomaly.to_dict() if found.anomaly else None
    return Result(Outcome.LABELLED, keys.source, keys.labelled.image.key, found.labels, anomaly=anomaly)


def rejected(keys: Keys, error: Error, earlier: Detection | None) -> Result:
    """The model refuses it for good. `earlier`: what it answered in another delivery: labelled wins."""
    if earlier:
        return labelled(keys, earlier)
    return Result(Outcome.REJECTED, keys.source, keys.rejected.image.key, error=error)


def ignored(image: ImageRef, why: Ignored) -> Result:
    """There is nothing to do."""
    return Result(Outcome.IGNORED, image, reason=str(why), ignored=why)


def failed(
    image: ImageRef, error: Error, receives: int, *, soon: bool = False, is_own: bool = False, reason: str | None = None
) -> Result:
    """Back to the queue; `soon`: in seconds, however often it has come."""
    seconds = SHORT_SECONDS if soon else retry_seconds(receives)
    return Result(Outcome.FAILED, image, error=error, reason=reason, retry_seconds=seconds, is_own=is_own)


def undecided(image: ImageRef, error: Error, before: bool) -> Result:
    """Back to the queue, while it is not known who is to blame; `before`: it has come to this task already."""
    seconds = UNDECIDED_SECONDS if before else SHORT_SECONDS
    return Result(Outcome.FAILED, image, error=error, retry_seconds=seconds, is_own=True)


def may_be_to_blame(receives: int, max_receives: int, *, throttled: bool) -> bool:
    """Whether an image that the model fails at may be the cause: then the model is tried with another one."""
    return not throttled and receives >= max_receives


def is_to_blame(receives: int, max_receives: int, *, labels_another: bool) -> bool:
    """Whether it is, if it fails once more."""
    return labels_another or receives >= max_receives * IN_DOUBT


def is_believed(receives: int, max_receives: int, *, was_taken: bool) -> bool:
    """Whether a refusal is believed of an image that the model has labelled before (`was_taken`)."""
    return not was_taken or receives >= max_receives * IN_DOUBT


def is_the_images(receives: int, max_receives: int, *, before: bool, many: bool) -> bool:
    """Whether a refusal that may be about every request is this image's trouble, while no request went well.

    :param before: the image was refused in this task before.
    :param many: so were too many others.
    """
    return before and receives >= max_receives and not many


def unreadable(
    image: ImageRef, error: Error, receives: int, max_receives: int, *, certain: bool, evidence: bool, before: bool
) -> Result:
    """An object that cannot be read: again a while later; in the end it is left where it is.

    Its message must be kept by the caller. While it is not known whether the object is to blame, its next delivery
    comes soon: another image may have been labelled by then.

    :param certain: the object is to blame.
    :param evidence: it is not certain, but something shows that our side is well; looked for from `max_receives` on.
    :param before: the image was refused in this task before.
    """
    if receives >= max_receives and (certain or evidence):
        return Result(Outcome.UNREADABLE, image, error=error)
    return failed(image, error, receives, is_own=True) if certain else undecided(image, error, before)


class Begun(Enum):
    """What a copy in the final bucket shows of an image whose source is gone."""

    NOTHING = auto()  # there is none
    CUT_OFF = auto()  # a delivery was killed before it wrote the document
    OTHERS = auto()  # it may be another version's, which has an event of its own
    ENDED = auto()  # its document stands


def begun(image: ImageRef, etag: str | None, *, has_document: bool, is_copy_of_version: bool) -> Begun:
    """What an earlier delivery has begun.

    :param etag: the copy's, None: there is none.
    :param is_copy_of_version: S3 copies the very version that it is asked for, or nothing.
    """
    if not etag:
        return Begun.NOTHING
    if has_document:
        return Begun.ENDED
    return Begun.CUT_OFF if is_copy_of_version or etag == image.etag else Begun.OTHERS
