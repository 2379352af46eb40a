"""The overview while a model is left on and a picture waits: on a real Airflow, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.pages.conftest import Site
from tests.system.pages.test_pages import Visit

pytestmark = pytest.mark.system


@pytest.fixture
def _left_on(site: Site) -> Iterator[None]:
    """A model that somebody has started manually, and a picture that no one looks at."""
    world = site.world
    place: dict[str, Any] = {"Bucket": world.setting("source_bucket"), "Key": "waiting.png"}
    world.control("model", "PUT", {"status": "RUNNING"})
    world.s3.put_object(**place, Body=b"1")
    world.control("queues", "DELETE")  # makes GetQueueAttributes report the current counts
    yield
    world.control("model", "PUT", {"status": "STOPPED"})
    queue = world.setting("queue_url")
    (message,) = world.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    world.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    world.s3.delete_object(**place)


@pytest.mark.usefixtures("_left_on")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_model_that_was_left_on_and_a_picture_that_waits_are_seen(visit: Visit, width: int, scheme: str) -> None:
    visitor = visit("viewer", width, 844, scheme)
    visitor.page.goto(f"{visitor.site.pages}/overview")
    warning = visitor.page.get_by_role("alert")
    warning.get_by_text("no run holds it").wait_for()
    assert "aws rekognition stop-project-version" in warning.inner_text()
    assert visitor.page.get_by_text("On: RUNNING, 1 unit(s)").is_visible()
    assert visitor.page.get_by_text("1 waiting, 0 in flight; the oldest has waited").is_visible()
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.trouble == []
