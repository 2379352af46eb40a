"""Queue messages, and the images that they announce.

An event has one of three shapes: a record of S3, an event of EventBridge, or CloudTrail's record of an API call. See
"Event message structure", "EventBridge event message structure" and "Amazon S3 CloudTrail events" in the Amazon S3 user
guide. `envelopes` removes the envelopes of other services.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from label_detection_core.queue.envelopes import Found, opened

#: AWS: the longest key of an S3 object, in bytes of UTF-8.
MAX_KEY_BYTES = 1024
_MAX_BUCKET = 255  # AWS: characters of a bucket name, in us-east-1 before 2018; now 63
_MAX_ETAG = 128  # AWS: 32 hex digits and the number of parts. A longer one would not fit into a header
_MAX_VERSION_ID = 1024  # AWS: bytes
#: Limits for the list of problems with one message, since anyone may have written it: the number of problems, and the
#: characters of each.
_PROBLEMS = 10
_WORDS = 200
#: The most ignored events of one message that are listed one by one; the rest is only counted.
_MOST_IGNORED = 2000
#: API calls that create an object, from EventBridge's `reason` and CloudTrail's `eventName`. Only letters are compared,
#: since `POST Object` has several spellings.
_ARRIVAL_CALLS = {"putobject", "postobject", "copyobject", "completemultipartupload"}
_REMOVAL_CALLS = {"deleteobject", "deleteobjects", "lifecycleexpiration"}
#: EventBridge: values of `detail-type` after which an object can be read.
_ARRIVAL_KINDS = {"Object Created", "Object Restore Completed"}


@dataclass(frozen=True)
class ImageRef:
    """One version of one S3 object, from an event.

    `etag` has no quotes; if the event has none, it is None, which means the version that is there. `size`: bytes.
    """

    bucket: str
    key: str
    etag: str | None = None
    version_id: str | None = None
    size: int | None = None

    @property
    def url(self) -> str:
        """The S3 URL of the object. The key in it is not escaped, so do not log it as it is."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Message:
    """A message from SQS.

    `receives`: the number of deliveries, this one included. `sent_at`: when the message was sent, in seconds since
    1970; None if unknown.
    """

    id: str
    receipt_handle: str
    body: str
    receives: int = 1
    sent_at: float | None = None

    @classmethod
    def from_sqs(cls, received: Mapping[str, Any]) -> Message:
        """Read an entry of `Messages` from ReceiveMessage with ApproximateReceiveCount and SentTimestamp."""
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
    """A short list of texts about a message: the first ones, each cut to a limit, and the number of others."""

    first: list[str] = field(default_factory=list)
    more: int = 0

    def append(self, words: str) -> None:
        """Add a text."""
        if len(self.first) < _PROBLEMS:
            self.first.append(words if len(words) <= _WORDS else f"{words[:_WORDS]}…")
        else:
            self.more += 1

    def __bool__(self) -> bool:
        return bool(self.first)

    def __str__(self) -> str:
        return "; ".join([*self.first, *([f"and {self.more} more"] if self.more else [])])


class Ignored(StrEnum):
    """Why there is nothing to do for an event or an image."""

    TEST_EVENT = "test event"
    REMOVED = "removed"
    GONE = "gone"
    OVERWRITTEN = "overwritten, its own event follows"
    NOT_ARRIVAL = "not an arrival"


@dataclass(frozen=True)
class IgnoredEvent:
    """An event for which there is nothing to do: the reason, its name, and its image, if any."""

    why: Ignored
    event: str
    image: ImageRef | None = None


