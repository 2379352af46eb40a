"""Buckets, queue, topics and rules, with every way in which S3 can announce an image on the queue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.waiting import wait_until
from tests.localstack.server import ACCOUNT, REGION, Aws, Maker

_WAIT_SECONDS = 60


class Way(StrEnum):
    """How S3 announces an upload. The value is the folder of the source bucket with this notification."""

    DIRECT = "direct"
    SNS = "sns"
    RAW = "sns-raw"  # raw message delivery: the queue receives S3's message without the SNS envelope
    EVENTBRIDGE = "eventbridge"
    EVENTBRIDGE_SNS = "eventbridge-sns"


#: moto, the basis of the embedded AWS, does not support SNS topics as EventBridge targets.
WAYS = {Maker.LOCALSTACK: tuple(Way), Maker.EMBEDDED: tuple(way for way in Way if way is not Way.EVENTBRIDGE_SNS)}

#: Folders whose uploads are not announced, but whose deletions are.
QUIET, REMOVED = "quiet", "removed"
FOREIGN_BUCKET = "outcomes-foreign"


@dataclass(frozen=True)
class Resources:
    """The source bucket, the final bucket and the queue."""

    aws: Aws
    source_bucket: str
    final_bucket: str
    queue_url: str

    def waiting(self) -> int:
        """The number of waiting messages in the queue."""
        return self._depth()[0]

    def is_empty(self) -> bool:
        """Whether no message is waiting, delayed or in flight."""
        return self._depth() == (0, 0, 0)

    def wait_for_messages(self, count: int) -> None:
        """Wait until the queue has this number of messages."""
        wait_until(lambda: self.waiting() >= count, _WAIT_SECONDS, f"{count} messages in the queue")

    def _depth(self) -> tuple[int, ...]:
        """Messages waiting, in flight and delayed. Exact for the embedded AWS, whose GetQueueAttributes lags."""
        if self.aws.maker is Maker.EMBEDDED:
            queue = self.aws.control(f"queues/{self.queue_url.rpartition('/')[2]}")
            return queue["visible"], queue["in_flight"], queue["delayed"]
        names: Any = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        answer: Any = self.aws.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return tuple(int(answer[name]) for name in names)


def make_place(aws: Aws, name: str) -> Resources:
    """Create all resources. Each way has a folder of the source bucket."""
    place = Resources(aws, f"{name}-source", f"{name}-final", aws.sqs.create_queue(QueueName=name)["QueueUrl"])
    for bucket in (place.source_bucket, place.final_bucket, FOREIGN_BUCKET):
        aws.s3.create_bucket(Bucket=bucket)
    queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    topics = {way: _topic(aws, f"{name}-{way}", queue_arn, raw=way is Way.RAW) for way in (Way.SNS, Way.RAW)}
    bus_topic = _topic(aws, f"{name}-{Way.EVENTBRIDGE_SNS}", queue_arn, raw=False)
    _allow(aws, place.queue_url, queue_arn)
    _rule(aws, f"{name}-queue", f"{Way.EVENTBRIDGE}/", queue_arn)
    _rule(aws, f"{name}-topic", f"{Way.EVENTBRIDGE_SNS}/", bus_topic)
    configuration: Any = {
        "QueueConfigurations": [
            {"QueueArn": queue_arn, **_events(Way.DIRECT, "s3:ObjectCreated:*")},
            {"QueueArn": queue_arn, **_events(REMOVED, "s3:ObjectRemoved:*")},
        ],
        "TopicConfigurations": [{"TopicArn": arn, **_events(way, "s3:ObjectCreated:*")} for way, arn in topics.items()],
        "EventBridgeConfiguration": {},
    }
    aws.s3.put_bucket_notification_configuration(Bucket=place.source_bucket, NotificationConfiguration=configuration)
    return place


def _events(folder: str, event: str) -> Any:
    rules = [{"Name": "prefix", "Value": f"{folder}/"}]
    return {"Events": [event], "Filter": {"Key": {"FilterRules": rules}}}


def _topic(aws: Aws, name: str, queue_arn: str, *, raw: bool) -> str:
    sns = aws.client("sns")
    arn = str(sns.create_topic(Name=name)["TopicArn"])
    attributes = {"RawMessageDelivery": "true"} if raw else {}
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn, Attributes=attributes)
    return arn


def _allow(aws: Aws, queue_url: str, queue_arn: str) -> None:
    """Set the policy that AWS needs; LocalStack ignores it."""
    services: Sequence[str] = [f"{service}.amazonaws.com" for service in ("s3", "sns", "events")]
    allow = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sqs:SendMessage", "Resource": queue_arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    aws.sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})


def _rule(aws: Aws, name: str, prefix: str, target_arn: str) -> None:
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created", "Object Deleted"],
        "detail": {"object": {"key": [{"prefix": prefix}]}},
    }
    events = aws.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": target_arn}])
