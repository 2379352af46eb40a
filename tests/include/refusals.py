"""Objects that S3 refuses, made with faults: what it answers to HEAD, GET and CopyObject of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Aws

#: By kind: status and code of GET and of the copy; whether HEAD is refused as well.
KINDS: dict[str, tuple[tuple[int, str], tuple[int, str], bool]] = {
    "another account's": ((403, "AccessDenied"), (403, "AccessDenied"), True),
    "SSE-C": ((400, "InvalidRequest"), (400, "InvalidRequest"), True),
    "archived": ((403, "InvalidObjectState"), (403, "ObjectNotInActiveTierError"), False),
    "a disabled key": ((400, "KMS.DisabledException"), (400, "KMS.DisabledException"), False),
    "a denied key": ((403, "AccessDenied"), (403, "AccessDenied"), False),
}
#: What S3 refuses whoever asks: no permission of ours can be its cause.
TO_ALL = {"SSE-C", "archived"}
kinds_of_refusals = pytest.mark.parametrize("kind", KINDS)


def refuse(aws: Aws, kind: str, key: str = "odd") -> None:
    """From now on S3 refuses the objects of the source bucket whose key contains `key`."""
    get, copy, is_head_refused = KINDS[kind]
    place = f"{aws.settings.source_bucket}/{key}"
    aws.fail("s3", "GetObject", status=get[0], code=get[1], key=place)
    aws.fail("s3", "CopyObject", status=copy[0], code=copy[1], key=key)
    if is_head_refused:
        aws.fail("s3", "HeadObject", status=get[0], code=get[1], key=place)


def kept(aws: Aws) -> list[Any]:
    """The documents of messages that were kept."""
    return [json.loads(aws.read(key)) for key in aws.final_keys() if key.startswith("rejected/messages/")]
