"""Objects that S3 refuses: faults that set the answers to HEAD, GET and CopyObject."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Aws

#: By cause: status and code of GET and of CopyObject; whether HEAD is refused as well.
KINDS: dict[str, tuple[tuple[int, str], tuple[int, str], bool]] = {
    "another account's": ((403, "AccessDenied"), (403, "AccessDenied"), True),
    "SSE-C": ((400, "InvalidRequest"), (400, "InvalidRequest"), True),
    "archived": ((403, "InvalidObjectState"), (403, "ObjectNotInActiveTierError"), False),
    "a disabled key": ((400, "KMS.DisabledException"), (400, "KMS.DisabledException"), False),
    "a denied key": ((403, "AccessDenied"), (403, "AccessDenied"), False),
}
#: Refused to every caller, so that no missing permission can be the cause.
TO_ALL = {"SSE-C", "archived"}
kinds_of_refusals = pytest.mark.parametrize("kind", KINDS)


def refuse(aws: Aws, kind: str, key: str = "odd") -> None:
    """Make S3 refuse all objects of the source bucket whose key contains `key`."""
    get, copy, is_head_refused = KINDS[kind]
    place = f"{aws.settings.source_bucket}/{key}"
    aws.fail("s3", "GetObject", status=get[0], code=get[1], key=place)
    aws.fail("s3", "CopyObject", status=copy[0], code=copy[1], key=key)
    if is_head_refused:
        aws.fail("s3", "HeadObject", status=get[0], code=get[1], key=place)


#: The same causes, made with settings of the embedded AWS's objects instead of faults. The model is refused too.
OBJECTS: dict[str, dict[str, str] | str] = {
    "another account's": "denied",
    "SSE-C": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
    "archived": {"StorageClass": "GLACIER"},
    "archived deep": {"StorageClass": "DEEP_ARCHIVE"},
    "a disabled key": "kms-disabled",
    "a denied key": "kms-denied",
}


def upload_refused(aws: Aws, kind: str, key: str, body: bytes) -> None:
    """Put an object into the source bucket that S3 refuses to return."""
    how = OBJECTS[kind]
    aws.upload(key, body, **(how if isinstance(how, dict) else {}))
    if isinstance(how, str):
        place = {"bucket": aws.settings.source_bucket, "key": key, "trouble": how}
        aws.control("objects", "PUT", [*aws.control("objects"), place])


def kept(aws: Aws) -> list[Any]:
    """The documents under `rejected/messages/`."""
    return [json.loads(aws.read(key)) for key in aws.final_keys() if key.startswith("rejected/messages/")]
