"""Events whose keys are encoded once more than AWS does, as in LocalStack's EventBridge events."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, quote_plus

import pytest

from label_detection_core.labelling.labeller import Outcome
from label_detection_core.queue.messages import Ignored, ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeLabeller

KEYS = ["a b.png", "a+b.png", "100%.png", "%2B.png", "line 3/é.jpg", "a&b=c?d#e.png"]


def put(aws: Aws, key: str, body: bytes) -> ImageRef:
    return ImageRef(aws.settings.source_bucket, key, aws.upload(key, body))


@pytest.mark.parametrize("encode", [quote, quote_plus])
@pytest.mark.parametrize("key", KEYS)
def test_an_image_whose_event_has_an_encoded_key_is_labelled(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, key: str, encode: type
) -> None:
    image = put(aws, key, picture)
    labeller = make_labeller()
    result = labeller.label(replace(image, key=encode(key)), 1)
    assert (result.outcome, result.source) == (Outcome.LABELLED, image)
    assert aws.source_keys() == []
    again = labeller.label(replace(image, key=encode(key)), 2)
    assert (again.outcome, again.ignored) == (Outcome.IGNORED, Ignored.GONE)
    assert len(aws.final_keys()) == 2


@pytest.mark.parametrize("other", ["a b.png", "a+b.png"])
def test_a_key_that_looks_encoded_but_exists_is_used_unchanged(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, other: str
) -> None:
    image = put(aws, quote(other), picture)
    put(aws, other, picture)
    assert make_labeller().label(image, 1).source == image
    assert aws.source_keys() == [other]


def test_another_picture_under_the_decoded_key_is_left_alone(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    put(aws, "a b.png", picture)
    result = make_labeller().label(ImageRef(aws.settings.source_bucket, "a%20b.png", "0" * 32), 1)
    assert (result.outcome, result.ignored, result.source) == (
        Outcome.IGNORED,
        Ignored.GONE,
        ImageRef(aws.settings.source_bucket, "a%20b.png", "0" * 32),
    )
    assert (aws.source_keys(), aws.final_keys()) == (["a b.png"], [])


@pytest.mark.parametrize("key", ["%ff.png", "%"])
def test_a_missing_object_without_an_encoded_key_counts_as_gone(
    aws: Aws, make_labeller: MakeLabeller, key: str
) -> None:
    result = make_labeller().label(ImageRef(aws.settings.source_bucket, key, "0" * 32), 1)
    assert (result.outcome, result.ignored) == (Outcome.IGNORED, Ignored.GONE)
