"""A queue message, read into images."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest

from include.messages import Contents, ImageRef, Notes, read

KEYS = [
    "plain.png",
    "with space.png",
    "a+b.png",
    "100%.png",
    "%2B.png",
    "é.jpg",
    "猫.jpeg",
    "line 3/nested/part.PNG",
    "'single' \"double\".png",
    "<script>alert(1)</script>.png",
    "../up.png",
    "tab\tnewline\n.png",
    "x" * 1020 + ".png",
]


def record(key: str, bucket: str = "parts", **changes: Any) -> dict[str, Any]:
    """An S3 event record, as AWS documents it; the key is encoded here."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": bucket},
            "object": {"key": quote_plus(key), "size": 7, "eTag": "abc", "sequencer": "0A1B"},
        },
    } | changes


def direct(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": list(records)})


def through_sns(body: str) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": body})


def through_eventbridge(key: str, kind: str = "Object Created") -> str:
    detail = {"bucket": {"name": "parts"}, "object": {"key": key, "size": 7, "etag": "abc", "version-id": "v1"}}
    return json.dumps({"version": "0", "source": "aws.s3", "detail-type": kind, "detail": detail})


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:20])
@pytest.mark.parametrize(
    ("body", "version"),
    [
        pytest.param(lambda key: direct(record(key)), None, id="direct"),
        pytest.param(lambda key: through_sns(direct(record(key))), None, id="through SNS"),
        pytest.param(through_eventbridge, "v1", id="through EventBridge"),
        pytest.param(lambda key: through_sns(through_eventbridge(key)), "v1", id="through EventBridge and SNS"),
    ],
)
def test_a_key_arrives_as_it_was_uploaded(key: str, body: Any, version: str | None) -> None:
    assert read(body(key)) == Contents(images=[ImageRef("parts", key, "abc", version, 7)])


def test_several_records_are_several_images() -> None:
    assert [image.key for image in read(direct(record("a.png"), record("b.png"))).images] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param('{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "parts"}', "s3:TestEvent", id="test"),
        pytest.param(through_sns('{"Event": "s3:TestEvent"}'), "s3:TestEvent", id="test event through SNS"),
        pytest.param(direct(record("a", eventName="ObjectRemoved:Delete")), "ObjectRemoved:Delete", id="removed"),
        pytest.param(through_eventbridge("a", "Object Deleted"), "Object Deleted", id="removed, EventBridge"),
        pytest.param(direct(record("a", eventName="ObjectTagging:Put")), "ObjectTagging:Put", id="tagged"),
    ],
)
def test_an_event_that_asks_for_nothing_is_ignored(body: str, what: str) -> None:
    assert read(body) == Contents(ignored=Notes([what]))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("hello", "not JSON", id="text"),
        pytest.param("[" * 100_000, "not JSON", id="nested without end"),
        pytest.param("9" * 5000, "not JSON", id="a number without end"),
        pytest.param("null", "not an S3 event", id="null"),
        pytest.param('"Records"', "not an S3 event", id="a string"),
        pytest.param("{}", "not an S3 event", id="an empty object"),
        pytest.param('{"Records": []}', "not an S3 event", id="no records"),
        pytest.param('{"Records": "all"}', "not an S3 event", id="records of no list"),
        pytest.param(through_sns("hello"), "not JSON", id="SNS with text"),
        pytest.param(through_sns(through_sns(direct(record("a")))), "not an S3 event", id="SNS in SNS"),
        pytest.param('{"Records": [1]}', "record 0", id="a record of no object"),
        pytest.param('{"Records": [{"eventName": "ObjectCreated:Put"}]}', "record 0", id="a record without an object"),
        pytest.param(direct(record("a", eventVersion="3.0")), "event version 3.0", id="a later major version"),
        pytest.param(direct(record("")), "a key of 0 bytes", id="an empty key"),
        pytest.param(direct(record("x" * 1025)), "a key of 1025 bytes", id="a key over 1,024 bytes"),
        pytest.param(through_eventbridge("\ud800"), "not valid Unicode", id="half a surrogate pair"),
        pytest.param(direct(record("a")).replace("abc", "\\ud800"), "not valid Unicode", id="half a pair as eTag"),
        pytest.param(direct(record("a")).replace('"a"', '"%ff"'), "not UTF-8", id="bytes that are not UTF-8"),
        pytest.param('{"source": "aws.s3", "detail-type": "Object Created", "detail": {}}', "detail", id="no detail"),
    ],
)
def test_what_is_not_understood_is_a_problem_and_never_an_exception(body: str, says: str) -> None:
    contents = read(body)
    assert contents.images == []
    assert says in str(contents.problems)


def test_a_record_that_is_not_understood_does_not_hide_its_neighbour() -> None:
    contents = read(direct(record("a.png"), {"eventName": "ObjectCreated:Put"}))
    assert [image.key for image in contents.images] == ["a.png"]
    assert len(contents.problems.first) == 1
