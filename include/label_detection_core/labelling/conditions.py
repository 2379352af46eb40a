"""Finds out which conditional requests an S3 server supports. AWS supports all. Others answer 501 or ignore conditions.

Copies and deletes are for one version of an object only (`CopySourceIfMatch`, `IfMatch`). If the server does not
support a condition, HEAD checks the version instead. Then an overwrite between HEAD and the call is not noticed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import BaseModel

from label_detection_core import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: An eTag that matches no object.
_OTHER = '"00000000000000000000000000000000"'
_UNMET = 412


class Conditions(BaseModel, frozen=True):
    """Whether an S3 server supports conditional copies and conditional deletes."""

    copies: bool = True
    deletes: bool = True

    def warnings(self) -> list[str]:
        """Return a text for each weaker guarantee on this S3 server; empty if it supports all conditions."""
        found = []
        if not self.copies:
            found.append(
                "this S3 server does not support conditional copies (x-amz-copy-source-if-match): the version is "
                "checked before and after the copy instead, and a copy with the eTag of another version is removed"
            )
        if not self.deletes:
            found.append(
                "this S3 server does not support conditional deletes (If-Match): the version is checked right before "
                "the delete instead; a picture that is overwritten in the milliseconds between is deleted unlabelled"
            )
        return found


def probe(s3: S3Client, bucket: str, key: str) -> Conditions:
    """Try a copy and a delete with conditions that do not match. Uses a small test object at `key`, and removes it.

    If a permission is missing (403), the condition counts as supported, as on AWS.

    :raises botocore.exceptions.ClientError: when the object cannot be written, or the service fails.
    """
    copy = f"{key}-copy"
    s3.put_object(Bucket=bucket, Key=key, Body=b"Does this S3 obey conditional requests?\n")
    try:
        return Conditions(copies=_copy_obeys(s3, bucket, key, copy), deletes=_delete_obeys(s3, bucket, key))
    finally:
        for name in (key, copy):
            with suppress(*aws_errors.AWS_ERRORS):  # a leftover of a few bytes does no harm
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
    """Whether an error shows that conditions are supported. :raises botocore.exceptions.ClientError: if transient."""
    if aws_errors.is_transient(error):
        raise error
    return aws_errors.status(error) in {_UNMET, 403}
