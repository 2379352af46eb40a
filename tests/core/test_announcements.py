"""Announcements on a queue, in the envelopes of other services: each image is labelled."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from label_detection_core.drain.message_worker import Tally
from tests.conftest import Aws
from tests.core.conftest import MakeDrain
from tests.core.images import outcomes, upload
from tests.core.queues import clear, send
from tests.core.test_messages import ENVELOPES, detail_of, direct, record, through_cloudtrail

KEY = "line 3/a+b 100%.png"


def announced(bucket: str, etag: str, name: str) -> str:
    event = record(KEY, bucket, eventName=name)
    event["s3"]["object"]["eTag"] = etag
    return direct(event)


SHAPES: dict[str, Callable[[str, str], str]] = {
    "restored": lambda bucket, etag: announced(bucket, etag, "ObjectRestore:Completed"),
    "an eTag in quotes": lambda bucket, etag: announced(bucket, f'"{etag}"', "ObjectCreated:Put"),
    "an API call through CloudTrail": lambda bucket, _: through_cloudtrail(
        KEY, requestParameters={"bucketName": bucket, "key": KEY}
    ),
    "EventBridge's detail alone": lambda bucket, etag: json.dumps(
        detail_of(KEY, reason="PutObject") | {"bucket": {"name": bucket}, "object": {"key": KEY, "etag": etag}}
    ),
    **{
        name: lambda bucket, etag, envelope=envelope: envelope(announced(bucket, etag, "ObjectCreated:Put"))  # type: ignore[misc]
        for name, envelope in ENVELOPES.items()
    },
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_image_is_labelled_for_each_envelope_of_its_announcement(
    aws: Aws, make_drain: MakeDrain, picture: bytes, shape: Callable[[str, str], str]
) -> None:
    image = upload(aws, KEY, picture)
    clear(aws)
    send(aws, shape(image.bucket, image.etag or ""))
    assert make_drain().run() == Tally(labelled=1)
    assert outcomes(aws, image) == ["labelled"]
    assert aws.depth() == (0, 0)
