"""Forged events: for objects that are not ours, and as large as SQS allows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from label_detection_core.drain.message_worker import Tally
from label_detection_core.queue import messages
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeDrain
from tests.core.images import LABELS, outcomes, upload
from tests.core.queues import clear, send
from tests.core.test_messages import direct, record, through_sns

#: SQS: maximum size of a message, in bytes.
MIB = 1 << 20


def eventbridge(bucket: str, key: str) -> str:
    detail = {"bucket": {"name": bucket}, "object": {"key": key}}
    return json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})


def rejected_messages(aws: Aws) -> list[dict[str, Any]]:
    return [json.loads(aws.read(key)) for key in aws.final_keys() if key.startswith("rejected/messages/")]


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda foreign, _: direct(record("a.png", foreign)), id="direct"),
        pytest.param(lambda foreign, _: through_sns(direct(record("a.png", foreign))), id="through SNS"),
        pytest.param(lambda foreign, _: eventbridge(foreign, "a.png"), id="through EventBridge"),
        pytest.param(
            lambda foreign, ours: direct(record("gone.png", ours), record("a.png", foreign)), id="beside one of ours"
        ),
        pytest.param(lambda foreign, ours: direct(record(f"../{foreign}/a.png", ours)), id="as a key of ours"),
    ],
)
@pytest.mark.parametrize("place", ["another", "the final bucket"])
def test_an_object_elsewhere_is_neither_read_nor_copied_nor_deleted(
    aws: Aws, make_drain: MakeDrain, picture: bytes, wrap: Callable[[str, str], str], place: str
) -> None:
    foreign = aws.settings.final_bucket if place == "the final bucket" else f"{aws.settings.source_bucket}-foreign"
    if place == "another":
        aws.s3.create_bucket(Bucket=foreign)
    aws.s3.put_object(Bucket=foreign, Key="a.png", Body=picture)
    asked: list[ImageRef] = []

    def detect(image: ImageRef, _: float) -> list[dict[str, Any]]:
        asked.append(image)
        return LABELS

    send(aws, wrap(foreign, aws.settings.source_bucket))
    make_drain(detect=detect, max_receives=1).run()
    assert [image for image in asked if image.bucket == foreign] == []
    assert aws.s3.get_object(Bucket=foreign, Key="a.png")["Body"].read() == picture
    assert [key for key in aws.final_keys() if not key.startswith("rejected/messages/") and key != "a.png"] == []
    assert aws.depth() == (0, 0)


@pytest.mark.parametrize("change", [str.upper, lambda name: f"{name} ", lambda name: f"arn:aws:s3:::{name}"])
def test_a_bucket_whose_name_is_nearly_ours_is_foreign(
    aws: Aws, make_drain: MakeDrain, picture: bytes, change: Callable[[str], str]
) -> None:
    image = upload(aws, "a.png", picture)
    clear(aws)
    send(aws, direct(record("a.png", change(aws.settings.source_bucket))))
    assert make_drain(max_receives=1).run() == Tally(rejected=1)
    assert outcomes(aws, image) == ["pending"]


def test_an_event_that_names_another_version_leaves_the_one_that_is_there(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    clear(aws)
    send(aws, direct(record("a.png", aws.settings.source_bucket)))  # its eTag: abc
    assert make_drain().run() == Tally(ignored=1)
    assert outcomes(aws, image) == ["pending"]
    assert aws.final_keys() == []


def test_a_message_of_1_mib_is_kept_unchanged(aws: Aws, make_drain: MakeDrain, picture: bytes) -> None:
    body = "é" * (MIB // 2)
    image = upload(aws, "a.png", picture)
    send(aws, body)
    assert make_drain().run() == Tally(labelled=1, rejected=1)
    (document,) = rejected_messages(aws)
    assert document["message"]["body"] == body
    assert outcomes(aws, image) == ["labelled"]


def test_a_message_of_1_mib_that_announces_an_image_is_finished(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    clear(aws)
    event = record("a.png", image.bucket)
    event["s3"]["object"]["eTag"] = image.etag
    body = direct(event)
    send(aws, body + " " * (MIB - len(body)))
    assert make_drain().run() == Tally(labelled=1)
    assert outcomes(aws, image) == ["labelled"]


def filled(start: str, part: Callable[[int], str], end: str) -> str:
    """A message of nearly 1 MiB, filled with as many parts as fit."""
    parts, room, number = [], MIB - len(start) - len(end), 0
    while (room := room - len(part(number)) - 1) >= 0:
        parts.append(part(number))
        number += 1
    return f"{start}{','.join(parts)}{end}"


HUGE = [
    pytest.param(lambda: filled('{"Records":[', lambda _: "0", "]}"), id="half a million records of nothing"),
    pytest.param(
        lambda: filled('{"Records":[', lambda n: json.dumps(record("a", f"b{n}")), "]}"), id="thousands of buckets"
    ),
    pytest.param(lambda: direct(record("a", "b" * (MIB - 1000))), id="the name of a bucket"),
    pytest.param(lambda: direct(record("a", eventVersion="9" * (MIB - 1000))), id="the version of an event"),
    pytest.param(
        lambda: filled('{"Records":[', lambda _: json.dumps({"eventVersion": "3"}), "]}"), id="unknown versions"
    ),
]


def texts_in_texts() -> str:
    body = "1"
    while len(body) < MIB // 2:
        body = json.dumps(body)
    return body


NESTED = [
    pytest.param(texts_in_texts, id="texts in texts"),
    pytest.param(lambda: "[" * (MIB // 2) + "]" * (MIB // 2), id="lists in lists"),
    pytest.param(lambda: '{"requestPayload":' * 50_000 + "1" + "}" * 50_000, id="envelopes in envelopes"),
    pytest.param(lambda: filled("[", lambda _: '"1"', "]"), id="hundreds of thousands of texts"),
    pytest.param(
        lambda: filled('{"Records":[', lambda _: '{"Sns":{"Message":"[]"}}', "]}"), id="thousands of envelopes"
    ),
]


@pytest.mark.parametrize("make", HUGE)
def test_the_error_about_a_huge_message_is_short(
    aws: Aws, make_drain: MakeDrain, make: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    body = make()
    assert len(body) <= MIB
    send(aws, body)
    make_drain(max_receives=1).run()
    (document,) = rejected_messages(aws)
    assert document["message"]["body"] == body
    assert len(document["error"]["message"]) < 5000
    assert len(caplog.text) < 50_000
    journal = [key for key in aws.keys(aws.settings.final_bucket) if key.endswith(".jsonl")]
    assert sum(len(aws.read(key)) for key in journal) < 50_000


def test_a_thousand_events_of_one_image_in_one_message_label_it_once(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    clear(aws)
    event = record("a.png", image.bucket)
    event["s3"]["object"]["eTag"] = image.etag
    send(aws, direct(*[event] * 100))
    tally = make_drain().run()
    assert (tally.labelled, tally.rejected, tally.failed) == (1, 0, 0)
    assert outcomes(aws, image) == ["labelled"]


@pytest.mark.parametrize("make", [*HUGE, *NESTED])
def test_reading_a_huge_message_never_fails(make: Callable[[], str]) -> None:
    assert messages.read(make()).problems or messages.read(make()).images


def test_an_etag_nested_as_deep_as_json_may_be_is_no_etag() -> None:
    body = direct(record("a")).replace('"abc"', "[" * 500 + "]" * 500)
    assert [image.etag for image in messages.read(body).images] == [None]


def test_the_record_of_thousands_of_ignored_events_is_bounded() -> None:
    contents = messages.read(filled("[", lambda _: '{"Event":"s3:TestEvent"}', "]"))
    assert len(contents.ignored) <= 2000
    assert len(contents.ignored) + contents.more_ignored.total() > 40_000
