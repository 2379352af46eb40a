"""A queue message, and the images it announces.

S3's event notifications arrive in four wrappings: direct, through SNS, through EventBridge, and through
EventBridge and SNS. See "Event message structure" in the Amazon S3 user guide, and EventBridge's "Amazon S3 object
created event".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

#: AWS: the longest key of an S3 object, bytes of UTF-8.
MAX_KEY_BYTES = 1024
_MAX_BUCKET = 255  # AWS: characters of a name, in us-east-1 before 2018; 63 since
_MAX_ETAG = 128  # AWS: 32 hex digits, and the number of parts; more would not fit into a header
_MAX_VERSION_ID = 1024  # AWS: bytes
#: Of what is wrong with a message only so much is said: whoever wrote it may have meant it to be long.
_PROBLEMS = 10
_WORDS = 200


@dataclass(frozen=True)
class ImageRef:
    """One version of one S3 object, as an event names it.

    `etag` is without quotes; None when the event does not say (then: whatever is there). `size` is in bytes.
    """

    bucket: str
    key: str
    etag: str | None = None
    version_id: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Message:
    """A message as it was received from SQS.

    `receives` counts this delivery too; `sent_at`: when it came to the queue, in seconds since 1970, None: not known.
    """

    id: str
    receipt_handle: str
    body: str
    receives: int = 1
    sent_at: float | None = None

    @classmethod
    def from_sqs(cls, received: Mapping[str, Any]) -> Message:
        """From an entry of ReceiveMessage's `Messages`, asked for with ApproximateReceiveCount and SentTimestamp."""
        attributes = received.get("Attributes", {})
        sent = attributes.get("SentTimestamp")
        return cls(
            id=received["MessageId"],
            receipt_handle=received["ReceiptHandle"],
            body=received["Body"],
            receives=int(attributes.get("ApproximateReceiveCount", 1)),
            sent_at=int(sent) / 1000 if sent else None,
        )


@dataclass
class Notes:
    """What is to be said of a message: the first few, none of them long, and how many more there are."""

    first: list[str] = field(default_factory=list)
    more: int = 0

    def append(self, words: str) -> None:
        """Take one more."""
        if len(self.first) < _PROBLEMS:
            self.first.append(words if len(words) <= _WORDS else f"{words[:_WORDS]}…")
        else:
            self.more += 1

    def __bool__(self) -> bool:
        return bool(self.first)

    def __str__(self) -> str:
        return "; ".join([*self.first, *([f"and {self.more} more"] if self.more else [])])


class Ignored(StrEnum):
    """Why an event or an image asks for nothing."""

    TEST_EVENT = "test event"
    REMOVED = "removed"
    GONE = "gone"
    OVERWRITTEN = "overwritten, its own event follows"
    NOT_ARRIVAL = "not an arrival"


@dataclass(frozen=True)
class Contents:
    """What a message's body says: images to look at, events that ask for nothing, and what could not be understood."""

    images: list[ImageRef] = field(default_factory=list)
    ignored: Notes = field(default_factory=Notes)
    problems: Notes = field(default_factory=Notes)


def read(body: str) -> Contents:
    """The images in a message's body. Never raises: what is not understood is a problem, in words."""
    contents = Contents()
    try:
        _read_event(json.loads(body), contents, depth=0)
    except (ValueError, RecursionError) as error:
        contents.problems.append(f"not JSON: {error}")
    return contents


def _read_event(event: Any, contents: Contents, depth: int) -> None:
    match event:
        case {"Type": "Notification", "Message": str(inner)} if depth == 0:
            _read_event(json.loads(inner), contents, depth=1)
        case {"Event": "s3:TestEvent"}:
            contents.ignored.append("s3:TestEvent")
        case {"Records": [_, *_] as records}:
            for number, record in enumerate(records):
                _read_record(record, contents, f"record {number}")
        case {"source": "aws.s3", "detail-type": str(kind), "detail": detail}:
            _read_eventbridge(kind, detail, contents)
        case _:
            contents.problems.append(
                "not an S3 event: neither Records, nor an SNS notification, nor an EventBridge event"
            )


def _read_record(record: Any, contents: Contents, where: str) -> None:
    """One record of S3's own format: the key is form-encoded, once."""
    match record:
        case {"eventVersion": str(version), **_rest} if version.split(".")[0] != "2":
            contents.problems.append(f"{where}: event version {version}, where 2.x is known")
        case {
            "eventName": str(name),
            "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **rest}},
        }:
            if not name.removeprefix("s3:").startswith("ObjectCreated"):
                contents.ignored.append(name)
                return
            try:
                decoded = unquote_plus(key, errors="strict")
            except UnicodeDecodeError as error:
                contents.problems.append(f"{where}: the key is not UTF-8 once decoded: {error}")
                return
            _add(contents, where, bucket, decoded, rest.get("eTag"), rest.get("versionId"), rest.get("size"))
        case _:
            contents.problems.append(f"{where}: not an S3 event record with eventName, bucket and key")


def _read_eventbridge(kind: str, detail: Any, contents: Contents) -> None:
    """EventBridge's format: the key is **not** encoded, and the fields are named otherwise."""
    if kind != "Object Created":
        contents.ignored.append(kind)
        return
    match detail:
        case {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **rest}}:
            _add(contents, "detail", bucket, key, rest.get("etag"), rest.get("version-id"), rest.get("size"))
        case _:
            contents.problems.append("detail: neither bucket nor key")


def _add(contents: Contents, where: str, bucket: str, key: str, etag: Any, version_id: Any, size: Any) -> None:
    try:
        length = len(key.encode())
        str(etag).encode()
    except UnicodeEncodeError:
        contents.problems.append(f"{where}: the key or the eTag is not valid Unicode")
        return
    if not 0 < length <= MAX_KEY_BYTES or not 0 < len(bucket) <= _MAX_BUCKET:
        contents.problems.append(
            f"{where}: a key of {length} bytes in a bucket with a name of {len(bucket)}; S3 has keys of 1 to "
            f"{MAX_KEY_BYTES} bytes, and names of at most {_MAX_BUCKET}"
        )
        return
    if len(str(etag)) > _MAX_ETAG or len(str(version_id)) > _MAX_VERSION_ID:
        contents.problems.append(f"{where}: an eTag or a version id longer than S3 has them")
        return
    contents.images.append(
        ImageRef(
            bucket=bucket,
            key=key,
            etag=etag.strip('"') if isinstance(etag, str) and etag else None,
            version_id=version_id if isinstance(version_id, str) and version_id not in {"", "null"} else None,
            size=size if isinstance(size, int) else None,
        )
    )
