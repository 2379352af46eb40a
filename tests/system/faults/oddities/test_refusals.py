"""Errors that concern all images: no image is rejected, and the task's error names the cure."""

from __future__ import annotations

import pytest

from tests.conftest import OPTION
from tests.system.faults.oddities.catalogue import Oddity
from tests.system.faults.oddities.results import add
from tests.system.faults.oddities.tasks import Tasks, rejected, upload

COUNT = 30


def test_a_bucket_that_the_models_service_may_not_read_rejects_nothing(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.control("oddities", "PUT", {"unreadable_buckets": [tasks.aws.settings.source_bucket]})
    conclude(tasks, picture, Oddity.UNREADABLE_BUCKET, ["policy", "key", "Region"])


def test_a_request_that_is_wrong_for_all_rejects_nothing(tasks: Tasks, picture: bytes) -> None:
    tasks.aws.fail_model("detect", code="InvalidParameterException", message="Request has invalid parameters")
    conclude(tasks, picture, Oddity.WRONG_REQUEST, ["InvalidParameterException", "min_confidence"])


def test_a_wrong_source_bucket_takes_no_message(tasks: Tasks, picture: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    other = f"{tasks.aws.settings.source_bucket}-other"
    tasks.aws.s3.create_bucket(Bucket=other)
    monkeypatch.setenv(f"{OPTION}SOURCE_BUCKET", other)
    conclude(tasks, picture, Oddity.WRONG_BUCKET, [repr(other), repr(tasks.aws.settings.source_bucket)])


pytestmark = pytest.mark.gate


def conclude(tasks: Tasks, picture: bytes, oddity: Oddity, words: list[str]) -> None:
    """Check that the task fails with these texts in its error, and that no image or message has changed."""
    upload(tasks.aws, COUNT, picture)
    found = tasks.plan_and_analyse()
    left, moved = sum(tasks.aws.depth()), rejected(tasks.aws)
    add(oddity, f"the task failed after {found.took:.1f} s; {moved} rejected, {left} of {COUNT} messages on the queue")
    assert [word for word in words if word not in found.error] == []
    assert (moved, left, len(tasks.aws.source_keys())) == (0, COUNT, COUNT)
