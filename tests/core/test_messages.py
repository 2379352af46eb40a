"""A queue message, parsed into images."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest

from label_detection_core.queue.messages import Contents, Ignored, IgnoredEvent, ImageRef, read

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
    """An S3 event record in the documented format. Encodes the key."""
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


def detail_of(key: str, **more: str) -> dict[str, Any]:
    """The detail of an EventBridge event of S3."""
    image = {"key": key, "size": 7, "etag": "abc", "version-id": "v1"}
    return {"version": "0", "bucket": {"name": "parts"}, "object": image, **more}


def through_eventbridge(key: str, kind: str = "Object Created") -> str:
    return json.dumps({"version": "0", "source": "aws.s3", "detail-type": kind, "detail": detail_of(key)})


def api_call(key: str, name: str = "PutObject", **more: Any) -> dict[str, Any]:
    """CloudTrail's record of a call to S3."""
    asked = {"bucketName": "parts", "key": key, "Host": "parts.s3.amazonaws.com"}
    call = {"eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventName": name, "requestParameters": asked}
    return call | {"responseElements": {"x-amz-version-id": "v1"}} | more


def through_cloudtrail(key: str, name: str = "PutObject", **more: Any) -> str:
    kind = "AWS API Call via CloudTrail"
    return json.dumps({"source": "aws.s3", "detail-type": kind, "detail": api_call(key, name, **more)})


def loaded(body: str) -> Any:
    """A body as an envelope holds it that is not text. A body that is not JSON stays a string."""
    try:
        return json.loads(body)
    except ValueError:
        return body


