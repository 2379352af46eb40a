"""One image's way: detect, copy, document, delete. Every step can be repeated; the document is the commit mark.

Labelled wins over rejected: whoever writes either looks afterwards whether the other stands too, and takes the
rejection away. S3 is strongly consistent, so of two that write at once at least one sees the other. The labelled side
looks once the source is deleted: from then on no rejection can begin, since it begins with a copy. A delivery that
finds the source gone ends what one before it was killed at: a copy without document is labelled as it lies, and where
both outcomes stand the rejection goes.

How the model is asked is in `asking`, the S3 steps are in `image_objects`, and what a refusal
means before anything was labelled is in `doubts`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from label_detection_core import aws_errors
from label_detection_core.labelling import labels
from label_detection_core.labelling.asking import (
    IN_DOUBT,
    Asker,
    Detect,
    DetectError,
    ImageRefusedError,
    ImageUnreadableError,
    TryAgainError,
)
from label_detection_core.labelling.conditions import Conditions
from label_detection_core.labelling.doubts import ENOUGH, OF_IMAGES, Doubt, Doubts
from label_detection_core.labelling.image_objects import ImageObjects, NothingThereError, ObjectRefusedError, url
from label_detection_core.labelling.labels import REJECTED, Anomaly, Detection, Error, ModelInfo, RunInfo
from label_detection_core.queue.messages import Ignored, ImageRef, Message

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = [
    "Detect",
    "DetectError",
    "ImageRefusedError",
    "ImageUnreadableError",
    "Labeller",
    "Outcome",
    "Result",
    "TryAgainError",
    "retry_seconds",
]


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


@dataclass(frozen=True)
class Labeller:
    """Takes images from the source to the final bucket. Safe to call from several threads, and for one image twice.

    :param max_receives: the delivery from which on an image that the model fails at is rejected, if the model answers
        for one that it has labelled before; if that fails too, the model is in trouble, and no image is to blame. From
        the same delivery on an object that cannot be read is given up as unreadable.
    :param conditions: which conditional requests S3 obeys.
    :param storage_class: of the images' copies; None: each keeps its original's.
    """

    s3: S3Client
    detect: Detect
    source_bucket: str
    final_bucket: str
    model: ModelInfo
    max_receives: int
    run: RunInfo
    conditions: Conditions = field(default_factory=Conditions)
    storage_class: str | None = None
    doubts: Doubts = field(default_factory=Doubts)
    _objects: ImageObjects = field(init=False, repr=False)
    _asker: Asker = field(init=False, repr=False)

    def __post_init__(self) -> None:
        objects = ImageObjects(self.s3, self.source_bucket, self.final_bucket, self.conditions, self.storage_class)
        object.__setattr__(self, "_objects", objects)
        object.__setattr__(self, "_asker", Asker(self.detect, objects, self.model.min_confidence, self.max_receives))

    def label(self, image: ImageRef, receives: int, *, look_first: bool = False) -> Result:
        """Label one image of the source bucket. `receives` is how often its message was delivered, this time included.

        :param look_first: whether to look if the image is there before the model is asked.
        :raises botocore.exceptions.ClientError: what is not the image's fault, such as access denied.
        """
        try:
            if image.etag is None:
                image = replace(image, etag=self._objects.look(image)["ETag"].strip('"'))
            result = self._label_or_end(image, receives, look_first=look_first)
            if result.ignored is Ignored.GONE and (decoded := _decoded(image)):
                image = decoded
                found = self._label_or_end(image, receives, look_first=True)
                return result if found.outcome is Outcome.IGNORED else found
            return result
        except NothingThereError as nothing:
            return _ignored(image, nothing.why)
        except ObjectRefusedError as refusal:
            doubt = Doubt.DELETE if refusal.is_delete else Doubt.OBJECT
            return self._unreadable(doubt, image, refusal.error, receives, certain=refusal.to_all)
        except ImageUnreadableError as unreadable:
            return self._unreadable(Doubt.MODEL, image, unreadable.error, receives)
        except aws_errors.AWS_ERRORS as error:  # S3's; what the model says is seen to nearer by
            if not aws_errors.is_transient(error):
                raise
            return _failed(image, _said(error), receives, soon=aws_errors.is_throttle(error))

    def keep_message(self, message: Message, error: Error) -> None:
        """Write a message's document: its body as it came, and why it will not be delivered again."""
        document = labels.rejected_message(message, error, self.run)
        self._objects.put_json(labels.rejected_message_key(message.id), document)

    def has_evidence(self, doubt: Doubt, *, of_few: bool = False) -> bool:
        """Whether something shows that a refusal was the image's own trouble; then the doubt is settled.

        Another object that S3 lets us read does. `of_few`: all that waited was seen, and few of it were refused: then a
        key without an object does too.
        """
        if doubt is Doubt.OBJECT:
            seen = self.doubts.seen(doubt)
            few = of_few and len(seen) < ENOUGH
            if self._objects.can_read_another(but=seen) or (few and self._objects.may_read(seen)):
                self.doubts.settle(doubt)
        return self.doubts.is_settled(doubt)

    def _label_or_end(self, image: ImageRef, receives: int, *, look_first: bool) -> Result:
        try:
            if look_first:
                self._objects.look(image)
            return self._label(image, image, receives)
        except NothingThereError as nothing:
            return self._end_what_was_begun(image, receives, nothing.why)

    def _label(self, image: ImageRef, lying: ImageRef, receives: int) -> Result:
        """Label an image that lies in the source bucket, or as a copy in the final bucket."""
        final = ImageRef(self.final_bucket, labels.final_key(image))
        earlier = self._objects.document(final) if receives > 1 else None
        if earlier and earlier["model"] == asdict(self.model):  # by a delivery that ended before its last step
            found = _detection(earlier)
        else:
            try:
                found = self._asker.ask(lying, receives)
            except ImageRefusedError as refusal:
                return self._refused(image, lying, refusal, receives)
            except TryAgainError as again:
                return _failed(image, again.error, receives, soon=again.throttled)
            self._objects.copy(lying, final)
            document = labels.label_document(image, final, found, self.model, self.run)
            self._objects.put_json(labels.document_key(final.key), document)
        self._objects.delete_source(image)
        if self._objects.etag(self._rejected(image)):
            self._objects.remove_copy(self._rejected(image))
        self._asker.labelled(final)
        self.doubts.settle(*OF_IMAGES)
        return Result(Outcome.LABELLED, image, final.key, found.labels, anomaly=labels.anomaly_document(found))

    def _refused(self, image: ImageRef, lying: ImageRef, refusal: ImageRefusedError, receives: int) -> Result:
        """What becomes of an image that the model refuses."""
        final = ImageRef(self.final_bucket, labels.final_key(image))
        if image == lying and self._was_taken_before(final) and receives < self.max_receives * IN_DOUBT:
            return _failed(image, refusal.error, receives, reason="it was not refused before")
        if refusal.doubtful and not self.doubts.is_settled(Doubt.REQUEST):
            before = self.doubts.note(Doubt.REQUEST, url(image), refusal.error)
            if not before or receives < self.max_receives or Doubt.REQUEST in self.doubts.counted(ENOUGH):
                return _undecided(image, refusal.error, before)
        result = self._reject(image, lying, refusal.error)
        self.doubts.end(Doubt.REQUEST, url(image))
        self.doubts.settle(Doubt.OBJECT, Doubt.DELETE)
        if not refusal.doubtful:  # the service has read it
            self.doubts.settle(Doubt.MODEL)
        return result

    def _unreadable(
        self, doubt: Doubt, image: ImageRef, error: Error, receives: int, *, certain: bool = False
    ) -> Result:
        """What becomes of an object that cannot be read: again a while later; in the end it is left where it is.

        Its message is to be kept by the caller. While it is not known whether the object is to blame, its next delivery
        comes soon: another image may have been labelled by then.
        """
        given_up = Result(Outcome.UNREADABLE, image, error=error)
        if certain or self.doubts.is_settled(doubt):
            if receives >= self.max_receives:
                return given_up
            return _failed(image, error, receives, is_own=True)
        before = self.doubts.note(doubt, url(image), error)
        if receives >= self.max_receives and self.has_evidence(doubt, of_few=before):
            return given_up
        return _undecided(image, error, before)

    def _was_taken_before(self, final: ImageRef) -> bool:
        """Whether the model has labelled this very version, for a delivery that was killed before its document, or is
        still at work: a copy is made only then. Refused now, it is asked about again: rejected, the copy would stay.
        """
        document = replace(final, key=labels.document_key(final.key))
        return bool(self._objects.etag(final)) and not self._objects.etag(document)

    def _end_what_was_begun(self, image: ImageRef, receives: int, why: Ignored) -> Result:
        """End the way of an image whose source is gone, if a delivery before this one was killed on it."""
        for copy in (ImageRef(self.final_bucket, labels.final_key(image)), self._rejected(image)):
            etag = self._objects.etag(copy)
            if etag and not self._objects.etag(replace(copy, key=labels.document_key(copy.key))):
                if etag != image.etag and not self._objects.conditions.copies:
                    self._objects.remove_copy(copy)  # it may be another version's, which has its own event
                    continue
                return self._label(image, replace(copy, etag=etag), receives)
            if etag and copy.key == labels.final_key(image) and self._objects.etag(self._rejected(image)):
                self._objects.remove_copy(self._rejected(image))
        return _ignored(image, why)

    def _reject(self, image: ImageRef, lying: ImageRef, error: Error) -> Result:
        final = self._rejected(image)
        self._objects.copy(lying, final)
        document = labels.rejected_document(image, final, error, self.model, self.run)
        self._objects.put_json(labels.document_key(final.key), document)
        labelled = ImageRef(self.final_bucket, labels.final_key(image))
        if earlier := self._objects.document(labelled):
            self._objects.remove_copy(final)
            self._objects.delete_source(image)
            return Result(Outcome.LABELLED, image, labelled.key, earlier["labels"], anomaly=earlier.get("anomaly"))
        self._objects.delete_source(image)
        return Result(Outcome.REJECTED, image, final.key, error=error)

    def _rejected(self, image: ImageRef) -> ImageRef:
        return ImageRef(self.final_bucket, labels.final_key(image, REJECTED))


