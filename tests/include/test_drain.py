"""The drain: every message to its end, whatever it says, and none held longer than it is worked on."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import boto3
import pytest

from include import drain as drain_module
from include import in_flight
from include.drain import DrainError, RefusedError, Tally
from include.journal import read_lines
from include.labels import final_key
from include.messages import ImageRef
from tests.conftest import Aws
from tests.include.conftest import RUN, MakeDrain, client
from tests.include.test_messages import direct, record, through_eventbridge, through_sns

LABELS = [{"Name": "scratch", "Confidence": 97.1}]


def send(aws: Aws, body: str) -> None:
    aws.sqs.send_message(QueueUrl=aws.settings.queue_url, MessageBody=body)


def receive(aws: Aws) -> list[Any]:
    return aws.sqs.receive_message(QueueUrl=aws.settings.queue_url, MaxNumberOfMessages=10).get("Messages", [])


def clear(aws: Aws) -> None:
    """Take the events away that the uploads made, for a test that sends its own."""
    for message in receive(aws):
        aws.sqs.delete_message(QueueUrl=aws.settings.queue_url, ReceiptHandle=message["ReceiptHandle"])


def wait_for(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.02)


def test_a_backlog_is_drained_and_the_queue_is_empty(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(30):
        aws.upload(f"{number}.png", picture + bytes([number]))
    assert make_drain().run() == Tally(labelled=30)
    assert (aws.depth(), aws.source_keys(), len(aws.final_keys())) == ((0, 0), [], 60)


def test_an_empty_queue_ends_the_drain_at_once(make_drain: MakeDrain) -> None:
    started = time.monotonic()
    assert str(make_drain().run()) == "nothing to do"
    assert time.monotonic() - started < 10


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
def test_however_an_image_is_announced_it_is_labelled_once(
    aws: Aws, make_drain: MakeDrain, picture: bytes, wrap: Any
) -> None:
    key = "line 3/100%+é.png"
    etag = aws.upload(key, picture)
    clear(aws)
    for _ in range(2):  # and delivered twice
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
def test_an_upload_that_takes_a_detour_to_the_queue_is_labelled(
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
    assert make_drain().run() == Tally(labelled=1, rejected=1)
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
    make_drain().run()
    assert aws.keys(foreign) == ["a.png"]
    assert [key for key in aws.final_keys() if not key.startswith("rejected/messages/")] == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"Service": "Amazon S3", "Event": "s3:TestEvent"}', id="test event"),
        pytest.param(direct(record("a.png", eventName="ObjectRemoved:Delete")), id="removed"),
    ],
)
def test_an_event_that_asks_for_nothing_is_counted_and_deleted(aws: Aws, make_drain: MakeDrain, body: str) -> None:
    send(aws, body)
    assert make_drain().run() == Tally(ignored=1)
    assert (aws.depth(), aws.final_keys()) == ((0, 0), [])


def test_the_journal_has_a_line_for_each_image(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    aws.upload("猫\u2028.png", picture)
    aws.upload("bad.png", b"text")
    make_drain().run()
    lines = list(read_lines(aws.s3, aws.settings.final_bucket, RUN.run_id))
    assert {(line["source"]["key"], line["outcome"]) for line in lines} == {
        ("猫\u2028.png", "labelled"),
        ("bad.png", "rejected"),
    }


def test_at_the_deadline_the_rest_stays_in_the_queue(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(20):
        aws.upload(f"{number}.png", picture)

    def slow(*_: Any) -> list[dict[str, Any]]:
        time.sleep(0.3)
        return LABELS

    tally = make_drain(detect=slow, workers=2, seconds=1.5).run()
    assert 0 < tally.labelled < 20
    assert len(aws.source_keys()) == 20 - tally.labelled
    assert aws.depth() == (20 - tally.labelled, 0)


def test_a_stop_gives_back_what_is_held_within_airflows_five_seconds(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    for number in range(10):
        aws.upload(f"{number}.png", picture)
    working = threading.Event()
    release = threading.Event()

    def hanging(*_: Any) -> list[dict[str, Any]]:
        working.set()
        release.wait(20)
        return LABELS

    drain = make_drain(detect=hanging, workers=3)
    thread = threading.Thread(target=drain.run)
    thread.start()
    working.wait(10)
    started = time.monotonic()
    drain.stop()
    thread.join(10)
    took = time.monotonic() - started
    depth = aws.depth()
    release.set()
    assert took < 5
    assert depth == (10, 0)


def test_messages_in_work_are_kept_from_others_by_the_heartbeat(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.image_queue.VISIBILITY_SECONDS", 2)
    monkeypatch.setattr(in_flight, "VISIBILITY_SECONDS", 2)
    monkeypatch.setattr(in_flight, "_HEARTBEAT_SECONDS", 0.5)
    aws.upload("a.png", picture)
    seen_by_others: list[int] = []

    def slow(*_: Any) -> list[dict[str, Any]]:
        for _n in range(4):
            time.sleep(1)
            seen_by_others.append(len(receive(aws)))
        return LABELS

    assert make_drain(detect=slow).run() == Tally(labelled=1)
    assert seen_by_others == [0, 0, 0, 0]


def test_the_drain_waits_for_messages_that_others_hold_and_may_give_back(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    (message,) = receive(aws)
    handle = {"QueueUrl": aws.settings.queue_url, "ReceiptHandle": message["ReceiptHandle"]}
    threading.Timer(3, lambda: aws.sqs.change_message_visibility(**handle, VisibilityTimeout=0)).start()
    assert make_drain().run() == Tally(labelled=1)


def test_the_drain_does_not_wait_for_them_for_ever(
    aws: Aws, make_drain: MakeDrain, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_PATIENCE_SECONDS", 2)
    aws.upload("a.png", picture)
    receive(aws)
    assert make_drain().run() == Tally()


def test_a_worker_that_takes_long_does_not_disturb_the_receiver(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    aws.upload("a.png", picture)
    aws.upload("b.png", picture)

    def slow(*_: Any) -> list[dict[str, Any]]:
        time.sleep(2.5)
        return LABELS

    assert make_drain(detect=slow, workers=1).run() == Tally(labelled=2)


def test_two_drains_share_a_queue_and_each_image_is_labelled_once(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    for number in range(40):
        aws.upload(f"{number}.png", picture + bytes([number]))
    drains = [make_drain(), make_drain()]
    threads = [threading.Thread(target=drain.run) for drain in drains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    tallies = [drain.tally for drain in drains]
    assert sum(tally.labelled for tally in tallies) == 40
    assert all(tally.labelled for tally in tallies)
    assert (aws.depth(), aws.source_keys()) == ((0, 0), [])


def test_an_image_that_fails_is_tried_again_and_then_rejected(
    aws: Aws, make_drain: MakeDrain, picture: bytes, quick_retries: None
) -> None:
    aws.upload("poison.png", picture)
    aws.upload("good.png", picture)
    aws.fail("rekognition", "DetectCustomLabels", status=500, key="poison")
    assert make_drain(max_receives=3).run() == Tally(labelled=1, rejected=1, failed=2)
    assert aws.depth() == (0, 0)


@pytest.mark.parametrize(
    ("service", "operation", "status", "code"),
    [
        pytest.param("rekognition", "DetectCustomLabels", 400, "AccessDeniedException", id="detect"),
        pytest.param("s3", "CopyObject", 403, "AccessDenied", id="copy"),
        pytest.param("sqs", "DeleteMessageBatch", 403, "AccessDenied", id="delete message"),
        pytest.param("sqs", "ReceiveMessage", 403, "AccessDenied", id="receive"),
    ],
)
def test_a_refused_call_ends_the_drain_naming_it_and_nothing_is_lost(
    aws: Aws, make_drain: MakeDrain, picture: bytes, service: str, operation: str, status: int, code: str
) -> None:
    for number in range(5):
        aws.upload(f"{number}.png", picture)
    aws.fail(service, operation, status=status, code=code)
    with pytest.raises(RefusedError, match=f"{code}.*{operation}"):
        make_drain().run()
    aws.control("faults", "DELETE")
    assert sum(aws.depth()) == 5
    assert aws.depth()[1] == 0
    make_drain().run()
    assert (aws.depth(), aws.source_keys(), len(aws.final_keys())) == ((0, 0), [], 10)


def test_a_service_that_is_down_ends_the_drain_before_deliveries_are_used_up(
    aws: Aws, make_drain: MakeDrain, picture: bytes, quick_retries: None
) -> None:
    for number in range(60):
        aws.upload(f"{number}.png", picture)
    aws.fail("rekognition", "DetectCustomLabels", status=500)
    with pytest.raises(DrainError, match="images in a row") as caught:
        make_drain(max_receives=5).run()
    assert not isinstance(caught.value, RefusedError)
    assert (aws.final_keys(), len(aws.source_keys())) == ([], 60)


class SomeDeletesFail:
    """SQS that answers 200 with a `Failed` list, once for each message."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self.failed: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803  # boto3's own names
        fresh = [entry for entry in Entries if entry["ReceiptHandle"] not in self.failed]
        self.failed.update(entry["ReceiptHandle"] for entry in fresh)
        rest = [entry for entry in Entries if entry not in fresh]
        if rest:
            self._sqs.delete_message_batch(QueueUrl=QueueUrl, Entries=rest)
        return {"Failed": [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in fresh]}


def test_a_delete_that_sqs_failed_is_made_again(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    for number in range(12):
        aws.upload(f"{number}.png", picture)
    sqs = SomeDeletesFail(client("sqs"))
    assert make_drain(sqs=sqs).run() == Tally(labelled=12)
    assert len(sqs.failed) == 12
    assert aws.depth() == (0, 0)
