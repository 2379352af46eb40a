"""A hook that keeps a pace: each send waits for its turn, including those that botocore repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from label_detection.hooks.model import hook_for, paced_model_hook
from label_detection_core.drain.pace import Calls, Pace
from label_detection_core.queue.messages import ImageRef

if TYPE_CHECKING:
    from label_detection.hooks.model import ModelHook
    from tests.conftest import Aws


@pytest.fixture
def image(aws: Aws, picture: bytes) -> ImageRef:
    aws.put_model("RUNNING")
    return ImageRef(aws.settings.source_bucket, "a.png", aws.upload("a.png", picture))


def quick_hook(aws: Aws, pace: Pace) -> ModelHook:
    """A hook whose client does not retry."""
    settings = aws.settings
    hook = hook_for(settings.model, settings.aws_conn_id, Config(retries={"total_max_attempts": 1}))
    hook.keep_pace(pace)
    return hook


def detect(hook: ModelHook, pace: Pace, image: ImageRef) -> Calls:
    with pace.image() as calls:
        hook.detect(image, 70)
    return calls


def test_an_answered_call_has_its_duration(aws: Aws, image: ImageRef) -> None:
    pace = Pace(100.0, 0.1)
    calls = detect(paced_model_hook(aws.settings, 2, pace), pace, image)
    assert calls.seconds is not None
    assert 0 < calls.seconds < 2
    assert (calls.throttled, pace.images_per_second) == (0, 100.0)


def test_a_throttled_send_slows_the_pace_down_and_botocore_sends_again(aws: Aws, image: ImageRef) -> None:
    pace = Pace(100.0, 0.1)
    hook = paced_model_hook(aws.settings, 2, pace)
    aws.fail(
        "rekognition",
        "DetectCustomLabels",
        status=400,
        code="ProvisionedThroughputExceededException",
        times=2,
    )
    calls = detect(hook, pace, image)
    assert calls.throttled == 2
    assert calls.seconds is not None
    assert pace.images_per_second < 91


def test_errors_other_than_throttling_do_not_slow_the_pace_down(aws: Aws, image: ImageRef) -> None:
    pace = Pace(100.0, 0.1)
    hook = paced_model_hook(aws.settings, 2, pace)
    aws.fail("rekognition", "DetectCustomLabels", status=500, times=1)
    assert detect(hook, pace, image).throttled == 0
    aws.fail("rekognition", "DetectCustomLabels", reset=True, times=1)
    assert detect(hook, pace, image).throttled == 0
    aws.fail("rekognition", "DetectCustomLabels", status=503, times=20)
    with pace.image() as failed, pytest.raises(ClientError):
        quick_hook(aws, pace).detect(image, 70)
    assert failed.seconds is None, "a 503 must not count as an answer"
    aws.control("faults", "DELETE")
    aws.fail("rekognition", "DetectCustomLabels", status=400, code="AccessDeniedException", times=1)
    with pytest.raises(ClientError):
        detect(hook, pace, image)
    assert pace.images_per_second == 100.0


def test_a_send_waits_for_its_turn(aws: Aws, image: ImageRef) -> None:
    pace = Pace(1.0, 0.1)  # slow in comparison with a send on a busy machine
    hook = paced_model_hook(aws.settings, 2, pace)
    waited = [detect(hook, pace, image).waited for _ in range(3)]
    assert waited[1] > 0.2
    assert waited[2] > 0.2


def test_other_calls_of_the_hook_do_not_wait(aws: Aws, image: ImageRef) -> None:
    pace = Pace(0.001, 0.1)
    hook = paced_model_hook(aws.settings, 2, pace)
    with pace.image() as calls:
        for _ in range(3):
            hook.describe()
    assert calls.waited == 0
