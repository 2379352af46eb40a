"""The S3 calls for one image: HEAD, copy, write the document, delete. Each can be repeated.

`labeller` chooses the next step, and `decisions` the outcome.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

from botocore.exceptions import ClientError

from label_detection_core import aws_errors
from label_detection_core.labelling.conditions import Conditions
from label_detection_core.labelling.documents import LabelDocument
from label_detection_core.labelling.keys import Copy
from label_detection_core.labelling.object_access import NothingThereError, ObjectAccess, raise_if_not_there
from label_detection_core.queue.messages import Ignored, ImageRef
from label_detection_core.stored import Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

log = logging.getLogger(__name__)

#: Storage classes that a copy keeps from its original: those that S3 reads without a restore. The copy of a restored
#: archived object is in STANDARD, so that people can look at it.
_KEPT_CLASSES = {"REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}


class S3Steps:
    """Calls for objects of the source and the final bucket. Safe to use from several threads.

    `storage_class`: the storage class of copies; None: each copy keeps the class of its original.
    """

    def __init__(
        self, s3: S3Client, access: ObjectAccess, final_bucket: str, conditions: Conditions, storage_class: str | None
    ) -> None:
        self._s3 = s3
        self._access = access
        self._final_bucket = final_bucket
        self._storage_class = storage_class
        self.conditions = conditions

    def etag(self, image: ImageRef) -> str | None:
        """Return an object's eTag without quotes; None if the object does not exist."""
        head = self._head(image)
        return head["ETag"].strip('"') if head else None

    def look(self, image: ImageRef) -> HeadObjectOutputTypeDef:
        """Return the HEAD of this version. :raises NothingThereError: when it does not exist."""
        head = self._head(image)
        if not head:
            raise NothingThereError(Ignored.GONE)
        if image.etag and head["ETag"].strip('"') != image.etag:
            raise NothingThereError(Ignored.OVERWRITTEN)
        return head

    def copy(self, image: ImageRef, final: Copy) -> None:
        """Copy this version, with content type, metadata and tags (S3's defaults).

        On an S3 server without conditional copies, NothingThereError may be raised after another version was copied.

        :raises NothingThereError: when the version does not exist; ObjectRefusedError: when S3 refuses it.
        """
        if (image.bucket, image.key) == (final.image.bucket, final.image.key):
            return
        more = self._storage(image)
        if self.conditions.copies:
            try:
                self._copy(image, final.image, CopySourceIfMatch=image.etag or "", **more)
            except ClientError as error:
                if not aws_errors.is_not_implemented(error):
                    raise
                self._weaken(copies=False)
            else:
                return
        self.look(image)
        self._copy(image, final.image, **more)
        self.look(image)

    def write(self, key: str, document: Stored) -> None:
        """Write a document to the final bucket."""
        self._s3.put_object(Bucket=self._final_bucket, Key=key, Body=document.to_json(), ContentType="application/json")

    def read(self, copy: Copy) -> LabelDocument | None:
        """Return the label document of an earlier delivery; None if there is none."""
        try:
            answer = self._s3.get_object(Bucket=self._final_bucket, Key=copy.document_key)
        except ClientError as error:  # by status: botocore cannot parse S3's XML about a key with control characters
            if aws_errors.status(error) == 404 and aws_errors.code(error) != "NoSuchBucket":
                return None
            raise
        return LabelDocument.parse(answer["Body"].read())

    def has_document(self, copy: Copy) -> bool:
        """Whether the document of a copy exists."""
        return bool(self.etag(ImageRef(self._final_bucket, copy.document_key)))

    def remove(self, copy: Copy) -> None:
        """Delete an image and its document from the final bucket."""
        for key in (copy.document_key, copy.image.key):  # the image last: while it exists, the delete is repeated
            self._s3.delete_object(Bucket=self._final_bucket, Key=key)

    def remove_if_there(self, copy: Copy) -> None:
        """Delete an image and its document from the final bucket, if the image exists."""
        if self.etag(copy.image):
            self.remove(copy)

    def delete_source(self, image: ImageRef) -> None:
        """Delete this version. If it was overwritten meanwhile, the new version stays and has its own event.

        :raises ObjectRefusedError: when S3 refuses the delete.
        """
        try:
            if self.conditions.deletes:
                try:
                    self._s3.delete_object(Bucket=image.bucket, Key=image.key, IfMatch=f'"{image.etag}"')
                    return
                except ClientError as error:
                    if not aws_errors.is_not_implemented(error):
                        raise
                    self._weaken(deletes=False)
            if self.etag(image) == image.etag:
                self._s3.delete_object(Bucket=image.bucket, Key=image.key)
        except ClientError as error:
            if aws_errors.status(error) not in {404, 412}:
                self._raise(image, error)

    def _head(self, image: ImageRef) -> HeadObjectOutputTypeDef | None:
        try:
            return self._s3.head_object(Bucket=image.bucket, Key=image.key)
        except ClientError as error:
            if aws_errors.status(error) == 404:
                return None
            self._raise(image, error)

    def _storage(self, image: ImageRef) -> dict[str, Any]:
        found = self._storage_class or self.look(image).get("StorageClass", "")
        return {"StorageClass": found} if self._storage_class or found in _KEPT_CLASSES else {}

    def _copy(self, image: ImageRef, final: ImageRef, **more: Any) -> None:
        source: Any = {"Bucket": image.bucket, "Key": image.key}
        try:
            self._s3.copy_object(Bucket=final.bucket, Key=final.key, CopySource=source, **more)
        except ClientError as error:
            raise_if_not_there(error)
            self._raise(image, error)

    def _raise(self, image: ImageRef, error: ClientError) -> NoReturn:
        if refusal := self._access.refusal(image, error):
            raise refusal from error
        raise error

    def _weaken(self, **obeyed: bool) -> None:
        """Stop sending a condition that S3 answered with 501, although the probe found it supported. Log a warning."""
        self.conditions = self.conditions.model_copy(update=obeyed)
        log.warning("; ".join(Conditions(**obeyed).warnings()))
