"""Whether a call to the model is repeated: it depends on the error, on its duration, and on a kill."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from label_detection.hooks.clients import client_config
from label_detection.hooks.model import ModelState, Phase, QuotaExceededError, hook_for, model_hook
from label_detection.hooks.service_health import Outage, Readiness
from label_detection_core import aws_errors
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import TryAgainError
from sandbox.waiting import wait_until
from tests.core.images import upload

if TYPE_CHECKING:
    from label_detection_core.queue.messages import ImageRef
    from tests.conftest import Aws

ALL = ("rekognition", "sagemaker", "lookoutvision")
MANY = 100
#: What each service says of a model that is not running, of a call to it.
NOT_READY: dict[str, dict[str, Any]] = {
    "rekognition": {"status": 400, "code": "ResourceNotReadyException"},
    "sagemaker": {"status": 400, "code": "ValidationError", "message": "Endpoint e of account 1 not found."},
    "lookoutvision": {"status": 409, "code": "ConflictException"},
}


class Rig:
    """A hook with a pace, as the analysis has it, but without waiting; counts the looks at the model's state."""

    def __init__(self, aws: Aws, pace: Pace | None = None) -> None:
        self.aws = aws
        self.pace = pace or Pace(1000.0, 0.1, sleep=lambda _: None)
        self.hook = cast("Any", hook_for(aws.settings.model, "aws_default", client_config(2, mode="standard")))
        self.looks = 0
        self._describe = self.hook.describe
        self.hook.describe = self._look
        self.hook.keep_pace(self.pace)

    def _look(self) -> ModelState:
        self.looks += 1
        state: ModelState = self._describe()
        return state

    def fail(self, times: int = MANY, **fault: Any) -> Callable[[], int]:
        """Make calls to the model fail; return the number of failed calls."""
        self.aws.control("faults", "DELETE")
        self.aws.fail_model("detect", times=times, **fault)

        def used() -> int:
            left = self.aws.control("faults")
            return times - int(left[0]["times"]) if left else times

        return used


@pytest.fixture
def rig(aws: Aws) -> Rig:
    aws.put_model("RUNNING")
    return Rig(aws)


@pytest.fixture
def image(aws: Aws, picture: bytes) -> ImageRef:
    return upload(aws, "odd.png", picture)


def more_images(aws: Aws, picture: bytes, count: int) -> list[ImageRef]:
    return [upload(aws, f"{number}.png", picture + bytes(number)) for number in range(count)]


@pytest.mark.kinds(*ALL)
@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_throttling_slows_the_pace_down_whatever_its_status(rig: Rig, image: ImageRef, status: int) -> None:
    used = rig.fail(times=4, status=status, code="ThrottlingException")
    with rig.pace.image() as calls:
        rig.hook.detect(image, 50)
    assert (used(), calls.throttled) == (4, 4), "a throttled call must be repeated more often than one that fails"
    assert rig.pace.images_per_second < 1000


@pytest.mark.kinds(*ALL)
@pytest.mark.parametrize(
    "fault",
    [{"status": 500, "code": "InternalServerError"}, {"status": 503, "code": "ServiceUnavailable"}, {"reset": True}],
    ids=["500", "503", "connection cut"],
)
def test_an_image_that_fails_every_time_is_sent_three_times_and_returned_to_the_queue(
    rig: Rig, image: ImageRef, fault: dict[str, Any]
) -> None:
    used = rig.fail(**fault)
    with rig.pace.image() as calls, pytest.raises(aws_errors.AWS_ERRORS) as failure:
        rig.hook.detect(image, 50)
    assert aws_errors.is_transient(failure.value)
    assert used() == 3
    assert (calls.throttled, rig.pace.images_per_second) == (0, 1000.0)


def test_repeated_failures_of_one_image_are_no_outage(rig: Rig, image: ImageRef) -> None:
    used = rig.fail(status=500)
    for _ in range(5):
        with pytest.raises(ClientError):
            rig.hook.detect(image, 50)
    assert used() == 15


def test_an_outage_is_waited_out_with_more_sends_than_one_failing_image_gets(
    rig: Rig, aws: Aws, picture: bytes
) -> None:
    *first, fourth, odd = more_images(aws, picture, 5)
    used = rig.fail(times=9 + 8, status=503)
    for image in first:
        with pytest.raises(ClientError):
            rig.hook.detect(image, 50)
    assert rig.hook.detect(fourth, 50).labels == []
    assert used() == 17
    used = rig.fail(status=503)
    with pytest.raises(ClientError):
        rig.hook.detect(odd, 50)
    assert used() == 3, "the service has answered since, so one failing image is no outage"


@pytest.mark.kinds(*ALL)
def test_a_call_to_a_running_model_that_is_not_ready_is_repeated(rig: Rig, image: ImageRef) -> None:
    used = rig.fail(times=30, **NOT_READY[rig.aws.calls.service])
    with rig.pace.image() as calls:
        rig.hook.detect(image, 50)
    assert (used(), calls.throttled) == (30, 0)
    assert rig.looks == 1, "the model's state must be read only once in some seconds"


@pytest.mark.kinds("sagemaker")
def test_sagemakers_error_for_a_model_that_is_being_loaded_is_repeated_too(rig: Rig, image: ImageRef) -> None:
    used = rig.fail(times=12, status=429, code="ModelNotReadyException")
    rig.hook.detect(image, 50)
    assert used() == 12


