"""The drain on queues with the oddities of SQS: each image has one outcome, and no message is left."""

from __future__ import annotations

import time
from typing import Any

import pytest

from label_detection_core.labelling.labels import Detection
from tests.conftest import Aws
from tests.core.conftest import MakeDrain
from tests.core.images import FOUND

COUNT = 15


@pytest.mark.parametrize(
    "knobs",
    [
        pytest.param({"duplicate_share": 1}, id="every message is delivered twice"),
        pytest.param({"short_poll_share": 0}, id="short polls see nothing"),
        pytest.param({"short_poll_share": 0.2}, id="short polls see little"),
        pytest.param({"count_age": [1, 5]}, id="counts are old"),
        pytest.param({"duplicate_share": 0.3, "short_poll_share": 0.5, "count_age": [1, 5]}, id="all at once"),
    ],
)
def test_every_image_is_labelled_once_and_the_queue_is_empty(
    aws: Aws, make_drain: MakeDrain, picture: bytes, knobs: dict[str, Any]
) -> None:
    drain = make_drain()
    aws.control("oddities", "PUT", knobs)
    for number in range(COUNT):
        aws.upload(f"{number}.png", picture + bytes([number]))
    tally = drain.run()
    assert (aws.source_keys(), len(aws.final_keys())) == ([], 2 * COUNT)
    assert (tally.rejected, tally.failed) == (0, 0)
    assert aws.depth() == (0, 0)


def test_a_second_delivery_after_the_last_delete_is_received_before_the_end(
    aws: Aws, make_drain: MakeDrain, picture: bytes
) -> None:
    """The last answers arrive during the last polls. Messages deleted then can return, and would start the next run."""

    def slow(*_: Any) -> Detection:
        time.sleep(1.5)
        return FOUND

    drain = make_drain(detect=slow, workers=2 * COUNT)
    aws.control("oddities", "PUT", {"duplicate_share": 1})
    for number in range(COUNT):
        aws.upload(f"{number}.png", picture + bytes([number]))
    drain.run()
    assert (aws.depth(), aws.source_keys()) == ((0, 0), [])
