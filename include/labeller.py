"""One image's way: detect, copy, document, delete. Every step can be repeated; the document is the commit mark.

Labelled wins over rejected: whoever writes either looks afterwards whether the other stands too, and takes the
rejection away. S3 is strongly consistent, so of two that write at once at least one sees the other. The labelled side
looks once the source is deleted: from then on no rejection can begin, since it begins with a copy. A delivery that
finds the source gone ends what one before it was killed at: a copy without document is labelled as it lies, and where
both outcomes stand the rejection goes.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from include import aws_errors, labels
from include.labels import REJECTED, Anomaly, Detection, Error, ModelInfo, RunInfo
from include.messages import Ignored, ImageRef, Message

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Detects labels: `(image, min_confidence 0-100)`. Raises the three errors below, or lets an error through that is not
#: the image's fault (access denied, the model is not running).
Detect = Callable[[ImageRef, float], Detection]


class Outcome(StrEnum):
    """What became of an image in this delivery."""

    LABELLED = "labelled"
    REJECTED = "rejected"
    UNREADABLE = "unreadable"  # S3 refuses the object to us; it stays where it is
    IGNORED = "ignored"  # nothing to do: gone, or overwritten and left for its own event
    FAILED = "failed"  # back to the queue; another delivery will try again


@dataclass(frozen=True)
class Result:
    """An image's outcome, and what there is to say of it. `image_key` is its key in the final bucket.

    `source` is None for a message that announced no image of ours.
    """

    outcome: Outcome
    source: ImageRef | None
    image_key: str | None = None
    labels: list[dict[str, Any]] = field(default_factory=list)
    error: Error | None = None
    reason: str | None = None
    anomaly: dict[str, Any] | None = None  # as its document has it
    ignored: Ignored | None = None


class DetectError(Exception):
    """The model has not answered with labels."""

    def __init__(self, error: Error) -> None:
        super().__init__(str(error))
        self.error = error


class ImageRefusedError(DetectError):
    """The model will never take this image: format, size, content."""


class ImageUnreadableError(DetectError):
    """The service could not read the object: gone by now, or something is wrong between the service and the bucket."""


class TryAgainError(DetectError):
    """The call may work later. `throttled`: the service was only asked too often, the image is not to blame."""

    def __init__(self, error: Error, *, throttled: bool) -> None:
        super().__init__(error)
        self.throttled = throttled


class UncopyableError(Exception):
    """S3 will never copy this object in one piece, whoever asks; it stays where it is."""


class _NothingThereError(Exception):
    """The version that the event named is not there any more; the argument says why."""


#: AWS: over CopyObject's 5 GB, or archived.
_NEVER_COPIED = {"InvalidRequest", "InvalidObjectState"}
#: While there is no image that the model has labelled, to try it with, others may fail so many times as often.
_IN_DOUBT = 10


@dataclass(frozen=True)
class Labeller:
    """Takes images from the source to the final bucket. Safe to call from several threads, and for one image twice.

    `max_receives`: the delivery from which on an image that the model fails at is rejected, if the model answers for
    one that it has labelled before. If that fails too, the model is in trouble, and no image is to blame.
    """

    s3: S3Client
    detect: Detect
    source_bucket: str
    final_bucket: str
    model: ModelInfo
    max_receives: int
    run: RunInfo
    _labelled: deque[ImageRef] = field(default_factory=lambda: deque(maxlen=1))

    def label(self, image: ImageRef, receives: int) -> Result:
        """Label one image of the source bucket. `receives` is how often its message was delivered, this time included.

        :raises botocore.exceptions.ClientError: what is not the image's fault, such as access denied.
        """
        try:
            if image.etag is None:
                image = replace(image, etag=self._current_etag(image))
            try:
                return self._label(image, image, receives)
            except _NothingThereError as gone:
                return self._end_what_was_begun(image, receives, str(gone))
        except _NothingThereError as gone:
            return Result(Outcome.IGNORED, image, reason=str(gone))
        except aws_errors.AWS_ERRORS as error:  # S3's; what the model says is seen to nearer by
            if not aws_errors.is_transient(error):
                raise
            return Result(Outcome.FAILED, image, error=_said(error))

    def reject_message(self, message: Message, error: Error) -> Result:
        """Keep a message that announces no image of ours; the body as it came."""
        document = labels.rejected_message(message, error, self.run)
        self._put(labels.rejected_message_key(message.id), document)
        return Result(Outcome.REJECTED, None, error=error, reason=f"message {message.id}")

    def _label(self, image: ImageRef, lying: ImageRef, receives: int) -> Result:
        """Label an image that lies in the source bucket, or as a copy in the final bucket."""
        final = ImageRef(self.final_bucket, labels.final_key(image))
        earlier = self._document(final) if receives > 1 else None
        if earlier and earlier["model"] == asdict(self.model):  # by a delivery that ended before its last step
            found = _detection(earlier)
        else:
            try:
                found = self._labels_of(lying, receives)
            except ImageRefusedError as refusal:
                if image == lying and self._was_taken_before(final) and receives < self.max_receives * _IN_DOUBT:
                    return Result(Outcome.FAILED, image, error=refusal.error, reason="it was not refused before")
                return self._reject(image, lying, refusal.error)
            except TryAgainError as again:
                return Result(Outcome.FAILED, image, error=again.error)
            self._copy(lying, final)
            self._put(labels.document_key(final.key), labels.label_document(image, final, found, self.model, self.run))
        self._delete_source(image)
        if self._etag(self._rejected(image)):
            self._withdraw_rejection(image)
        self._labelled.append(final)
        return Result(Outcome.LABELLED, image, final.key, found.labels, anomaly=labels.anomaly_document(found))

    def _was_taken_before(self, final: ImageRef) -> bool:
        """Whether the model has labelled this very version, for a delivery that was killed before its document, or is
        still at work: a copy is made only then. Refused now, it is asked about again: rejected, the copy would stay.
        """
        return bool(self._etag(final)) and not self._etag(replace(final, key=labels.document_key(final.key)))

    def _end_what_was_begun(self, image: ImageRef, receives: int, reason: str) -> Result:
        """End the way of an image whose source is gone, if a delivery before this one was killed on it."""
        for copy in (ImageRef(self.final_bucket, labels.final_key(image)), self._rejected(image)):
            etag = self._etag(copy)
            if etag and not self._etag(replace(copy, key=labels.document_key(copy.key))):
                return self._label(image, replace(copy, etag=etag), receives)
            if etag and copy.key == labels.final_key(image) and self._etag(self._rejected(image)):
                self._withdraw_rejection(image)
        return Result(Outcome.IGNORED, image, reason=reason)

    def _labels_of(self, image: ImageRef, receives: int) -> Detection:
        """Ask the model, until it is clear that the image is to blame: then ImageRefusedError."""
        try:
            return self._ask_model(image)
        except TryAgainError as again:
            if again.throttled or receives < self.max_receives:
                raise
            if not self._labels_another() and receives < self.max_receives * _IN_DOUBT:
                raise
        try:
            return self._ask_model(image)  # the trouble may just have ended
        except TryAgainError as again:
            if again.throttled:
                raise
            raise ImageRefusedError(again.error) from again

    def _labels_another(self) -> bool:
        """Whether the model answers for the image labelled last. :raises TryAgainError: when it fails there too."""
        for known in list(self._labelled):
            with contextlib.suppress(ImageRefusedError, _NothingThereError):  # somebody has changed or taken it
                self._ask_model(known)
                return True
        return False

    def _ask_model(self, image: ImageRef) -> Detection:
        try:
            return self.detect(image, self.model.min_confidence)
        except ImageUnreadableError as unreadable:
            if self._current_etag(image) != image.etag:
                raise _NothingThereError("overwritten") from unreadable
            raise TryAgainError(unreadable.error, throttled=False) from unreadable
        except aws_errors.AWS_ERRORS as error:
            if not aws_errors.is_transient(error):
                raise
            raise TryAgainError(_said(error), throttled=aws_errors.is_throttle(error)) from error

    def _reject(self, image: ImageRef, lying: ImageRef, error: Error) -> Result:
        final = self._rejected(image)
        self._copy(lying, final)
        document = labels.rejected_document(image, final, error, self.model, self.run)
        self._put(labels.document_key(final.key), document)
        labelled = ImageRef(self.final_bucket, labels.final_key(image))
        if earlier := self._document(labelled):
            self._withdraw_rejection(image)
            self._delete_source(image)
            return Result(Outcome.LABELLED, image, labelled.key, earlier["labels"], anomaly=earlier.get("anomaly"))
        self._delete_source(image)
        return Result(Outcome.REJECTED, image, final.key, error=error)

    def _rejected(self, image: ImageRef) -> ImageRef:
        return ImageRef(self.final_bucket, labels.final_key(image, REJECTED))

    def _current_etag(self, image: ImageRef) -> str:
        etag = self._etag(image)
        if not etag:
            raise _NothingThereError("gone")
        return etag

    def _etag(self, image: ImageRef) -> str | None:
        """An object's eTag without quotes; None when there is none."""
        try:
            return self.s3.head_object(Bucket=image.bucket, Key=image.key)["ETag"].strip('"')
        except ClientError as error:
            if aws_errors.status(error) == 404:
                return None
            raise

    def _copy(self, image: ImageRef, final: ImageRef) -> None:
        """Copy this very version: content type, metadata and tags go along (S3's defaults)."""
        if (image.bucket, image.key) == (final.bucket, final.key):
            return
        try:
            self.s3.copy_object(
                Bucket=final.bucket,
                Key=final.key,
                CopySource={"Bucket": image.bucket, "Key": image.key},
                CopySourceIfMatch=image.etag or "",
            )
        except ClientError as error:
            if aws_errors.status(error) == 404 and aws_errors.code(error) != "NoSuchBucket":
                raise _NothingThereError("gone") from error
            if aws_errors.status(error) == 412:
                raise _NothingThereError("overwritten") from error
            if aws_errors.code(error) in _NEVER_COPIED:
                raise UncopyableError(str(error)) from error
            raise

    def _put(self, key: str, document: dict[str, Any]) -> None:
        self.s3.put_object(
            Bucket=self.final_bucket, Key=key, Body=labels.to_json(document), ContentType="application/json"
        )

    def _document(self, final: ImageRef) -> dict[str, Any] | None:
        """The label document that an earlier delivery has written, if any."""
        try:
            answer = self.s3.get_object(Bucket=final.bucket, Key=labels.document_key(final.key))
        except ClientError as error:  # by status: S3's XML about a key with control characters cannot be parsed
            if aws_errors.status(error) == 404 and aws_errors.code(error) != "NoSuchBucket":
                return None
            raise
        try:
            document: dict[str, Any] = json.loads(answer["Body"].read())
        except ValueError:
            return None
        ours = isinstance(document, dict) and document.get("schema") == labels.SCHEMA and "labels" in document
        return document if ours else None

    def _withdraw_rejection(self, image: ImageRef) -> None:
        key = labels.final_key(image, REJECTED)
        for name in (labels.document_key(key), key):  # the image last: while it stands, this is done again
            self.s3.delete_object(Bucket=self.final_bucket, Key=name)

    def _delete_source(self, image: ImageRef) -> None:
        """Delete the version that was looked at. One that was overwritten meanwhile is left for its own event."""
        try:
            self.s3.delete_object(Bucket=image.bucket, Key=image.key, IfMatch=f'"{image.etag}"')
        except ClientError as error:
            if aws_errors.status(error) not in {404, 412}:
                raise


def _detection(document: dict[str, Any]) -> Detection:
    """What an earlier delivery has written into a label document."""
    match document.get("anomaly"):
        case {"IsAnomalous": bool(is_anomalous), "Confidence": float() | int() as confidence}:
            return Detection(document["labels"], Anomaly(is_anomalous, confidence))
    return Detection(document["labels"])


def _said(error: Exception) -> Error:
    return Error(aws_errors.code(error), aws_errors.message(error))
