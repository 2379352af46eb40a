"""The queue: the messages that S3 sends to it, and the guarantees of SQS."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError

from local_aws.sqs.models import LocalSQSBackend
from tests.local_aws.conftest import Aws, receive

#: Queues without oddities, which test_queue_oddities.py tests.
pytestmark = pytest.mark.usefixtures("plain_aws")
COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]


def counts(sqs: Any, url: str) -> tuple[str, ...]:
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTS)["Attributes"]
    return tuple(attributes[name] for name in COUNTS)


def records(aws: Aws, sqs: Any) -> list[dict[str, Any]]:
    return [record for message in receive(sqs, aws.queue_url) for record in json.loads(message["Body"])["Records"]]


@pytest.fixture
def url(request: pytest.FixtureRequest, sqs: Any) -> str:
    name = re.sub(r"\W", "-", request.node.name)[:80]
    return str(sqs.create_queue(QueueName=name)["QueueUrl"])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG"])
def test_a_picture_is_announced_whichever_case_its_suffix_has(aws: Aws, s3: Any, sqs: Any, suffix: str) -> None:
    s3.put_object(Bucket=aws.source, Key=f"a/b c+é%{suffix}", Body=b"1234")
    (record,) = records(aws, sqs)
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["eventSource"] == "aws:s3"
    assert record["eventVersion"].startswith("2.")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["eventTime"])
    assert record["s3"]["bucket"]["name"] == aws.source
    stored = record["s3"]["object"]
    assert stored["key"] == f"a/b+c%2B%C3%A9%25{suffix}"
    assert (unquote_plus(stored["key"]), stored["size"]) == (f"a/b c+é%{suffix}", 4)
    assert stored["eTag"] == s3.head_object(Bucket=aws.source, Key=f"a/b c+é%{suffix}")["ETag"].strip('"')
    assert re.fullmatch(r"[0-9A-F]+", stored["sequencer"])
    assert "versionId" not in stored


@pytest.mark.parametrize("key", ["notes.txt", "picture.Jpg", "png", "picture.png.json"])
def test_other_files_are_not_announced(aws: Aws, s3: Any, sqs: Any, key: str) -> None:
    s3.put_object(Bucket=aws.source, Key=key, Body=b"1")
    assert records(aws, sqs) == []


def test_nothing_is_announced_from_the_final_bucket_or_by_a_delete(aws: Aws, s3: Any, sqs: Any) -> None:
    s3.put_object(Bucket=aws.final, Key="a.png", Body=b"1")
    s3.delete_object(Bucket=aws.final, Key="a.png")
    s3.delete_object(Bucket=aws.source, Key="a.png")
    assert records(aws, sqs) == []


def test_copies_and_multipart_uploads_are_announced_by_their_own_names(aws: Aws, s3: Any, sqs: Any) -> None:
    s3.put_object(Bucket=aws.final, Key="a.png", Body=b"1")
    s3.copy_object(Bucket=aws.source, Key="copy.png", CopySource={"Bucket": aws.final, "Key": "a.png"})
    place = {"Bucket": aws.source, "Key": "big.png"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"1")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)
    names = {record["s3"]["object"]["key"]: record["eventName"] for record in records(aws, sqs)}
    assert names == {"copy.png": "ObjectCreated:Copy", "big.png": "ObjectCreated:CompleteMultipartUpload"}


def test_the_sequencer_orders_the_events_of_a_key(aws: Aws, s3: Any, sqs: Any) -> None:
    etags = [s3.put_object(Bucket=aws.source, Key="a.png", Body=bytes([n]))["ETag"].strip('"') for n in range(5)]
    found = sorted((record["s3"]["object"] for record in records(aws, sqs)), key=lambda stored: stored["sequencer"])
    assert [stored["eTag"] for stored in found] == etags


def test_a_versioned_bucket_tells_the_version_and_a_new_notification_is_tested(s3: Any, sqs: Any, url: str) -> None:
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.create_bucket(Bucket="announced")
    s3.put_bucket_versioning(Bucket="announced", VersioningConfiguration={"Status": "Enabled"})
    rule = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="announced", NotificationConfiguration={"QueueConfigurations": [rule]}
    )
    (test_event,) = receive(sqs, url)
    assert json.loads(test_event["Body"])["Event"] == "s3:TestEvent"
    version = s3.put_object(Bucket="announced", Key="a", Body=b"1")["VersionId"]
    (message,) = receive(sqs, url)
    assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["versionId"] == version


def test_a_record_can_come_through_a_topic(aws: Aws, s3: Any, sqs: Any, url: str) -> None:
    sns = aws.client("sns")
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="pictures")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    s3.create_bucket(Bucket="through-a-topic")
    rule = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="through-a-topic", NotificationConfiguration={"TopicConfigurations": [rule]}
    )
    s3.put_object(Bucket="through-a-topic", Key="a b.png", Body=b"1")
    told = [json.loads(json.loads(message["Body"])["Message"]) for message in receive(sqs, url)]
    assert told[0]["Event"] == "s3:TestEvent"
    assert told[1]["Records"][0]["s3"]["object"]["key"] == "a+b.png"


def test_an_event_can_come_through_event_bridge_with_its_key_as_it_is(aws: Aws, s3: Any, sqs: Any, url: str) -> None:
    events = aws.client("events")
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    s3.create_bucket(Bucket="through-the-bus")
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["through-the-bus"]}},
    }
    events.put_rule(Name="pictures", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="pictures", Targets=[{"Id": "queue", "Arn": arn}])
    s3.put_bucket_notification_configuration(
        Bucket="through-the-bus", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    etags = [s3.put_object(Bucket="through-the-bus", Key="a b+c%.png", Body=body)["ETag"] for body in (b"1", b"2")]
    told = [json.loads(message["Body"]) for message in receive(sqs, url)]
    assert [event["detail"]["object"]["key"] for event in told] == ["a b+c%.png"] * 2
    assert [f'"{event["detail"]["object"]["etag"]}"' for event in told] == etags
    assert told[0]["detail"]["object"]["sequencer"] < told[1]["detail"]["object"]["sequencer"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"]) for event in told)
    assert told[0]["detail"]["reason"] == "PutObject"


def test_the_queue_starts_empty_with_a_dead_letter_queue_and_a_policy(aws: Aws, sqs: Any) -> None:
    attributes = sqs.get_queue_attributes(QueueUrl=aws.queue_url, AttributeNames=["All"])["Attributes"]
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["maxReceiveCount"] == 10
    assert redrive["deadLetterTargetArn"] == attributes["QueueArn"] + "-dead-letters"
    statement, _ = json.loads(attributes["Policy"])["Statement"]
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == f"arn:aws:s3:::{aws.source}"
    assert counts(sqs, aws.queue_url) == ("0", "0", "0")


def test_counts_follow_a_message_through_its_life(sqs: Any, url: str) -> None:
    for number in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=60)
    assert counts(sqs, url) == ("3", "0", "1")
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2, VisibilityTimeout=60)["Messages"]
    assert counts(sqs, url) == ("1", "2", "1")
    handles = [message["ReceiptHandle"] for message in messages]
    sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": handles[0], "VisibilityTimeout": 0}]
    )
    assert counts(sqs, url) == ("2", "1", "1")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handles[1])
    assert counts(sqs, url) == ("2", "0", "1")


def test_a_message_returns_after_its_visibility_timeout_and_counts_its_receives(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="again")
    for times in ("1", "2"):
        (message,) = sqs.receive_message(
            QueueUrl=url,
            VisibilityTimeout=60,
            WaitTimeSeconds=20,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )["Messages"]
        assert message["Attributes"] == {"ApproximateReceiveCount": times}
        assert "Messages" not in sqs.receive_message(QueueUrl=url)
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=1)


def test_an_extended_message_stays_invisible_and_12_hours_is_the_limit(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="held")
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=7)["Messages"]
    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=60)
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=8)
    with pytest.raises(ClientError, match="VisibilityTimeout"):
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=43_200)


def test_a_batch_answers_for_each_entry(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="one")
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    entries = [{"Id": "good", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "bad", "ReceiptHandle": "x"}]
    changes = [{**entry, "VisibilityTimeout": 5} for entry in entries]
    for answer in (
        sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes),
        sqs.delete_message_batch(QueueUrl=url, Entries=entries),
    ):
        assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
        assert [(entry["Id"], entry["Code"]) for entry in answer["Failed"]] == [("bad", "ReceiptHandleIsInvalid")]
    again = sqs.delete_message_batch(QueueUrl=url, Entries=entries[:1])
    assert [entry["Id"] for entry in again["Successful"]] == ["good"]


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(sqs: Any, url: str) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert counts(sqs, url) == ("0", "0", "0")
    assert [message["Body"] for message in receive(sqs, dead)] == ["poison"]


def test_a_long_poll_ends_when_a_message_arrives_and_delays_no_other_call(aws: Aws, sqs: Any, url: str) -> None:
    answers: list[tuple[float, Any]] = []

    def poll() -> None:
        answer = aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)
        answers.append((time.monotonic(), answer))

    threads = [threading.Thread(target=poll) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    began = time.monotonic()
    sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    assert time.monotonic() - began < 10, "it must not wait for the end of a poll, 20 seconds"
    for number in range(2):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    sent = time.monotonic()
    for thread in threads:
        thread.join(30)
    assert [len(answer["Messages"]) for _, answer in answers] == [1, 1]
    assert max(ended for ended, _ in answers) - sent < 10, "the polls must not last their 20 seconds"


def test_many_senders_and_receivers_lose_and_double_nothing() -> None:
    sqs = LocalSQSBackend("us-east-1", "123456789012")
    sqs.create_queue("busy")
    received: list[str] = []

    def send(sender: int) -> None:
        for number in range(300):
            sqs.send_message("busy", f"{sender}-{number}")

    def take(_: int) -> None:
        while len(received) < 1200:
            for message in sqs.receive_message("busy", 10, 0, 60):
                sqs.delete_message("busy", str(message.receipt_handle))
                received.append(message.body)

    with ThreadPoolExecutor(8) as threads:
        tasks = [threads.submit(work, n) for n in range(4) for work in (send, take)]
        for task in tasks:
            task.result(60)
    assert sorted(received) == sorted(f"{sender}-{number}" for sender in range(4) for number in range(300))


def test_a_long_queue_is_as_fast_as_a_short_one() -> None:
    sqs = LocalSQSBackend("us-east-1", "123456789012")
    sqs.create_queue("long")

    def seconds() -> float:
        began = time.thread_time()
        for _ in range(50):
            for message in sqs.receive_message("long", 10, 0, 60):
                sqs.delete_message("long", str(message.receipt_handle))
            sqs.get_queue_attributes("long", ["ApproximateNumberOfMessages"])
        return time.thread_time() - began

    for number in range(500):
        sqs.send_message("long", str(number))
    short = seconds()
    for number in range(20_000):
        sqs.send_message("long", str(number))
    assert seconds() < 5 * short + 0.5
