"""A queue message, and the images it announces.

An event has one of three shapes: S3's own record, EventBridge's, or CloudTrail's record of an API call. See "Event
message structure" and "EventBridge event message structure" in the Amazon S3 user guide, and "Amazon S3 CloudTrail
events" there. What other services put around an event, `envelopes` opens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from label_detection_core.queue.envelopes import Found, opened

#: AWS: the longest key of an S3 object, bytes of UTF-8.
MAX_KEY_BYTES = 1024
_MAX_BUCKET = 255  # AWS: characters of a name, in us-east-1 before 2018; 63 since
_MAX_ETAG = 128  # AWS: 32 hex digits, and the number of parts; more would not fit into a header
_MAX_VERSION_ID = 1024  # AWS: bytes
#: Of what is wrong with a message only so much is said: whoever wrote it may have meant it to be long.
_PROBLEMS = 10
_WORDS = 200
#: Ignored events of one message that are listed one by one.
_MOST_IGNORED = 2000
#: API calls that put an object into a bucket, as EventBridge's `reason` and CloudTrail's `eventName` have them; letters
#: alone, since `POST Object` is written in more than one way.
_ARRIVAL_CALLS = {"putobject", "postobject", "copyobject", "completemultipartupload"}
_REMOVAL_CALLS = {"deleteobject", "deleteobjects", "lifecycleexpiration"}
#: EventBridge's `detail-type`: the objects that can be read from now on.
_ARRIVAL_KINDS = {"Object Created", "Object Restore Completed"}


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

    @property
    def url(self) -> str:
        """The object's S3 URL, as it is: not for a log."""
        return f"s3://{self.bucket}/{self.key}"


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
class IgnoredEvent:
    """An event that asks for nothing: why, its own name, and the image that it names, if it does."""

    why: Ignored
    event: str
    image: ImageRef | None = None


@dataclass(frozen=True)
class Contents:
    """What a message's body says: images to look at, events that ask for nothing, and what could not be understood.

    `more_ignored`: ignored events beyond those that are listed.
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
        """Take an event, out of its envelopes. :raises ValueError: what is wrong with it."""
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
    """The images in a message's body. Never raises: what is not understood is a problem, in words."""
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
    """The parts of an event, of any shape, as they came. `ignored`: None when an image has arrived."""

    event: str
    ignored: Ignored | None
    bucket: Any = None
    key: Any = None
    etag: Any = None
    version_id: Any = None
    size: Any = None

    def text(self, name: str) -> str | None:
        """A part that must be text; None: it is not there, or is something else."""
        value = getattr(self, name)
        return value if isinstance(value, str) and value else None


def _said(event: Any) -> _Said:
    """:raises ValueError: when it is of no known shape."""
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
            raise ValueError(f"event version {version}, where 2.x is known")
        case {"eventName": str(name), "s3": {"bucket": {"name": bucket}, "object": {"key": str(key), **rest}}}:
            return _record(name, bucket, key, rest)
        case {"bucket": {"name": str()}, "object": {"key": str()}}:  # EventBridge's detail alone
            return _bare_detail(event)
        case {"Type": "SubscriptionConfirmation", "TopicArn": str(topic)}:
            raise ValueError(f"not an S3 event: the subscription to {topic} is not confirmed; open its SubscribeURL")
    raise ValueError(
        "not an S3 event: neither an S3 record with eventName, bucket and key, nor an EventBridge event of S3, nor a "
        "CloudTrail record of a call to S3"
    )


def _record(name: str, bucket: Any, key: str, rest: Mapping[Any, Any]) -> _Said:
    """One record of S3's own format: the key is form-encoded, once."""
    name = name.removeprefix("s3:")
    arrival = name.startswith("ObjectCreated") or name == "ObjectRestore:Completed"
    ignored = _why_not(arrival, removed=name.startswith(("ObjectRemoved", "LifecycleExpiration")))
    decoded: str | None
    try:
        decoded = unquote_plus(key, errors="strict")
    except UnicodeDecodeError as error:
        if ignored is None:
            raise ValueError(f"the key is not UTF-8 once decoded: {error}") from error
        decoded = None
    return _Said(name, ignored, bucket, decoded, rest.get("eTag"), rest.get("versionId"), rest.get("size"))


def _detail(kind: str, ignored: Ignored | None, detail: Any) -> _Said:
    """EventBridge's format: the key is **not** encoded, and the fields have other names."""
    match detail:
        case {"bucket": {"name": bucket}, "object": {"key": key, **rest}}:
            return _Said(kind, ignored, bucket, key, rest.get("etag"), rest.get("version-id"), rest.get("size"))
    if ignored is None:
        raise ValueError(f"the detail of {kind!r} has no bucket, or no object with a key")
    return _Said(kind, ignored)


def _bare_detail(detail: dict[str, Any]) -> _Said:
    """An EventBridge event of which a rule's input transformer left only the detail, which has to show what happened.

    One that does not show it counts as an arrival: every object in the source bucket must be labelled.
    """
    reason = detail.get("reason")
    reason = reason if isinstance(reason, str) else ""
    call = _letters(reason)
    if "deletion-type" in detail or call in _REMOVAL_CALLS:
        return _detail("Object Deleted", Ignored.REMOVED, detail)
    restored = "restore-expiry-time" in detail  # no other event with a storage class has it
    moved = any(name in detail for name in ("source-storage-class", "destination-storage-class"))
    moved = moved or "destination-access-tier" in detail
    arrival = call in _ARRIVAL_CALLS or restored or not (call or moved)
    return _detail(reason or "an event without a name", _why_not(arrival), detail)


def _api_call(name: str, call: dict[str, Any]) -> _Said:
    """CloudTrail's record of a call to S3: the key is **not** encoded. It has no eTag."""
    asked, answered = call.get("requestParameters"), call.get("responseElements")
    asked = asked if isinstance(asked, dict) else {}
    version_id = answered.get("x-amz-version-id") if isinstance(answered, dict) else None
    happened = not call.get("errorCode")  # a call that was refused is recorded too
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
    """:raises ValueError: when S3 has no such object."""
    bucket, key, etag, version_id = map(said.text, ("bucket", "key", "etag", "version_id"))
    try:
        sizes = [len((text or "").encode()) for text in (bucket, key, etag, version_id)]
    except UnicodeEncodeError:
        raise ValueError("the bucket, the key, the eTag or the version id is not valid Unicode") from None
    if not bucket or not key or sizes[0] > _MAX_BUCKET or sizes[1] > MAX_KEY_BYTES:
        raise ValueError(
            f"a key of {sizes[1]} bytes in a bucket with a name of {sizes[0]}; S3 has keys of 1 to {MAX_KEY_BYTES} "
            f"bytes, and names of at most {_MAX_BUCKET}"
        )
    if sizes[2] > _MAX_ETAG or sizes[3] > _MAX_VERSION_ID:
        raise ValueError("an eTag or a version id longer than S3 has them")
    size = said.size
    return ImageRef(
        bucket=bucket,
        key=key,
        etag=_plain(etag) or None if etag else None,
        version_id=version_id if version_id != "null" else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
    )


def _plain(etag: str) -> str:
    """An eTag without what HTTP puts around it: quotes, and the W/ of a weak one."""
    return etag.strip().removeprefix("W/").strip('"')