@dataclass(frozen=True)
class Contents:
    """The contents of a message's body: images, ignored events, and problems of parts that could not be understood.

    `more_ignored`: the number of ignored events that are not in `ignored`.
    """

    images: list[ImageRef] = field(default_factory=list)
    ignored: list[IgnoredEvent] = field(default_factory=list)
    more_ignored: Counter[Ignored] = field(default_factory=Counter)
    problems: Notes = field(default_factory=Notes)

    def _ignore(self, event: IgnoredEvent) -> None:
        if len(self.ignored) < _MOST_IGNORED:
            self.ignored.append(event)
        else:
            self.more_ignored[event.why] += 1

    def _add(self, event: Any) -> None:
        """Add an event. :raises ValueError: when it is not valid."""
        said = _said(event)
        try:
            image = _image(said)
        except ValueError:
            if said.ignored is None:
                raise
            image = None
        if said.ignored is not None:
            self._ignore(IgnoredEvent(said.ignored, said.event[:_WORDS], image))
        elif image:
            self.images.append(image)


def read(body: str) -> Contents:
    """Read a message's body. Never raises: what cannot be understood becomes a text in `problems`."""
    contents = Contents()
    for found in opened(body):
        try:
            if isinstance(found, Found):
                contents._add(found.content)
                continue
            problem = found.problem
        except ValueError as error:
            problem = str(error)
        contents.problems.append(f"{found.where}: {problem}" if found.where else problem)
    return contents


class _Said(NamedTuple):
    """The unchecked parts of an event of any shape. `ignored`: None if the event announces an image."""

    event: str
    ignored: Ignored | None
    bucket: Any = None
    key: Any = None
    etag: Any = None
    version_id: Any = None
    size: Any = None

    def text(self, name: str) -> str | None:
        """Return a part that must be text; None if it is missing, empty or not text."""
        value = getattr(self, name)
        return value if isinstance(value, str) and value else None


def _said(event: Any) -> _Said:
    """:raises ValueError: when the event has no known shape."""
    if not isinstance(event, dict):
        raise ValueError("not an S3 event: not a JSON object")  # noqa: TRY004
    match event:
        case {"Event": "s3:TestEvent"}:
            return _Said("s3:TestEvent", Ignored.TEST_EVENT)
        case {"eventSource": "s3.amazonaws.com", "eventName": str(name)}:
            return _api_call(name, event)
        case {"source": "aws.s3", "detail": {"eventSource": "s3.amazonaws.com", "eventName": str(name)} as call}:
            return _api_call(name, call)
        case {"source": "aws.s3", "detail-type": str(kind), "detail": detail}:
            return _detail(kind, _why_not(kind in _ARRIVAL_KINDS, removed=kind == "Object Deleted"), detail)
        case {"eventVersion": str(version), "s3": {}} if version.split(".")[0] != "2":
            raise ValueError(f"event version {version} of S3 is not supported: only 2.x is")
        case {"eventName": str(name), "s3": {"bucket": {"name": bucket}, "object": {"key": str(key), **rest}}}:
            return _record(name, bucket, key, rest)
        case {"bucket": {"name": str()}, "object": {"key": str()}}:  # only the detail of an EventBridge event
            return _bare_detail(event)
        case {"Type": "SubscriptionConfirmation", "TopicArn": str(topic)}:
            raise ValueError(f"not an S3 event: the subscription to {topic} is not confirmed; open its SubscribeURL")
    raise ValueError(
        "not an S3 event: neither an S3 record with eventName, bucket and key, nor an EventBridge event of S3, nor a "
        "CloudTrail record of a call to S3"
    )


def _record(name: str, bucket: Any, key: str, rest: Mapping[Any, Any]) -> _Said:
    """Read a record of S3. Its key is form-encoded once."""
    name = name.removeprefix("s3:")
    arrival = name.startswith("ObjectCreated") or name == "ObjectRestore:Completed"
    ignored = _why_not(arrival, removed=name.startswith(("ObjectRemoved", "LifecycleExpiration")))
    decoded: str | None
    try:
        decoded = unquote_plus(key, errors="strict")
    except UnicodeDecodeError as error:
        if ignored is None:
            raise ValueError(f"the decoded key is not valid UTF-8: {error}") from error
        decoded = None
    return _Said(name, ignored, bucket, decoded, rest.get("eTag"), rest.get("versionId"), rest.get("size"))


