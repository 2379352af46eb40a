"""What can arrive on the queue, and the expected outcome: every way of announcing, odd keys, foreign messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

from label_detection_core.queue.messages import ImageRef
from tests.localstack.resources import FOREIGN_BUCKET, QUIET, REMOVED, WAYS, Resources, Way
from tests.localstack.server import Maker
from tests.system.faults.outcomes.sample_pictures import TEXT, scenes, with_own_bytes

MESSAGES = Path(__file__).parent / "messages"
SCENES = tuple(name for name in scenes() if name != "empty")


class Outcome(StrEnum):
    """Where an image or a message ends."""

    LABELLED = "labelled"
    REJECTED = "rejected"
    NOTHING = "nothing to do"  # the image is gone, nothing was written, the message is deleted
    KEPT = "message kept"  # under rejected/messages/
    STAYS = "stays in its bucket"
    UNREADABLE = "stays in its bucket, message kept"
    UNCLEAR = "in more than one place"


@dataclass(frozen=True)
class Trace:
    """How to find an image (bucket, key, eTag), a message (its id), or both after the runs."""

    image: ImageRef | None = None
    scene: str | None = None  # what the image shows; None: a text
    message_id: str | None = None


@dataclass(frozen=True)
class Case:
    """One case. `messages`: the number of messages that it puts on the queue."""

    what: str
    way: str
    wanted: Outcome
    arrive: Callable[[Resources], Trace]
    messages: int = 1

    @property
    def name(self) -> str:
        """The case's test id."""
        return f"{self.way}: {self.what}"


KEYS = {
    "plain": "plain.png",
    "a space": "with space.png",
    "a plus": "a+b.png",
    "percent": "100%.png",
    "an encoded plus": "%2B.png",
    "an umlaut": "ä.jpg",
    "an accent of two characters": "e\u0301.jpg",
    "Chinese": "猫.jpeg",
    "an emoji": "\U0001f34e.png",
    "folders, capitals": "line 3/nested/part.PNG",
    "quotes": "'single' \"double\".png",
    "HTML": "<script>alert(1)</script>.png",
    "a query": "a&b=c?d#e.png",
    "a back slash": "back\\slash.png",
    "tab and newline": "tab\tnewline\n.png",
    "two dots": "../up.png",
    "two slashes": "double//slash.png",
    "a space at its end": "space at the end.png ",
    "no suffix": "picture",
    "1,000 bytes": "x" * 980 + ".png",
}


def cases(maker: Maker) -> list[Case]:
    """All cases that the AWS can produce, in the order of arrival."""
    return [*_uploads(WAYS[maker]), *_other_uploads(), *_events(), *_messages_of_others(), *_unknown_messages()]


def _uploads(ways: Sequence[Way]) -> Iterator[Case]:
    for way in ways:
        for number, (what, key) in enumerate(KEYS.items()):
            put = partial(_upload, key=f"{way}/{key}", scene=SCENES[number % len(SCENES)])
            yield Case(f"a key with {what}" if number else "an upload", way, Outcome.LABELLED, put)
        yield Case("a text file named .png", way, Outcome.REJECTED, partial(_upload, key=f"{way}/text.png", scene=None))
        yield Case("an empty file", way, Outcome.REJECTED, partial(_upload, key=f"{way}/empty.png", body=b""))
        yield Case(
            "overwritten before its message is read", way, Outcome.LABELLED, partial(_overwritten, way=way), messages=2
        )
        yield Case("deleted before its message is read", way, Outcome.NOTHING, partial(_deleted, key=f"{way}/gone.png"))


def _other_uploads() -> Iterator[Case]:
    way = Way.DIRECT
    yield Case("a multipart upload", way, Outcome.LABELLED, _multipart)
    yield Case("a copy within S3", way, Outcome.LABELLED, _copied)
    yield Case("with metadata, tags and a content type", way, Outcome.LABELLED, _with_metadata)
    yield Case("a deletion", REMOVED, Outcome.NOTHING, partial(_deleted, key=f"{REMOVED}/gone.png"))
    yield Case("a folder made in the console", way, Outcome.REJECTED, partial(_upload, key=f"{way}/folder/", body=b""))


def _events() -> Iterator[Case]:
    """Announcements in S3's format, for objects that S3 itself does not announce."""
    yield Case("one event three times", "events", Outcome.LABELLED, _duplicates, messages=3)
    for number, outcome in enumerate((Outcome.LABELLED, Outcome.REJECTED, Outcome.LABELLED)):
        arrive = partial(_one_of_a_batch, number=number, scene=SCENES[0] if outcome is Outcome.LABELLED else None)
        yield Case(f"record {number + 1} of 3", "one message", outcome, arrive, messages=0 if number < 2 else 1)
    yield Case("an object of another bucket", "events", Outcome.UNREADABLE, _foreign)
    unreadable = {
        "an archived image": {"StorageClass": "GLACIER"},
        "an object encrypted with the uploader's own key": {
            "SSECustomerAlgorithm": "AES256",
            "SSECustomerKey": "0" * 32,
        },
    }
    for what, more in unreadable.items():
        yield Case(what, "events", Outcome.UNREADABLE, partial(_unreadable, name=f"{what}.png", more=more))


def _messages_of_others() -> Iterator[Case]:
    for file in sorted(MESSAGES.glob("*.txt")):
        yield Case(file.stem, "message", Outcome.LABELLED, partial(_from_file, file=file))


