"""One image's way: detect, copy, document, delete. Every step can be repeated; the document is the commit mark.

Labelled wins over rejected: whoever writes either looks afterwards whether the other stands too, and takes the
rejection away. S3 is strongly consistent, so of two that write at once at least one sees the other. The labelled side
looks once the source is deleted: from then on no rejection can begin, since it begins with a copy. A delivery that
finds the source gone ends what one before it was killed at: a copy without document is labelled as it lies, and where
both outcomes stand the rejection goes.

What becomes of an image is decided in `decisions`, how the model is asked is in `asking`, the steps are in `s3_steps`,
and what a refusal means before anything was labelled is in `doubts`.
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
        """Label one image of the source bucket. `receives` is how often its message was delivered, this time included.

        :param look_first: whether to look if the image is there before the model is asked.
        :raises botocore.exceptions.ClientError: what is not the image's fault, such as access denied.
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
        except aws_errors.AWS_ERRORS as error:  # S3's; what the model says is seen to nearer by
            if not aws_errors.is_transient(error):
                raise
            return decisions.failed(image, _said(error), receives, soon=aws_errors.is_throttle(error))

    def keep_message(self, message: Message, error: Error) -> None:
        """Write a message's document: its body as it came, and why it will not be delivered again."""
        self._steps.write(rejected_message_key(message.id), RejectedMessage.of(message, error, self.run))

    def has_evidence(self, doubt: Doubt, *, of_few: bool = False) -> bool:
        """Whether something shows that a refusal was the image's own trouble; then the doubt is settled.

        Another object that S3 lets us read does. `of_few`: all that waited was seen, and few of it were refused: then a
        key without an object does too.
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
        """Label an image that lies (`lying`) in the source bucket, or as a copy in the final bucket."""
        earlier = self._steps.read(keys.labelled) if receives > 1 else None
        if earlier and earlier.is_of(self.model):  # by a delivery that ended before its last step
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
        """What becomes of an image that the model refuses."""
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
        if not refusal.doubtful:  # the service has read it
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
        """What becomes of an object that cannot be read. `to_all`: S3 refuses it whoever asks."""
        certain = to_all or self.doubts.is_settled(doubt)
        before = not certain and self.doubts.note(doubt, image.url, error)
        evidence = not certain and receives >= self.max_receives and self.has_evidence(doubt, of_few=before)
        return decisions.unreadable(
            image, error, receives, self.max_receives, certain=certain, evidence=evidence, before=before
        )

    def _was_taken_before(self, copy: Copy) -> bool:
        """Whether the model has labelled this very version, for a delivery that was killed before its document, or is
        still at work: a copy is made only then. Refused now, it is asked about again: rejected, the copy would stay.
        """
        return bool(self._steps.etag(copy.image)) and not self._steps.has_document(copy)

    def _end_what_was_begun(self, keys: Keys, receives: int, why: Ignored) -> Result:
        """End the way of an image whose source is gone, if a delivery before this one was killed on it."""
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
    """The same version under the key decoded once more, None when that is no other key.

    LocalStack percent-encodes keys in EventBridge events, AWS does not; forwarders of events encode twice.
    """
    try:
        key = unquote_plus(image.key, errors="strict")
    except UnicodeDecodeError:
        return None
    return replace(image, key=key) if key != image.key else None


def _said(error: Exception) -> Error:
    return Error(aws_errors.code(error), aws_errors.message(error))