@pytest.mark.kinds(*ALL)
@pytest.mark.parametrize("status", ["STOPPED", "STOPPING", "FAILED"])
def test_a_model_that_is_not_on_fails_the_call_at_once(rig: Rig, aws: Aws, image: ImageRef, status: str) -> None:
    aws.put_model(status)
    with pytest.raises((ClientError, LookupError)) as failure:
        rig.hook.detect(image, 50)
    assert not aws_errors.is_transient(failure.value)
    assert rig.looks == 1


@pytest.mark.kinds(*ALL)
@pytest.mark.parametrize("trouble", ["not ready", "throttled", "down"])
def test_a_kill_ends_a_call_without_another_wait(aws: Aws, picture: bytes, trouble: str) -> None:
    aws.put_model("RUNNING")
    rig = Rig(aws, Pace(1000.0, 0.1))
    images = more_images(aws, picture, 4)
    faults: dict[str, dict[str, Any]] = {
        "not ready": NOT_READY[aws.calls.service],
        "throttled": {"status": 400, "code": "ThrottlingException"},
        "down": {"status": 503},
    }
    used = rig.fail(**faults[trouble])
    raised: list[Exception] = []

    def detect(image: ImageRef) -> None:
        try:
            rig.hook.detect(image, 50)
        except (TryAgainError, ClientError) as error:
            raised.append(error)

    threads = [threading.Thread(target=detect, args=(image,)) for image in images]
    for thread in threads:
        thread.start()
    wait_until(lambda: used() >= len(images), 60, "the first sends")
    rig.pace.end()
    for thread in threads:
        thread.join(15)
    assert not any(thread.is_alive() for thread in threads)
    assert len(raised) == len(images)
    for error in raised:
        passes = error.throttled if isinstance(error, TryAgainError) else aws_errors.is_transient(error)
        assert passes, "a kill must not count against the image, and must not fail the task"


def test_calls_end_when_an_outage_lasts_longer_than_the_limit() -> None:
    now = [0.0]
    outage = Outage(clock=lambda: now[0])
    assert [outage.goes_on(request) for request in (1, 1, 2, 2, 3, 1, 4)] == [False] * 4 + [True] * 3
    now[0] = 29.0
    assert outage.goes_on(5)
    now[0] = 31.0
    assert not outage.goes_on(6)
    outage.answered()
    assert [outage.goes_on(request) for request in (7, 8, 9)] == [False, False, True]


def test_calls_to_a_model_that_never_gets_ready_end_after_two_minutes() -> None:
    now = [0.0]
    readiness = Readiness(lambda: ModelState(Phase.RUNNING, "RUNNING"), clock=lambda: now[0])
    seen = []
    for now[0] in (0.0, 60.0, 119.0, 120.0):
        seen.append(readiness.may_come())
    assert seen == [True, True, True, False]
    readiness.answered()
    assert readiness.may_come()


@pytest.mark.parametrize(
    ("phases", "seen"),
    [
        ([Phase.RUNNING, Phase.RUNNING], [True, True]),
        ([Phase.STARTING, Phase.RUNNING], [True, True]),
        ([Phase.RUNNING, Phase.STOPPING], [True, False]),
        ([Phase.OFF], [False]),
        ([Phase.UNUSABLE], [False]),
    ],
    ids=["running", "its state lags", "stopped meanwhile", "off", "deleted"],
)
def test_the_models_state_decides_whether_to_wait(phases: list[Phase], seen: list[bool]) -> None:
    now, left = [0.0], list(phases)
    readiness = Readiness(lambda: ModelState(left.pop(0), "?"), clock=lambda: now[0])
    found = []
    for _ in seen:
        found.append(readiness.may_come())
        assert readiness.may_come() is found[-1], "the state must not be read again within seconds"
        now[0] += 10
    assert found == seen


@pytest.mark.kinds(*ALL)
def test_a_start_over_the_quota_is_sent_once_and_its_error_has_the_cure(aws: Aws) -> None:
    fault = {
        "rekognition": {"status": 400, "code": "LimitExceededException"},
        "sagemaker": {"status": 400, "code": "ResourceLimitExceeded"},
        "lookoutvision": {"status": 402, "code": "ServiceQuotaExceededException"},
    }[aws.calls.service]
    aws.fail_model("start", times=MANY, message="2 of 2 inference units are in use.", **fault)
    with pytest.raises(QuotaExceededError, match=r"quota .*2 of 2 inference units are in use\.: .*another") as quota:
        model_hook(aws.settings).start(1)
    assert isinstance(quota.value.__cause__, ClientError)
    assert aws.control("faults")[0]["times"] == MANY - 1


def test_a_start_that_is_throttled_is_still_sent_again(aws: Aws) -> None:
    aws.fail_model("start", times=1, status=400, code="ThrottlingException")
    hook = model_hook(aws.settings)
    hook.start(1)
    assert hook.describe().is_on


def test_an_answer_during_another_threads_look_does_not_disturb_it() -> None:
    readiness = Readiness(lambda: ModelState(Phase.RUNNING, "RUNNING"))
    answering = threading.Thread(target=readiness.answered)

    class Moment(float):
        """A time whose subtraction waits, so that an answer arrives while a look compares it with the first failure."""

        def __sub__(self, other: float) -> float:
            answering.start()
            answering.join(0.2)  # waits for its turn
            assert readiness._since is not None
            return float(self) - other

    readiness._clock = lambda: Moment(1000.0)
    assert readiness.may_come()
    answering.join(10)
    assert readiness._since is None