def _failed(
    image: ImageRef, error: Error, receives: int, *, soon: bool = False, is_own: bool = False, reason: str | None = None
) -> Result:
    """Back to the queue; `soon`: in seconds, however often it has come."""
    seconds = SHORT_SECONDS if soon else retry_seconds(receives)
    return Result(Outcome.FAILED, image, error=error, reason=reason, retry_seconds=seconds, is_own=is_own)


def _undecided(image: ImageRef, error: Error, before: bool) -> Result:
    """Back to the queue, while it is not known who is to blame; `before`: it has come to this task already."""
    seconds = UNDECIDED_SECONDS if before else SHORT_SECONDS
    return Result(Outcome.FAILED, image, error=error, retry_seconds=seconds, is_own=True)


def _ignored(image: ImageRef, why: Ignored) -> Result:
    return Result(Outcome.IGNORED, image, reason=str(why), ignored=why)


def _decoded(image: ImageRef) -> ImageRef | None:
    """The same version under the key decoded once more, None when that is no other key.

    LocalStack percent-encodes keys in EventBridge events, AWS does not; forwarders of events encode twice.
    """
    try:
        key = unquote_plus(image.key, errors="strict")
    except UnicodeDecodeError:
        return None
    return replace(image, key=key) if key != image.key else None


def _detection(document: dict[str, Any]) -> Detection:
    """What an earlier delivery has written into a label document."""
    match document.get("anomaly"):
        case {"IsAnomalous": bool(is_anomalous), "Confidence": float() | int() as confidence}:
            return Detection(document["labels"], Anomaly(is_anomalous, confidence))
    return Detection(document["labels"])


def _said(error: Exception) -> Error:
    return Error(aws_errors.code(error), aws_errors.message(error))