SNS_RECORD = {"EventSource": "aws:sns", "EventVersion": "1.0"}
SQS_RECORD = {"messageId": "1", "receiptHandle": "h", "eventSource": "aws:sqs"}
#: Common envelopes: from the event as text to the message's body.
ENVELOPES: dict[str, Callable[[str], str]] = {
    "nothing": lambda body: body,
    "a byte-order mark": lambda body: f"\ufeff{body}",
    "a byte-order mark, read as Latin-1": lambda body: f"\xef\xbb\xbf{body}",
    "white space": lambda body: f"\n\t {body} \r\n",
    "JSON in a string": json.dumps,
    "JSON in a string in a string": lambda body: json.dumps(json.dumps(body)),
    "Base64": lambda body: base64.b64encode(body.encode()).decode(),
    "Base64 in lines": lambda body: base64.encodebytes(body.encode()).decode(),
    "CloudEvents": lambda body: json.dumps({"specversion": "1.0", "type": "x", "data": loaded(body)}),
    "CloudEvents, as Base64": lambda body: json.dumps(
        {"specversion": "1.0", "type": "x", "data_base64": base64.b64encode(body.encode()).decode()}
    ),
    "SNS": through_sns,
    "SNS in SNS": lambda body: through_sns(through_sns(body)),
    "SNS, its message not a text": lambda body: json.dumps({"Type": "Notification", "Message": loaded(body)}),
    "SNS in a Lambda event": lambda body: json.dumps({"Records": [SNS_RECORD | {"Sns": {"Message": body}}]}),
    "SQS in a Lambda event": lambda body: json.dumps({"Records": [SQS_RECORD | {"body": body}]}),
    "SQS through Pipes": lambda body: json.dumps({"messageId": "1", "receiptHandle": "h", "body": loaded(body)}),
    "SQS as the AWS CLI prints it": lambda body: json.dumps({"Messages": [{"MessageId": "1", "Body": body}]}),
    "a failed Lambda invocation": lambda body: json.dumps(
        {
            "version": "1.0",
            "requestContext": {"condition": "RetriesExhausted"},
            "requestPayload": loaded(body),
            "responsePayload": {"errorMessage": "timed out"},
        }
    ),
    "a failed Lambda invocation, through EventBridge": lambda body: json.dumps(
        {
            "source": "lambda",
            "detail-type": "Lambda Function Invocation Result - Failure",
            "detail": {"requestPayload": loaded(body), "responsePayload": None},
        }
    ),
    "a failed Step Functions execution": lambda body: json.dumps(
        {
            "source": "aws.states",
            "detail-type": "Step Functions Execution Status Change",
            "detail": {"executionArn": "arn:aws:states:us-east-1:123456789012:execution:x:y", "input": body},
        }
    ),
    "a list of events": lambda body: json.dumps([loaded(body)]),
    "a list of events as texts": lambda body: json.dumps([body]),
    "an event bus of one's own": lambda body: json.dumps(
        {"source": "our.app", "detail-type": "passed on", "detail": {"messageId": "1", "body": loaded(body)}}
    ),
}
EVENTS = {
    "S3": lambda: direct(record("a+b c.png")),
    "EventBridge": lambda: through_eventbridge("a+b c.png"),
    "CloudTrail": lambda: through_cloudtrail("a+b c.png"),
}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:20])
@pytest.mark.parametrize(
    ("body", "version"),
    [
        pytest.param(lambda key: direct(record(key)), None, id="direct"),
        pytest.param(lambda key: through_sns(direct(record(key))), None, id="through SNS"),
        pytest.param(through_eventbridge, "v1", id="through EventBridge"),
        pytest.param(lambda key: through_sns(through_eventbridge(key)), "v1", id="through EventBridge and SNS"),
        pytest.param(lambda key: json.dumps(detail_of(key, reason="PutObject")), "v1", id="EventBridge's detail alone"),
    ],
)
def test_a_key_is_read_as_it_was_uploaded(key: str, body: Any, version: str | None) -> None:
    assert read(body(key)) == Contents(images=[ImageRef("parts", key, "abc", version, 7)])


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:20])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(through_cloudtrail, id="through EventBridge"),
        pytest.param(lambda key: json.dumps(api_call(key)), id="EventBridge's detail alone"),
        pytest.param(lambda key: json.dumps({"Records": [api_call(key)]}), id="a log file"),
    ],
)
def test_a_key_in_an_api_call_is_not_encoded_and_comes_without_an_etag(key: str, body: Callable[[str], str]) -> None:
    assert read(body(key)) == Contents(images=[ImageRef("parts", key, None, "v1")])


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("inner", ENVELOPES.values(), ids=ENVELOPES)
def test_an_event_is_read_from_its_envelopes(inner: Callable[[str], str], event: Callable[[], str]) -> None:
    for outer in ENVELOPES.values():
        assert [image.key for image in read(outer(inner(event()))).images] == ["a+b c.png"]


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
def test_every_record_of_a_created_object_is_an_image(name: str) -> None:
    for prefix in ("", "s3:"):
        assert len(read(direct(record("a.png", eventName=f"{prefix}ObjectCreated:{name}"))).images) == 1


def test_a_restored_object_is_an_image() -> None:
    assert len(read(direct(record("a.png", eventName="ObjectRestore:Completed"))).images) == 1


@pytest.mark.parametrize(
    "body",
    [through_eventbridge("a", "Object Restore Completed")]
    + [through_cloudtrail("a", name) for name in ("CopyObject", "CompleteMultipartUpload", "PostObject", "POST Object")]
    + [json.dumps(detail_of("a", reason=reason)) for reason in ("POST Object", "CopyObject", "CompleteMultipartUpload")]
    + [json.dumps(detail_of("a", **{"restore-expiry-time": "2026-12-01T00:00:00Z", "source-storage-class": "GLACIER"}))]
    + [json.dumps(detail_of("a"))],
)
def test_every_way_in_which_an_object_arrives_is_an_image(body: str) -> None:
    assert [image.key for image in read(body).images] == ["a"]


@pytest.mark.parametrize(
    ("etag", "plain"),
    [('"abc"', "abc"), ('W/"abc"', "abc"), (" abc ", "abc"), ("abc-2", "abc-2"), ("", None), ('""', None), (7, None)],
    ids=str,
)
def test_an_etag_is_read_without_its_quotes(etag: object, plain: str | None) -> None:
    event = record("a.png")
    event["s3"]["object"]["eTag"] = etag
    assert [image.etag for image in read(direct(event)).images] == [plain]