def _unknown_messages() -> Iterator[Case]:
    bodies = {
        "plain text": "hello",
        "JSON of another program": '{"hello": "world"}',
        "an event without records": '{"Records": []}',
        "a record without an object": '{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        "JSON nested 10,000 deep": "[" * 10_000,
    }
    for what, body in bodies.items():
        yield Case(what, "message", Outcome.KEPT, partial(_send, body=body))
    test_event = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "outcomes-source"})
    yield Case("S3's test event", "message", Outcome.NOTHING, partial(_send, body=test_event))


def _upload(place: Resources, key: str, scene: str | None = None, body: bytes | None = None, **more: Any) -> Trace:
    content = body if body is not None else with_own_bytes(scenes()[scene] if scene else TEXT, key)
    answer = place.aws.s3.put_object(Bucket=place.source_bucket, Key=key, Body=content, **more)
    return _trace(place, key, answer["ETag"], scene)


def _trace(place: Resources, key: str, etag: str, scene: str | None) -> Trace:
    return Trace(ImageRef(place.source_bucket, key, etag.strip('"')), scene)


def _overwritten(place: Resources, way: Way) -> Trace:
    key = f"{way}/overwritten.png"
    _upload(place, key, body=b"the first, of which nothing is left")
    return _upload(place, key, SCENES[1])


def _deleted(place: Resources, key: str) -> Trace:
    trace = _upload(place, key, SCENES[0])
    place.aws.s3.delete_object(Bucket=place.source_bucket, Key=key)
    return trace


def _multipart(place: Resources) -> Trace:
    s3 = place.aws.s3
    where: dict[str, Any] = {"Bucket": place.source_bucket, "Key": f"{Way.DIRECT}/multipart.png"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=scenes()[SCENES[2]])
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    answer = s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)  # type: ignore[arg-type]
    return _trace(place, where["Key"], answer["ETag"], SCENES[2])


def _copied(place: Resources) -> Trace:
    _upload(place, f"{QUIET}/copied.png", SCENES[0])
    source: dict[str, Any] = {"Bucket": place.source_bucket, "Key": f"{QUIET}/copied.png"}
    key = f"{Way.DIRECT}/copy.png"
    answer = place.aws.s3.copy_object(Bucket=place.source_bucket, Key=key, CopySource=source)  # type: ignore[arg-type]
    place.aws.s3.delete_object(**source)
    return _trace(place, key, answer["CopyObjectResult"]["ETag"], SCENES[0])


#: Properties that the copy in the final bucket must keep.
METADATA, TAGS, CONTENT_TYPE = {"camera": "3", "shift": "night"}, {"line": "3", "kind": "a b"}, "image/x-own"
WITH_METADATA = f"{Way.DIRECT}/metadata.jpg"


def _with_metadata(place: Resources) -> Trace:
    more: dict[str, Any] = {"Metadata": METADATA, "Tagging": urlencode(TAGS), "ContentType": CONTENT_TYPE}
    return _upload(place, WITH_METADATA, SCENES[0], **more)


def _duplicates(place: Resources) -> Trace:
    trace = _quiet(place, "duplicate.png", SCENES[0])
    for _ in range(3):
        _send(place, _event_of(trace))
    return trace


def _one_of_a_batch(place: Resources, number: int, scene: str | None) -> Trace:
    """Upload one object per image, and announce all of them in one message with the last upload."""
    trace = _quiet(place, f"batch {number}.png", scene)
    if number == 2:
        stored = place.aws.s3.list_objects_v2(Bucket=place.source_bucket, Prefix=f"{QUIET}/batch ")["Contents"]
        events = [_event(place.source_bucket, one["Key"], one["ETag"].strip('"'), one["Size"]) for one in stored]
        records = [record for event in events for record in json.loads(event)["Records"]]
        _send(place, json.dumps({"Records": records}))
    return trace


def _foreign(place: Resources) -> Trace:
    answer = place.aws.s3.put_object(Bucket=FOREIGN_BUCKET, Key="foreign.png", Body=scenes()[SCENES[0]])
    return _announced(place, Trace(ImageRef(FOREIGN_BUCKET, "foreign.png", answer["ETag"].strip('"'))))


def _unreadable(place: Resources, name: str, more: dict[str, Any]) -> Trace:
    return _announced(place, _upload(place, f"{QUIET}/{name}", SCENES[0], **more))


def _announced(place: Resources, trace: Trace) -> Trace:
    """Send the event of an image; trace both the message and the image."""
    return replace(trace, message_id=_send(place, _event_of(trace)).message_id)


def _from_file(place: Resources, file: Path) -> Trace:
    trace = _quiet(place, f"{file.stem}.png", SCENES[0])
    image = trace.image
    assert image
    assert image.etag
    body = file.read_text(encoding="utf-8")
    for name, value in (("BUCKET", image.bucket), ("KEY", image.key), ("SIZE", "1"), ("ETAG", image.etag)):
        body = body.replace(f"${name}", value)
    _send(place, body)
    return trace


def _quiet(place: Resources, name: str, scene: str | None) -> Trace:
    return _upload(place, f"{QUIET}/{name}", scene)


def _send(place: Resources, body: str) -> Trace:
    return Trace(message_id=place.aws.sqs.send_message(QueueUrl=place.queue_url, MessageBody=body)["MessageId"])


def _event_of(trace: Trace) -> str:
    assert trace.image
    return _event(trace.image.bucket, trace.image.key, trace.image.etag or "", 1)


def _event(bucket: str, key: str, etag: str, size: int) -> str:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "size": size, "eTag": etag}},
    }
    return json.dumps({"Records": [record]})
