"""Whether S3 lets this task read an object, and what a refusal means.

When S3 refuses a call about the source bucket, that is an `ObjectRefusedError`: the object's own trouble, or a
permission that is missing for all objects. When it refuses one about the final bucket, no image is to blame: the error
is raised as it is. A copy is about both buckets, so then one byte of the source is read to find out.
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

#: AWS: the largest object that CopyObject copies, bytes.
_MOST_COPIED = 5 * 1024**3
#: AWS: archived; encrypted with a key that only its uploader has (SSE-C). S3 refuses these to every caller.
_REFUSED_TO_ALL = {"InvalidObjectState", "ObjectNotInActiveTierError", "InvalidRequest"}
#: The answer to HEAD has no body: botocore then takes the HTTP status as the error's code.
_REFUSED = {*_REFUSED_TO_ALL, "AccessDenied", "AllAccessDisabled", "EntityTooLarge", "403", "400"}
#: S3: how the codes of KMS's errors begin, such as of a key that is disabled or pending deletion.
_OF_KMS = "KMS."
#: How many other objects of the source bucket are tried, and from how many listed ones they are picked.
_OTHERS_TRIED = 20
_OTHERS_LISTED = 1000


class NothingThereError(Exception):
    """The version that the event named is not there any more; `why`: gone or overwritten."""

    def __init__(self, why: Ignored) -> None:
        super().__init__(str(why))
        self.why = why


class ObjectRefusedError(Exception):
    """S3 refuses an object of the source bucket.

    `to_all`: it refuses it whoever asks, as an archived one; `is_delete`: it can be read, but not deleted.
    """

    def __init__(self, error: Error, *, to_all: bool = False, is_delete: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.to_all = to_all
        self.is_delete = is_delete


class ObjectAccess:
    """Reads a byte of an object to find out. Safe to use from several threads."""

    def __init__(self, s3: S3Client, source_bucket: str) -> None:
        self._s3 = s3
        self._source_bucket = source_bucket

    def read_a_byte(self, image: ImageRef) -> int:
        """The size of this very version, read as the copy and the model's service read it.

        :raises NothingThereError: when it is not there; ObjectRefusedError: when S3 refuses it.
        """
        match: Any = {"IfMatch": f'"{image.etag}"'} if image.etag else {}
        try:
            answer = self._s3.get_object(Bucket=image.bucket, Key=image.key, Range="bytes=0-0", **match)
        except ClientError as error:
            raise_if_not_there(error)
            if aws_errors.status(error) == 416:  # it has no first byte: it is empty
                return 0
            if image.bucket == self._source_bucket and _may_be_its_own(error):
                to_all = aws_errors.code(error) in _REFUSED_TO_ALL
                raise ObjectRefusedError(_said(error), to_all=to_all) from error
            raise
        answer["Body"].close()
        if image.etag and answer["ETag"].strip('"') != image.etag:  # an S3 that ignores the condition
            raise NothingThereError(Ignored.OVERWRITTEN)
        return int(answer.get("ContentRange", "").rpartition("/")[2] or 0)

    def refusal(self, image: ImageRef, error: ClientError) -> ObjectRefusedError | None:
        """Whether an error of a call means that S3 refuses this object; else None. Reads one byte of it to tell.

        :raises NothingThereError: when it is not there; botocore.exceptions.ClientError: when nothing can be read now.
        """
        if image.bucket != self._source_bucket or not _may_be_its_own(error):
            return None
        try:
            size = self.read_a_byte(image)
        except ObjectRefusedError as refusal:
            return refusal
        is_copy = error.operation_name == "CopyObject"
        if is_copy and aws_errors.code(error) not in _REFUSED_TO_ALL:
            return None  # S3 lets us read it: the final bucket refuses the copy, or the role lacks the rights on tags
        return ObjectRefusedError(
            _said(error), to_all=is_copy and size > _MOST_COPIED, is_delete=error.operation_name == "DeleteObject"
        )

    def may_read(self, refused: Mapping[str, Error]) -> bool:
        """Whether the role may read the source bucket, as a key without an object shows.

        AWS: GetObject is answered with 404 for it if s3:GetObject and s3:ListBucket are allowed, else with 403. That
        says nothing of KMS keys. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

        :param refused: the URLs of the objects that S3 refuses, and what it says of each.
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
            log.warning("a key without an object may not be read either: %s", error)
        return False

    def can_read_another(self, but: Container[str]) -> bool:
        """Whether S3 lets us read some object of the source bucket; `but`: the URLs of those that it refuses."""
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
    """:raises NothingThereError: when S3 says that the version is gone, or overwritten."""
    if aws_errors.status(error) == 404 and aws_errors.code(error) != "NoSuchBucket":
        raise NothingThereError(Ignored.GONE) from error
    if aws_errors.status(error) == 412:
        raise NothingThereError(Ignored.OVERWRITTEN) from error


def _may_be_its_own(error: ClientError) -> bool:
    """Whether a refusal may be about one object alone; wrong or expired credentials are not."""
    code = aws_errors.code(error)
    return not aws_errors.is_transient(error) and (code in _REFUSED or code.startswith(_OF_KMS))


def _said(error: ClientError) -> Error:
    return Error(aws_errors.code(error), f"{error.operation_name}: {aws_errors.message(error)}")