@pytest.mark.parametrize("size", [-1, True, 1.5, "7", [[]]], ids=str)
def test_an_invalid_size_is_unknown(size: object) -> None:
    event = record("a.png")
    event["s3"]["object"]["size"] = size
    assert [image.size for image in read(direct(event)).images] == [None]


def test_records_of_different_shapes_in_one_message_are_read_each_in_its_own_way() -> None:
    mixed = [
        record("a+1.png"),
        {"body": through_sns(direct(record("b+1.png"))), "eventSource": "aws:sqs"},
        api_call("c+1.png"),
        json.loads(through_eventbridge("d+1.png")),
        direct(record("e+1.png", eventName="ObjectRemoved:Delete")),
        "hello",
        {"Event": "s3:TestEvent"},
    ]
    contents = read(json.dumps({"Records": mixed}))
    assert [image.key for image in contents.images] == ["a+1.png", "b+1.png", "c+1.png", "d+1.png"]
    assert [event.why for event in contents.ignored] == [Ignored.REMOVED, Ignored.TEST_EVENT]
    assert str(contents.problems).startswith("record 5: not an S3 event, and not JSON")


def test_several_records_are_several_images() -> None:
    assert [image.key for image in read(direct(record("a.png"), record("b.png"))).images] == ["a.png", "b.png"]


IMAGE = ImageRef("parts", "a", "abc", None, 7)


@pytest.mark.parametrize(
    ("body", "why", "event", "image"),
    [
        pytest.param(
            '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "parts"}',
            Ignored.TEST_EVENT,
            "s3:TestEvent",
            None,
            id="test",
        ),
        pytest.param(
            through_sns('{"Event": "s3:TestEvent"}'), Ignored.TEST_EVENT, "s3:TestEvent", None, id="test through SNS"
        ),
        *(
            pytest.param(direct(record("a", eventName=name)), why, name, IMAGE, id=name)
            for name, why in {
                "ObjectRemoved:Delete": Ignored.REMOVED,
                "LifecycleExpiration:Delete": Ignored.REMOVED,
                "ObjectTagging:Put": Ignored.NOT_ARRIVAL,
                "ObjectRestore:Post": Ignored.NOT_ARRIVAL,
                "ObjectRestore:Delete": Ignored.NOT_ARRIVAL,
            }.items()
        ),
        *(
            pytest.param(through_eventbridge("a", kind), why, kind, replace(IMAGE, version_id="v1"), id=kind)
            for kind, why in {
                "Object Deleted": Ignored.REMOVED,
                "Object Restore Initiated": Ignored.NOT_ARRIVAL,
                "Object Tags Added": Ignored.NOT_ARRIVAL,
            }.items()
        ),
        *(
            pytest.param(through_cloudtrail("a", name), why, name, ImageRef("parts", "a", None, "v1"), id=name)
            for name, why in {
                "DeleteObject": Ignored.REMOVED,
                "GetObject": Ignored.NOT_ARRIVAL,
                "RestoreObject": Ignored.NOT_ARRIVAL,
            }.items()
        ),
        pytest.param(
            through_cloudtrail("a", errorCode="AccessDenied"),
            Ignored.NOT_ARRIVAL,
            "PutObject",
            ImageRef("parts", "a", None, "v1"),
            id="a call that was refused",
        ),
        pytest.param(
            through_cloudtrail("a", "ListBuckets", requestParameters=None),
            Ignored.NOT_ARRIVAL,
            "ListBuckets",
            None,
            id="a call without a key",
        ),
        pytest.param(
            json.dumps(detail_of("a", reason="DeleteObject", **{"deletion-type": "Permanently Deleted"})),
            Ignored.REMOVED,
            "Object Deleted",
            replace(IMAGE, version_id="v1"),
            id="a detail alone: removed",
        ),
        pytest.param(
            json.dumps(detail_of("a", **{"destination-storage-class": "GLACIER"})),
            Ignored.NOT_ARRIVAL,
            "an event without a name",
            replace(IMAGE, version_id="v1"),
            id="a detail alone: moved",
        ),
    ],
)
def test_an_event_without_a_new_image_is_ignored_with_its_reason_and_its_image(
    body: str, why: Ignored, event: str, image: ImageRef | None
) -> None:
    assert read(body) == Contents(ignored=[IgnoredEvent(why, event, image)])


