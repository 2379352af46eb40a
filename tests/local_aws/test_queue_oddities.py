"""The oddities of SQS queues: old counts, short polls that see a part, second deliveries."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from tests.local_aws.conftest import Aws, until

NAMES = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
Put = Callable[..., Any]


@pytest.fixture
def put_oddities(plain_aws: Aws) -> Put:
    """Sets oddities; all others are off."""
    return lambda **knobs: plain_aws.control("oddities", "PUT", knobs)


@pytest.fixture
def name(sqs: Any) -> str:
    """A new queue for the test."""
    name = f"odd-{uuid4().hex[:8]}"
    sqs.create_queue(QueueName=name)
    return name


@pytest.fixture
def url(sqs: Any, name: str) -> str:
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])


def send(sqs: Any, url: str, count: int, **more: Any) -> None:
    for number in range(count):
        sqs.send_message(QueueUrl=url, MessageBody=str(number), **more)


def counts(sqs: Any, url: str, names: list[str] = NAMES) -> list[int]:
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return [int(attributes[name]) for name in NAMES]


@pytest.mark.parametrize("names", [NAMES, ["All"]], ids=["by name", "all"])
def test_counts_are_as_old_as_configured(sqs: Any, url: str, put_oddities: Put, names: list[str]) -> None:
    put_oddities(count_age=1.5)
    shown = [0, 0, 0]

    def shows_late(change: Callable[[], object], expected: list[int]) -> None:
        began = time.monotonic()
        change()
        at_first = counts(sqs, url, names)
        assert at_first == shown or time.monotonic() - began >= 1.5
        until(lambda: counts(sqs, url, names) == expected)
        assert time.monotonic() - began >= 1.4
        shown[:] = expected

    def send_four() -> None:
        send(sqs, url, 3)
        send(sqs, url, 1, DelaySeconds=60)

    def hide(seconds: int) -> None:
        for message in received:
            handle = message["ReceiptHandle"]
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    def delete() -> None:
        for message in received:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    received: list[Any] = []
    receive = partial(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=2, VisibilityTimeout=60)
    shows_late(send_four, [3, 0, 1])
    shows_late(lambda: received.extend(receive()["Messages"]), [1, 2, 1])
    shows_late(lambda: hide(1), [3, 0, 1])
    shows_late(delete, [1, 0, 1])


def test_counts_can_be_a_minute_old_and_the_control_page_never_is(
    plain_aws: Aws, sqs: Any, name: str, url: str, put_oddities: Put
) -> None:
    put_oddities(count_age=60)
    send(sqs, url, 3)
    send(sqs, url, 1, DelaySeconds=60)
    sqs.receive_message(QueueUrl=url, VisibilityTimeout=60)
    assert counts(sqs, url) == [0, 0, 0]
    exact = {"name": name, "visible": 2, "in_flight": 1, "delayed": 1, "second_deliveries": 0}
    assert plain_aws.control(f"queues/{name}") == exact
    assert exact in plain_aws.control("queues")
    sqs.purge_queue(QueueUrl=url)
    emptied = {"visible": 0, "in_flight": 0, "delayed": 0, "second_deliveries": 0}
    assert plain_aws.control(f"queues/{name}") == {"name": name} | emptied


def test_counts_settle_on_demand_and_lag_again_after(
    plain_aws: Aws, sqs: Any, name: str, url: str, put_oddities: Put
) -> None:
    put_oddities(count_age=60)
    send(sqs, url, 3)
    assert plain_aws.control(f"queues/{name}", "DELETE")["visible"] == 3
    assert counts(sqs, url) == [3, 0, 0]
    send(sqs, url, 1)
    assert counts(sqs, url) == [3, 0, 0]


def test_the_age_is_drawn_for_each_look(sqs: Any, url: str, put_oddities: Put) -> None:
    put_oddities(count_age=[0, 30], seed=1)
    send(sqs, url, 1)
    time.sleep(2)
    assert len({counts(sqs, url)[0] for _ in range(150)}) == 2


def bodies(sqs: Any, url: str, **more: Any) -> list[str]:
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, **more)
    return [message["Body"] for message in answer.get("Messages", [])]


@pytest.mark.parametrize(
    ("share", "wait", "least", "most"),
    [
        pytest.param(0.5, 0, 0, 9, id="a short poll sees a part"),
        pytest.param(0, 0, 0, 0, id="a short poll may see none"),
        pytest.param(0.5, 1, 10, 10, id="a long poll asks all servers"),
        pytest.param(0, 1, 10, 10, id="a long poll asks all, always"),
        pytest.param(1, 0, 10, 10, id="all servers answer"),
    ],
)
def test_a_poll_sees_its_share(
    sqs: Any, url: str, put_oddities: Put, share: float, wait: int, least: int, most: int
) -> None:
    put_oddities(short_poll_share=share, seed=3)
    send(sqs, url, 10)
    found = [len(bodies(sqs, url, WaitTimeSeconds=wait)) for _ in range(5)]
    assert least <= min(found) <= max(found) <= most
    if least < most:
        assert len(set(found)) > 1


def test_messages_that_a_short_poll_does_not_see_keep_their_place(sqs: Any, url: str, put_oddities: Put) -> None:
    put_oddities(short_poll_share=0.5)
    send(sqs, url, 10)
    seen = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3).get("Messages", [])
    put_oddities(short_poll_share=1)
    left = [str(number) for number in range(10) if str(number) not in {message["Body"] for message in seen}]
    assert bodies(sqs, url) == left[:10]


def test_a_queue_with_a_default_wait_gets_long_polls(sqs: Any, url: str, put_oddities: Put) -> None:
    put_oddities(short_poll_share=0)
    send(sqs, url, 2)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"ReceiveMessageWaitTimeSeconds": "1"})
    assert bodies(sqs, url) == ["0", "1"]
    assert bodies(sqs, url, WaitTimeSeconds=0) == []


def drained(sqs: Any, url: str) -> tuple[Counter[str], set[str], set[str]]:
    """Receive and delete all; return how often each body came, the message ids and the receipt handles."""
    found: Counter[str] = Counter()
    ids, handles = set(), set()
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
        for message in messages:
            found[message["Body"]] += 1
            ids.add(message["MessageId"])
            handles.add(message["ReceiptHandle"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found, ids, handles


@pytest.mark.parametrize(("share", "times"), [(0, 1), (1, 2)], ids=["none", "all"])
def test_a_share_of_the_messages_is_delivered_twice_under_one_id(
    plain_aws: Aws, sqs: Any, name: str, url: str, put_oddities: Put, share: float, times: int
) -> None:
    put_oddities(duplicate_share=share)
    send(sqs, url, 20)
    found, ids, handles = drained(sqs, url)
    assert found == {str(number): times for number in range(20)}
    assert (len(ids), len(handles)) == (20, 20 * times)
    emptied = {"visible": 0, "in_flight": 0, "delayed": 0, "second_deliveries": 20 * (times - 1)}
    assert plain_aws.control(f"queues/{name}") == {"name": name} | emptied


def test_a_second_delivery_comes_at_once_or_after_the_delete_and_outlives_it(
    sqs: Any, url: str, put_oddities: Put
) -> None:
    put_oddities(duplicate_share=1, seed=5)
    send(sqs, url, 40)
    first = [
        message for _ in range(4) for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    ]
    assert len({message["Body"] for message in first}) == 40
    at_once, _, _ = drained(sqs, url)
    assert 5 < len(at_once) < 35
    for message in first:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    after, _, _ = drained(sqs, url)
    assert {*at_once} | {*after} == {message["Body"] for message in first}
    assert not {*at_once} & {*after}


def test_one_message_in_a_hundred_is_delivered_twice(sqs: Any, url: str, put_oddities: Put) -> None:
    put_oddities(duplicate_share=0.01, seed=11)
    send(sqs, url, 400)
    found, _, _ = drained(sqs, url)
    assert 1 <= sum(found.values()) - 400 <= 12
    assert max(found.values()) == 2


def test_a_message_that_is_received_repeatedly_is_doubled_once(sqs: Any, url: str, put_oddities: Put) -> None:
    put_oddities(duplicate_share=1)
    send(sqs, url, 1)
    found = [body for _ in range(6) for body in bodies(sqs, url, WaitTimeSeconds=1)]
    assert 6 <= len(found) <= 12
    counted, _, _ = drained(sqs, url)
    assert counted == {"0": 2}