def _detail(kind: str, ignored: Ignored | None, detail: Any) -> _Said:
    """Read an EventBridge event. Its key is **not** encoded, and its fields have other names than in a record."""
    match detail:
        case {"bucket": {"name": bucket}, "object": {"key": key, **rest}}:
            return _Said(kind, ignored, bucket, key, rest.get("etag"), rest.get("version-id"), rest.get("size"))
    if ignored is None:
        raise ValueError(f"the detail of the event {kind!r} has no bucket, or no object with a key")
    return _Said(kind, ignored)


def _bare_detail(detail: dict[str, Any]) -> _Said:
    """Read the detail of an EventBridge event alone, as a rule's input transformer can leave it.

    The detail must show what happened. If it does not, it counts as an arrival, since every object in the source bucket
    must be labelled.
    """
    reason = detail.get("reason")
    reason = reason if isinstance(reason, str) else ""
    call = _letters(reason)
    if "deletion-type" in detail or call in _REMOVAL_CALLS:
        return _detail("Object Deleted", Ignored.REMOVED, detail)
    restored = "restore-expiry-time" in detail  # no other event with a storage class has this field
    moved = any(name in detail for name in ("source-storage-class", "destination-storage-class"))
    moved = moved or "destination-access-tier" in detail
    arrival = call in _ARRIVAL_CALLS or restored or not (call or moved)
    return _detail(reason or "an event without a name", _why_not(arrival), detail)


def _api_call(name: str, call: dict[str, Any]) -> _Said:
    """Read CloudTrail's record of a call to S3. Its key is **not** encoded, and it has no eTag."""
    asked, answered = call.get("requestParameters"), call.get("responseElements")
    asked = asked if isinstance(asked, dict) else {}
    version_id = answered.get("x-amz-version-id") if isinstance(answered, dict) else None
    happened = not call.get("errorCode")  # refused calls are recorded too
    ignored = _why_not(
        happened and _letters(name) in _ARRIVAL_CALLS, removed=happened and _letters(name) in _REMOVAL_CALLS
    )
    return _Said(name, ignored, asked.get("bucketName"), asked.get("key"), version_id=version_id)


def _why_not(arrival: bool, *, removed: bool = False) -> Ignored | None:
    if arrival:
        return None
    return Ignored.REMOVED if removed else Ignored.NOT_ARRIVAL


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name[:_WORDS])).lower()


def _image(said: _Said) -> ImageRef:
    """:raises ValueError: when S3 cannot have such an object."""
    bucket, key, etag, version_id = map(said.text, ("bucket", "key", "etag", "version_id"))
    try:
        sizes = [len((text or "").encode()) for text in (bucket, key, etag, version_id)]
    except UnicodeEncodeError:
        raise ValueError("the bucket, the key, the eTag or the version id is not valid Unicode") from None
    if not bucket or not key or sizes[0] > _MAX_BUCKET or sizes[1] > MAX_KEY_BYTES:
        raise ValueError(
            f"the key has {sizes[1]} bytes and the bucket's name {sizes[0]}; S3 allows keys of 1 to {MAX_KEY_BYTES} "
            f"bytes and names of 1 to {_MAX_BUCKET}"
        )
    if sizes[2] > _MAX_ETAG or sizes[3] > _MAX_VERSION_ID:
        raise ValueError("the eTag or the version id is longer than S3 allows")
    size = said.size
    return ImageRef(
        bucket=bucket,
        key=key,
        etag=_plain(etag) or None if etag else None,
        version_id=version_id if version_id != "null" else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
    )


def _plain(etag: str) -> str:
    """Return an eTag without its quotes and without the `W/` of a weak eTag."""
    return etag.strip().removeprefix("W/").strip('"')
