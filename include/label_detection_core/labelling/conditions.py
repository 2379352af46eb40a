"""Which conditional requests an S3 obeys. AWS obeys all; other S3s answer 501 to some, or ignore the condition.

A copy is made for one version of an object (`CopySourceIfMatch`), and so is a delete (`IfMatch`). Where S3 does not
obey, the version is looked at with HEAD instead: an object that is overwritten between that look and the call is then
not noticed by the call.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import BaseModel

from label_detection_core import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: An eTag that no object has.
_OTHER = '"00000000000000000000000000000000"'
_UNMET = 412


class Conditions(BaseModel, frozen=True):
    """Whether an S3 obeys conditional copies and conditional deletes."""

    copies: bool = True
    deletes: bool = True

    def warnings(self) -> list[str]:
        """Which guarantee is weaker on this S3; empty where all conditions are obeyed."""
        found = []
        if not self.copies:
            found.append(
                "this S3 does not obey the condition of a copy (x-amz-copy-source-if-match): the version is looked at "
                "before and after the copy instead, and a copy of another version, told by its eTag, is removed"
            )
        if not self.deletes:
            found.append(
                "this S3 does not obey the condition of a delete (If-Match): the version is looked at right before "
                "the delete instead; a picture that is overwritten in the milliseconds between is deleted unlabelled"
            )
        return found


def probe(s3: S3Client, bucket: str, key: str) -> Conditions:
    """Try a copy and a delete whose conditions are not met, with a small object of ours, which is removed again.

    A call for which a permission is missing (403) shows nothing: the condition then counts as obeyed, as on AWS.

    :raises botocore.exceptions.ClientError: when the object cannot be written, or the service is in trouble.
    """
    copy = f"{key}-copy"
    s3.put_object(Bucket=bucket, Key=key, Body=b"Does this S3 obey conditional requests?\n")
    try:
        return Conditions(copies=_copy_obeys(s3, bucket, key, copy), deletes=_delete_obeys(s3, bucket, key))
    finally:
        for name in (key, copy):
            with suppress(*aws_errors.AWS_ERRORS):  # a leftover of some bytes disturbs nothing
                s3.delete_object(Bucket=bucket, Key=name)


def _copy_obeys(s3: S3Client, bucket: str, key: str, copy: str) -> bool:
    try:
        s3.copy_object(Bucket=bucket, Key=copy, CopySource={"Bucket": bucket, "Key": key}, CopySourceIfMatch=_OTHER)
    except ClientError as error:
        return _is_obeyed(error)
    return False


def _delete_obeys(s3: S3Client, bucket: str, key: str) -> bool:
    try:
        s3.delete_object(Bucket=bucket, Key=key, IfMatch=_OTHER)
    except ClientError as error:
        return _is_obeyed(error)
    return False


def _is_obeyed(error: ClientError) -> bool:
    """Whether an error shows that the condition is obeyed. :raises botocore.exceptions.ClientError: one that passes."""
    if aws_errors.is_transient(error):
        raise error
    return aws_errors.status(error) in {_UNMET, 403}
