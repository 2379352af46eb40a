"""The drain, message by message: each form of an announcement, and its outcome."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from label_detection_core.drain.message_worker import Tally
from label_detection_core.labelling.keys import final_key
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeDrain
from tests.core.queues import clear, send, wait_for
from tests.core.refusals import OBJECTS, kept, upload_refused
from tests.core.test_messages import direct, record, through_eventbridge, through_sns


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda bucket, key, etag: direct(event(bucket, key, etag)), id="direct"),
        pytest.param(lambda bucket, key, etag: through_sns(direct(event(bucket, key, etag))), id="through SNS"),
        pytest.param(
            lambda bucket, key, etag: through_eventbridge(key).replace('"parts"', f'"{bucket}"').replace("abc", etag),
            id="through EventBridge",
        ),
        pytest.param(
            lambda bucket, key, etag: direct(event(bucket, key, etag), event(bucket, key, etag)),
            id="twice in one message",
        ),
    ],
)
def test_an_image_is_labelled_once_for_each_form_of_announcement(
    aws: Aws, make_drain: MakeDrain, picture: bytes, wrap: Any
) -> None:
    key = "line 3/100%+é.png"
    etag = aws.upload(key, picture)
    clear(aws)
    for _ in range(2):  # and SQS delivers it twice
        send(aws, wrap(aws.settings.source_bucket, key, etag))
    make_drain(workers=1).run()
    final = final_key(ImageRef(aws.settings.source_bucket, key, etag))
    assert (sorted(aws.final_keys()), aws.source_keys(), aws.depth()) == ([final, f"{final}.json"], [], (0, 0))


def announce_through_sns(aws: Aws, queue_arn: str) -> None:
    sns = boto3.client("sns")
    topic = sns.create_topic(Name=aws.settings.source_bucket)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn)
    announce(aws, TopicConfigurations=[{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}])


def announce_through_eventbridge(aws: Aws, queue_arn: str) -> None:
    events = boto3.client("events")
    rule = aws.settings.source_bucket
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": [rule]}}}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": queue_arn}])
    announce(aws, EventBridgeConfiguration={})


def announce(aws: Aws, **configuration: Any) -> None:
    bucket = aws.settings.source_bucket
    aws.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)  # type: ignore[arg-type]
    clear(aws)  # s3:TestEvent


@pytest.mark.parametrize("route", [announce_through_sns, announce_through_eventbridge])
def test_an_upload_announced_through_another_service_is_labelled(
    aws: Aws, make_drain: MakeDrain, picture: bytes, route: Any
) -> None:
    names: Any = ["QueueArn"]
    attributes = aws.sqs.get_queue_attributes(QueueUrl=aws.settings.queue_url, AttributeNames=names)["Attributes"]
    route(aws, attributes["QueueArn"])
    key = "line 3/100%+é %2B.png"
    etag = aws.upload(key, picture)
    wait_for(lambda: aws.depth()[0] == 1)
    assert make_drain().run() == Tally(labelled=1)
    assert final_key(ImageRef(aws.settings.source_bucket, key, etag)) in aws.final_keys()


def event(bucket: str, key: str, etag: str) -> dict[str, Any]:
    made = record(key, bucket)
    made["s3"]["object"]["eTag"] = etag
    return made


def test_several_images_in_one_message_are_each_labelled(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    etags = {key: aws.upload(key, picture) for key in ("a.png", "b.png", "c.png")}
    clear(aws)
    send(aws, direct(*(event(aws.settings.source_bucket, key, etag) for key, etag in etags.items())))
    assert make_drain().run() == Tally(labelled=3)


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        pytest.param("hello", "UnknownMessage", "not JSON", id="no JSON"),
        pytest.param('{"a": 1}', "UnknownMessage", "not an S3 event", id="no shape we know"),
        pytest.param(direct(record("a.png", "foreign")), "ForeignBucket", "'foreign' is not the source", id="foreign"),
    ],
)
def test_a_message_that_announces_no_image_of_ours_is_kept_and_does_not_block(
    aws: Aws, make_drain: MakeDrain, picture: bytes, body: str, code: str, says: str
) -> None:
    send(aws, body)
    aws.upload("good.png", picture)
    tally = make_drain().run()
    assert (tally.labelled, tally.rejected) == (1, 1)  # messages of another bucket may arrive before our first one
    (key,) = [key for key in aws.final_keys() if key.startswith("rejected/messages/")]
    document = json.loads(aws.read(key))
    assert document["message"]["body"] == body
    assert key == f"rejected/messages/{document['message']['id']}.json"
    assert document["error"]["code"] == code
    assert says in document["error"]["message"]
    assert aws.depth() == (0, 0)


def test_an_object_of_a_foreign_bucket_is_not_touched(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    foreign = f"{aws.settings.source_bucket}-foreign"
    aws.s3.create_bucket(Bucket=foreign)
    etag = aws.s3.put_object(Bucket=foreign, Key="a.png", Body=picture)["ETag"].strip('"')
    send(aws, direct(event(foreign, "a.png", etag)))
    make_drain(max_receives=1).run()
    assert aws.keys(foreign) == ["a.png"]
    assert [key for key in aws.final_keys() if not key.startswith("rejected/messages/")] == []


@pytest.mark.parametrize("kind", OBJECTS)
def test_images_beside_one_that_s3_refuses_are_all_labelled_in_the_first_run(
    aws: Aws, make_drain: MakeDrain, picture: bytes, kind: str
) -> None:
    upload_refused(aws, kind, "odd.png", picture)
    for number in range(10):
        aws.upload(f"{number}.png", picture)
    tally = make_drain(max_receives=2).run()
    assert (tally.labelled, tally.rejected, tally.unreadable) == (10, 0, 1)
    assert (aws.source_keys(), aws.depth()) == (["odd.png"], (0, 0))
    (document,) = kept(aws)
    assert f"s3://{aws.settings.source_bucket}/odd.png" in document["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"Service": "Amazon S3", "Event": "s3:TestEvent"}', id="test event"),
        pytest.param(direct(record("a.png", eventName="ObjectRemoved:Delete")), id="removed"),
    ],
)
def test_an_event_without_a_new_image_is_counted_and_deleted(aws: Aws, make_drain: MakeDrain, body: str) -> None:
    send(aws, body)
    assert make_drain().run() == Tally(ignored=1)
    assert (aws.depth(), aws.final_keys()) == ((0, 0), [])