def test_of_thousands_of_ignored_events_the_first_are_listed_and_the_others_counted() -> None:
    removed = record("a", eventName="ObjectRemoved:Delete")
    contents = read(json.dumps({"Records": [removed] * 2500}))
    assert len(contents.ignored) == 2000
    assert contents.more_ignored == {Ignored.REMOVED: 500}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("hello", "not JSON", id="text"),
        pytest.param("word", "not JSON", id="text that is Base64"),
        pytest.param("aGVsbG8=", "not JSON", id="text as Base64"),
        pytest.param("e25v", "not JSON", id="broken JSON as Base64"),
        pytest.param("[" * 100_000, "not JSON", id="nested without end"),
        pytest.param("9" * 5000, "not JSON", id="a number without end"),
        pytest.param("null", "not an S3 event", id="null"),
        pytest.param('"Records"', "not an S3 event", id="a string"),
        pytest.param("{}", "not an S3 event", id="an empty object"),
        pytest.param('{"Records": []}', "not an S3 event", id="no records"),
        pytest.param('{"Records": "all"}', "not an S3 event", id="records of no list"),
        pytest.param(through_sns("hello"), "not JSON", id="SNS with text"),
        pytest.param('{"Type": "SubscriptionConfirmation", "TopicArn": "t"}', "not confirmed", id="a subscription"),
        pytest.param(
            '{"requestPayload":' * 40 + "1" + "}" * 40, "more than 32 nested envelopes", id="envelopes without end"
        ),
        pytest.param("[" * 40 + "1" + "]" * 40, "more than 32 nested envelopes", id="lists without end"),
        pytest.param(
            '{"source": "our.app", "detail-type": "x", "detail": {}}', "not an S3 event", id="of another source"
        ),
        pytest.param(through_cloudtrail("a", requestParameters=[]), "key has 0 bytes", id="a call without a bucket"),
        pytest.param('{"Records": [1]}', "record 0", id="a record of no object"),
        pytest.param('{"Records": [{"eventName": "ObjectCreated:Put"}]}', "record 0", id="a record without an object"),
        pytest.param(direct(record("a", eventVersion="3.0")), "event version 3.0", id="a later major version"),
        pytest.param(direct(record("")), "key has 0 bytes", id="an empty key"),
        pytest.param(direct(record("x" * 1025)), "key has 1025 bytes", id="a key over 1,024 bytes"),
        pytest.param(through_eventbridge("\ud800"), "not valid Unicode", id="half a surrogate pair"),
        pytest.param(direct(record("a")).replace("abc", "\\ud800"), "not valid Unicode", id="half a pair as eTag"),
        pytest.param(through_eventbridge("a").replace("v1", "\\ud800"), "not valid Unicode", id="half a pair, version"),
        pytest.param(direct(record("a")).replace('"a"', '"%ff"'), "not valid UTF-8", id="bytes that are not UTF-8"),
        pytest.param('{"source": "aws.s3", "detail-type": "Object Created", "detail": {}}', "detail", id="no detail"),
    ],
)
def test_an_unknown_message_is_a_problem_and_never_an_exception(body: str, says: str) -> None:
    contents = read(body)
    assert contents.images == []
    assert says in str(contents.problems)


def test_an_unknown_record_does_not_hide_its_neighbour() -> None:
    contents = read(direct(record("a.png"), {"eventName": "ObjectCreated:Put"}))
    assert [image.key for image in contents.images] == ["a.png"]
    assert len(contents.problems.first) == 1
