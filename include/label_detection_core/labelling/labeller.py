"""Labels one image in four steps: detect, copy, write the document, delete the source.

Each step can be repeated. The document is the commit mark.

Labelled wins over rejected. A delivery that has written one outcome checks whether the other exists too, and removes
the rejection. S3 is strongly consistent, so of two concurrent deliveries at least one sees the other. The labelling
delivery checks after it has deleted the source. From then on no rejection can begin, since a rejection begins with a
copy.

A delivery that finds no source finishes the work of an earlier, killed delivery. It labels a copy that has no document,
and if both outcomes exist, it removes the rejection.

`decisions` chooses the outcome, `asking` asks the model, `s3_steps` calls S3, and `doubts` explains refusals before any
image was labelled.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from label_detection_core import aws_errors
from label_detection_core.labelling import decisions
from label_detection_core.labelling.asking import (
    Asker,
    Detect,
    DetectError,
    ImageRefusedError,
    ImageUnreadableError,
    TryAgainError,
)
from label_detection_core.labelling.conditions import Conditions
from label_detection_core.labelling.decisions import Begun, Outcome, Result, retry_seconds
from label_detection_core.labelling.documents import LabelDocument, RejectedImage, RejectedMessage
from label_detection_core.labelling.doubts import ENOUGH, Doubt, Doubts
from label_detection_core.labelling.keys import Copy, Keys, rejected_message_key
from label_detection_core.labelling.labels import Error, ModelInfo, RunInfo
from label_detection_core.labelling.object_access import NothingThereError, ObjectAccess, ObjectRefusedError
from label_detection_core.labelling.s3_steps import S3Steps
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


@dataclass(frozen=True)
class Labeller:
    """Labels images and moves them to the final bucket. Safe to call from several threads, and twice for one image.

    :param max_receives: from this delivery on, an image that the model fails at is rejected, if the model still answers
        for an image that it has labelled before. If it does not, the model is the cause, and no image is to blame. From
        this delivery on, an object that cannot be read also gets the outcome unreadable.
    :param conditions: the conditional requests that S3 supports.
    :param storage_class: the storage class of copies; None: each copy keeps the class of its original.
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
    _access: ObjectAccess = field(init=False, repr=False)
    _steps: S3Steps = field(init=False, repr=False)
    _asker: Asker = field(init=False, repr=False)

    def __post_init__(self) -> None:
        access = ObjectAccess(self.s3, self.source_bucket)
        steps = S3Steps(self.s3, access, self.final_bucket, self.conditions, self.storage_class)
        asker = Asker(self.detect, access, self.doubts, self.model.min_confidence, self.max_receives)
        for name, part in (("_access", access), ("_steps", steps), ("_asker", asker)):
            object.__setattr__(self, name, part)

    def label(self, image: ImageRef, receives: int, *, look_first: bool = False) -> Result:
        """Label one image of the source bucket.

        :param receives: the number of deliveries of its message, this one included.
        :param look_first: whether to check that the image exists before the model is asked.
        :raises botocore.exceptions.ClientError: when the image is not to blame, as for access denied.
        """
        try:
            if image.etag is None:
                image = replace(image, etag=self._steps.look(image)["ETag"].strip('"'))
            result = self._label_or_end(image, receives, look_first=look_first)
            if result.ignored is Ignored.GONE and (decoded := _decoded(image)):
                image = decoded
                found = self._label_or_end(image, receives, look_first=True)
                return result if found.outcome is Outcome.IGNORED else found
            return result
        except NothingThereError as nothing:
            return decisions.ignored(image, nothing.why)
        except ObjectRefusedError as refusal:
            doubt = Doubt.DELETE if refusal.is_delete else Doubt.OBJECT
            return self._unreadable(doubt, image, refusal.error, receives, to_all=refusal.to_all)
        except ImageUnreadableError as unreadable:
            return self._unreadable(Doubt.MODEL, image, unreadable.error, receives)
        except aws_errors.AWS_ERRORS as error:  # from S3; errors of the model are handled in `_label`
            if not aws_errors.is_transient(error):
                raise
            return decisions.failed(image, _said(error), receives, soon=aws_errors.is_throttle(error))

    def keep_message(self, message: Message, error: Error) -> None:
        """Write the document of a message: its unchanged body, and why the message is deleted from the queue."""
        self._steps.write(rejected_message_key(message.id), RejectedMessage.of(message, error, self.run))

    def has_evidence(self, doubt: Doubt, *, of_few: bool = False) -> bool:
        """Whether there is evidence that refusals are the fault of the images. If so, the doubt is settled.

        Evidence is another object that S3 lets this task read. With `of_few` (the queue is empty, and few images were
        refused), a 404 for a key without an object is evidence too.
        """
        if doubt is Doubt.OBJECT:
            seen = self.doubts.seen(doubt)
            few = of_few and len(seen) < ENOUGH
            if self._access.can_read_another(but=seen) or (few and self._access.may_read(seen)):
                self.doubts.settle(doubt)
        return self.doubts.is_settled(doubt)

    def _label_or_end(self, image: ImageRef, receives: int, *, look_first: bool) -> Result:
        keys = Keys.of(image, self.final_bucket)
        try:
            if look_first:
                self._steps.look(image)
            return self._label(keys, image, receives)
        except NothingThereError as nothing:
            return self._end_what_was_begun(keys, receives, nothing.why)

    def _label(self, keys: Keys, lying: ImageRef, receives: int) -> Result:
        """Label an image. `lying`: where it is, in the source bucket or as a copy in the final bucket."""
        earlier = self._steps.read(keys.labelled) if receives > 1 else None
        if earlier and earlier.is_of(self.model):  # from a delivery that ended before its last step
            found = earlier.detection
        else:
            try:
                found = self._asker.ask(lying, receives)
            except ImageRefusedError as refusal:
                return self._refused(keys, lying, refusal, receives)
            except TryAgainError as again:
                return decisions.failed(keys.source, again.error, receives, soon=again.throttled)
            document = LabelDocument.of(keys.source, keys.labelled.image, found, self.model, self.run)
            self._steps.copy(lying, keys.labelled)
            self._steps.write(keys.labelled.document_key, document)
        self._steps.delete_source(keys.source)
        self._steps.remove_if_there(keys.rejected)
        self.doubts.labelled(keys.labelled.image)
        return decisions.labelled(keys, found)

    def _refused(self, keys: Keys, lying: ImageRef, refusal: ImageRefusedError, receives: int) -> Result:
        """Handle an image that the model refuses."""
        was_taken = lying == keys.source and self._was_taken_before(keys.labelled)
        if not decisions.is_believed(receives, self.max_receives, was_taken=was_taken):
            return decisions.failed(keys.source, refusal.error, receives, reason="it was not refused before")
        if refusal.doubtful and not self.doubts.is_settled(Doubt.REQUEST):
            before = self.doubts.note(Doubt.REQUEST, keys.source.url, refusal.error)
            many = Doubt.REQUEST in self.doubts.counted(ENOUGH)
            if not decisions.is_the_images(receives, self.max_receives, before=before, many=many):
                return decisions.undecided(keys.source, refusal.error, before)
        result = self._reject(keys, lying, refusal.error)
        self.doubts.end(Doubt.REQUEST, keys.source.url)
        self.doubts.settle(Doubt.OBJECT, Doubt.DELETE)
        if not refusal.doubtful:  # the service has read the image
            self.doubts.settle(Doubt.MODEL)
        return result

    def _reject(self, keys: Keys, lying: ImageRef, error: Error) -> Result:
        document = RejectedImage.of(keys.source, keys.rejected.image, error, self.model, self.run)
        self._steps.copy(lying, keys.rejected)
        self._steps.write(keys.rejected.document_key, document)
        earlier = self._steps.read(keys.labelled)
        if earlier:
            self._steps.remove(keys.rejected)
        self._steps.delete_source(keys.source)
        return decisions.rejected(keys, error, earlier.detection if earlier else None)

    def _unreadable(
        self, doubt: Doubt, image: ImageRef, error: Error, receives: int, *, to_all: bool = False
    ) -> Result:
        """Handle an object that cannot be read. `to_all`: S3 refuses every caller."""
        certain = to_all or self.doubts.is_settled(doubt)
        before = not certain and self.doubts.note(doubt, image.url, error)
        evidence = not certain and receives >= self.max_receives and self.has_evidence(doubt, of_few=before)
        return decisions.unreadable(
            image, error, receives, self.max_receives, certain=certain, evidence=evidence, before=before
        )

    def _was_taken_before(self, copy: Copy) -> bool:
        """Whether the model has labelled this version before, in a delivery that was killed or is still running.

        A copy without a document shows this. If the model refuses the image now, it is asked again later: with a
        rejection, the copy would stay.
        """
        return bool(self._steps.etag(copy.image)) and not self._steps.has_document(copy)

    def _end_what_was_begun(self, keys: Keys, receives: int, why: Ignored) -> Result:
        """Finish an image whose source is gone, if an earlier delivery was killed while working on it."""
        for copy in (keys.labelled, keys.rejected):
            match self._begun(keys, copy, etag := self._steps.etag(copy.image)):
                case Begun.CUT_OFF:
                    return self._label(keys, replace(copy.image, etag=etag), receives)
                case Begun.OTHERS:
                    self._steps.remove(copy)
                case Begun.ENDED if copy is keys.labelled:
                    self._steps.remove_if_there(keys.rejected)
        return decisions.ignored(keys.source, why)

    def _begun(self, keys: Keys, copy: Copy, etag: str | None) -> Begun:
        has_document = bool(etag) and self._steps.has_document(copy)
        is_copy_of_version = self._steps.conditions.copies
        return decisions.begun(keys.source, etag, has_document=has_document, is_copy_of_version=is_copy_of_version)


def _decoded(image: ImageRef) -> ImageRef | None:
    """Return the image with its key decoded once more; None if that does not change the key.

    LocalStack percent-encodes keys in EventBridge events (AWS does not), and some forwarders of events encode twice.
    """
    try:
        key = unquote_plus(image.key, errors="strict")
    except UnicodeDecodeError:
        return None
    return replace(image, key=key) if key != image.key else None


def _said(error: Exception) -> Error:
    return Error(aws_errors.code(error), aws_errors.message(error))
