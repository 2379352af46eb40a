"""CloudWatch's metric for the age of a queue's oldest message."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.local_aws.conftest import Aws

#: Each message is received once, without delay.
pytestmark = pytest.mark.usefixtures("plain_aws")
Ask = Any


@pytest.fixture
def ask(aws: Aws) -> Ask:
    """Returns the data points of a queue's last ten minutes."""
    cloudwatch = aws.client("cloudwatch")

    def ask(queue: str) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        found: list[dict[str, Any]] = cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": queue}],
            StartTime=now - timedelta(minutes=10),
            EndTime=now,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return found

    return ask


def age(points: list[dict[str, Any]]) -> float:
    (point,) = points
    assert point["Unit"] == "Seconds"
    return float(point["Maximum"])


def test_the_age_is_of_the_oldest_message_until_it_is_deleted(sqs: Any, ask: Ask) -> None:
    url = sqs.create_queue(QueueName="ages")["QueueUrl"]
    other = sqs.create_queue(QueueName="ages-of-another")["QueueUrl"]
    sqs.send_message(QueueUrl=other, MessageBody="older")
    time.sleep(1.1)
    sqs.send_message(QueueUrl=url, MessageBody="old")
    time.sleep(3.1)
    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="new")
    first = age(ask("ages"))
    assert age(ask("ages-of-another")) > first >= 3
    (old,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    assert age(ask("ages")) >= first
    sqs.delete_message(QueueUrl=url, ReceiptHandle=old["ReceiptHandle"])
    assert age(ask("ages")) <= time.monotonic() - sent


def test_a_message_received_three_times_is_moved_to_the_back(sqs: Any, ask: Ask) -> None:
    url = sqs.create_queue(QueueName="moved-back")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    time.sleep(2.1)
    for _ in range(3):
        assert sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    alone = age(ask("moved-back"))
    assert alone >= 2
    sent = time.monotonic()
    sqs.send_message(QueueUrl=url, MessageBody="new")
    assert age(ask("moved-back")) <= time.monotonic() - sent


@pytest.mark.parametrize("queue", ["empty", "not-there"])
def test_a_queue_without_a_message_has_no_points(sqs: Any, ask: Ask, queue: str) -> None:
    sqs.create_queue(QueueName="empty")
    assert ask(queue) == []
