"""Which images of ignored messages are still in the source bucket, and their entries in the report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from label_detection_core.run.left_behind import find_left_behind, unreadable_warnings
from label_detection_core.run.totals import NamedImage, NamedImages
from tests.core.conftest import client

if TYPE_CHECKING:
    from tests.conftest import Aws

LATER = datetime.now(UTC) + timedelta(days=1)


def ignored(aws: Aws, *keys: str, at: datetime = LATER, why: str = "not an arrival", more: int = 0) -> NamedImages:
    bucket = aws.settings.source_bucket
    return NamedImages(first=[NamedImage(bucket=bucket, key=key, why=why, at=at) for key in keys], more=more)


def look(aws: Aws, images: NamedImages) -> Any:
    return find_left_behind(aws.s3, aws.settings.source_bucket, images)


def test_an_ignored_image_that_is_there_is_named_and_one_that_is_gone_is_not(aws: Aws) -> None:
    aws.upload("there.png", b"1")
    (warning,) = look(aws, ignored(aws, "there.png", "gone.png")).warnings(0)
    assert "'there.png'" in warning
    assert "(not an arrival)" in warning
    assert "gone.png" not in warning
    assert "backfill" in warning


def test_without_remaining_images_there_is_no_warning(aws: Aws) -> None:
    assert look(aws, ignored(aws, "gone.png")).warnings(3) == []
    assert look(aws, NamedImages()).warnings(None) == []


def test_an_upload_after_the_message_was_ignored_has_an_event_of_its_own(aws: Aws) -> None:
    aws.upload("new.png", b"1")
    assert look(aws, ignored(aws, "new.png", at=LATER - timedelta(days=2))).images == []


def test_the_first_ten_are_named_and_the_others_counted_beside_what_still_waits(aws: Aws) -> None:
    keys = [f"{number:02d}.png" for number in range(12)]
    for key in keys:
        aws.upload(key, b"1")
    (warning,) = look(aws, ignored(aws, *keys)).warnings(7)
    assert "'09.png', and 2 more" in warning
    assert "'10.png'" not in warning
    assert "7 messages still wait" in warning


def test_another_buckets_image_is_not_asked_for(aws: Aws) -> None:
    foreign = NamedImage(bucket="not-ours", key="a.png", why="removed", at=LATER)
    assert look(aws, NamedImages(first=[foreign])).warnings(0) == []


@pytest.mark.parametrize("status", [400, 403], ids=["a customer's key", "denied"])
def test_an_object_that_s3_refuses_counts_as_present(aws: Aws, status: int) -> None:
    aws.upload("a.png", b"1")
    aws.fail("s3", "HeadObject", status=status, code=str(status))
    assert [image.key for image in look(aws, ignored(aws, "a.png")).images] == ["a.png"]


def test_a_failing_s3_is_a_warning_and_is_not_called_for_every_image(aws: Aws) -> None:
    aws.fail("s3", "HeadObject", status=503, code="503")
    keys = [f"{number}.png" for number in range(500)]
    left = find_left_behind(client("s3"), aws.settings.source_bucket, ignored(aws, *keys, more=4))
    (warning,) = left.warnings(0)
    assert warning.startswith("504 more pictures")
    assert "503" in warning


def test_a_key_is_escaped_and_cut_in_a_warning(aws: Aws) -> None:
    key = "a\n\x1b[31m" + "x" * 900
    aws.upload(key, b"1")
    (warning,) = look(aws, ignored(aws, key)).warnings(0)
    assert "'a\\n\\x1b[31mxxx" in warning
    assert len(warning) < 600


def test_refused_objects_are_listed_with_their_keys_and_codes(aws: Aws) -> None:
    (warning,) = unreadable_warnings(ignored(aws, "a.png", "b.png", why="AccessDenied: no", more=3))
    assert "(AccessDenied)" in warning
    assert "'a.png', 'b.png', and 3 more" in warning
    assert unreadable_warnings(NamedImages()) == []
