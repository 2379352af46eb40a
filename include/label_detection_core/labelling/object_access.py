"""Finds out whether S3 lets this task read an object, and what a refusal means.

If S3 refuses a call for the source bucket, this is an `ObjectRefusedError`: either the object is the cause, or a
permission is missing for all objects. If S3 refuses a call for the final bucket, no image is to blame, and the error is
raised unchanged. A copy concerns both buckets, so one byte of the source is read to find out which one refused.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from label_detection_core import aws_errors
from label_detection_core.labelling.labels import Error
from label_detection_core.queue.messages import Ignored, ImageRef

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

#: AWS: the largest object that CopyObject copies, in bytes.
_MOST_COPIED = 5 * 1024**3
#: AWS: error codes with which S3 refuses every caller: the object is archived, or only the uploader has the key
#: (SSE-C).
_REFUSED_TO_ALL = {"InvalidObjectState", "ObjectNotInActiveTierError", "InvalidRequest"}
#: An answer to HEAD has no body. Then botocore uses the HTTP status as the error code.
_REFUSED = {*_REFUSED_TO_ALL, "AccessDenied", "AllAccessDisabled", "EntityTooLarge", "403", "400"}
#: S3: the prefix of error codes of KMS, such as for a key that is disabled or pending deletion.
_OF_KMS = "KMS."
#: The number of other objects of the source bucket that are tried, and of the listed objects that they are drawn from.
_OTHERS_TRIED = 20
_OTHERS_LISTED = 1000


class NothingThereError(Exception):
    """The version that the event names does not exist any more. `why`: gone or overwritten."""

    def __init__(self, why: Ignored) -> None:
        super().__init__(str(why))
        self.why = why


class ObjectRefusedError(Exception):
    """S3 refuses an object of the source bucket.

    `to_all`: S3 refuses every caller, as for an archived object. `is_delete`: the object can be read but not deleted.
    """

    def __init__(self, error: Error, *, to_all: bool = False, is_delete: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.to_all = to_all
        self.is_delete = is_delete


class ObjectAccess:
    """Tests access to objects by reading one byte. Safe to use from several threads."""

    def __init__(self, s3: S3Client, source_bucket: str) -> None:
        self._s3 = s3
        self._source_bucket = source_bucket

    def read_a_byte(self, image: ImageRef) -> int:
        """Read one byte of this version, which needs the rights that a copy needs. Return the object's size in bytes.

        :raises NothingThereError: when the version does not exist; ObjectRefusedError: when S3 refuses to read it.
        """
        match: Any = {"IfMatch": f'"{image.etag}"'} if image.etag else {}
        try:
            answer = self._s3.get_object(Bucket=image.bucket, Key=image.key, Range="bytes=0-0", **match)
        except ClientError as error:
            raise_if_not_there(error)
            if aws_errors.status(error) == 416:  # an empty object has no first byte
                return 0
            if image.bucket == self._source_bucket and _may_be_its_own(error):
                to_all = aws_errors.code(error) in _REFUSED_TO_ALL
                raise ObjectRefusedError(_said(error), to_all=to_all) from error
            raise
        answer["Body"].close()
        if image.etag and answer["ETag"].strip('"') != image.etag:  # this S3 server ignores the condition
            raise NothingThereError(Ignored.OVERWRITTEN)
        return int(answer.get("ContentRange", "").rpartition("/")[2] or 0)

    def refusal(self, image: ImageRef, error: ClientError) -> ObjectRefusedError | None:
        """Return the refusal if S3's error is about this object, else None. Reads one byte of the object to find out.

        :raises NothingThereError: when the version does not exist.
        :raises botocore.exceptions.ClientError: when the test read fails for another reason.
        """
        if image.bucket != self._source_bucket or not _may_be_its_own(error):
            return None
        try:
            size = self.read_a_byte(image)
        except ObjectRefusedError as refusal:
            return refusal
        is_copy = error.operation_name == "CopyObject"
        if is_copy and aws_errors.code(error) not in _REFUSED_TO_ALL:
            return None  # readable: the final bucket refuses the copy, or the role lacks a right on tags
        return ObjectRefusedError(
            _said(error), to_all=is_copy and size > _MOST_COPIED, is_delete=error.operation_name == "DeleteObject"
        )

    def may_read(self, refused: Mapping[str, Error]) -> bool:
        """Whether the role may read the source bucket, tested with a key that has no object.

        AWS: GetObject for such a key returns 404 if s3:GetObject and s3:ListBucket are allowed, else 403. This test
        shows nothing about KMS keys. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

        :param refused: URL → error, for the objects that S3 refuses.
        """
        if any("kms" in str(error).lower() for error in refused.values()):
            return False
        folder = next(iter(refused), "").removeprefix(f"s3://{self._source_bucket}/").rpartition("/")[0]
        missing = ImageRef(self._source_bucket, f"{folder}/{uuid4().hex}".removeprefix("/"))
        try:
            self.read_a_byte(missing)
        except NothingThereError:
            return True
        except (ObjectRefusedError, *aws_errors.AWS_ERRORS) as error:
            log.warning("S3 also refuses to read a key that has no object: %s", error)
        return False

    def can_read_another(self, but: Container[str]) -> bool:
        """Whether S3 lets this task read any other object of the source bucket. `but`: URLs of the refused objects."""
        try:
            listed = self._s3.list_objects_v2(Bucket=self._source_bucket, MaxKeys=_OTHERS_LISTED).get("Contents", [])
        except aws_errors.AWS_ERRORS as error:
            log.warning("the source bucket cannot be listed: %s", error)
            return False
        there = [ImageRef(self._source_bucket, entry["Key"]) for entry in listed]
        others = [image for image in there if image.url not in but]
        for image in random.sample(others, min(len(others), _OTHERS_TRIED)):
            try:
                self.read_a_byte(image)
            except (NothingThereError, ObjectRefusedError, *aws_errors.AWS_ERRORS):
                continue
            return True
        return False


def raise_if_not_there(error: ClientError) -> None:
    """:raises NothingThereError: when the error means that the version was deleted or overwritten."""
    if aws_errors.status(error) == 404 and aws_errors.code(error) != "NoSuchBucket":
        raise NothingThereError(Ignored.GONE) from error
    if aws_errors.status(error) == 412:
        raise NothingThereError(Ignored.OVERWRITTEN) from error


def _may_be_its_own(error: ClientError) -> bool:
    """Whether an error may concern one object only, unlike wrong or expired credentials."""
    code = aws_errors.code(error)
    return not aws_errors.is_transient(error) and (code in _REFUSED or code.startswith(_OF_KMS))


def _said(error: ClientError) -> Error:
    return Error(aws_errors.code(error), f"{error.operation_name}: {aws_errors.message(error)}")
