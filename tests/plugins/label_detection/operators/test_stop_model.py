"""The task that stops the model: it ends when the model is off, whatever state it began in."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from label_detection import stopping
from label_detection.hooks.model import ModelHook, hook_class
from label_detection.waits import Waits
from sandbox.waiting import wait_until
from tests.model_calls import KINDS, Call
from tests.plugins.conftest import Run, SetWaits, Variables
from tests.plugins.label_detection.operators.conftest import stop

if TYPE_CHECKING:
    from tests.conftest import Aws

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


REKOGNITION = pytest.mark.only("rekognition")


def states(aws: Aws, since: int) -> list[str]:
    return [change["status"] for change in aws.model()["history"][since:]]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes clients send each call once."""
    monkeypatch.setattr(stopping, "brief_config", lambda: Config(retries={"total_max_attempts": 1}))


def test_a_running_model_is_off_when_the_task_ends(aws: Aws, planned: Run) -> None:
    aws.put_model("RUNNING")
    stopped_at = stop(planned)
    assert aws.model()["status"] == "STOPPED"
    off_at = datetime.fromisoformat(aws.model()["history"][-1]["at"])
    assert off_at <= stopped_at <= datetime.now(UTC)


@REKOGNITION
@pytest.mark.parametrize("option", ["source_bucket", "min_confidence", "an_option_that_is_no_more"])
def test_a_plan_of_an_earlier_version_with_an_option_that_is_not_valid_any_more_stops_the_model(
    aws: Aws, planned: Run, option: str
) -> None:
    planned.xcoms["plan_run", "plan"]["settings"][option] = "parts-abcdefgh1234-s3alias"
    aws.put_model("RUNNING")
    stop(planned)
    assert aws.model()["status"] == "STOPPED"


def test_a_stopping_model_is_waited_for_and_not_asked_again(aws: Aws, planned: Run, hook: ModelHook) -> None:
    aws.set_oddities(describe_lag=0)  # else describe shows RUNNING, and the task sends a stop request
    aws.put_model("RUNNING")
    hook.stop()
    aws.fail_model("stop", status=400, code="AskedAgain")
    stop(planned)
    assert aws.model()["status"] == "STOPPED"


def test_a_starting_model_is_stopped_as_soon_as_the_service_allows_it(aws: Aws, planned: Run, hook: ModelHook) -> None:
    seen = len(aws.model()["history"])
    hook.start(1)
    stop(planned)
    assert states(aws, seen) == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]


def test_a_model_whose_start_fails_meanwhile_is_off(aws: Aws, planned: Run, hook: ModelHook) -> None:
    aws.change_model(start_outcome="FAILED")
    hook.start(1)
    stop(planned)
    assert aws.model()["status"] == ("STOPPED" if aws.calls.service == "sagemaker" else "FAILED")


@pytest.mark.only("sagemaker")
def test_the_remains_of_a_failed_start_are_removed(aws: Aws, planned: Run, variables: Variables) -> None:
    aws.put_model("FAILED")
    stop(planned)
    assert aws.model()["says"] is None, "the failed endpoint must be deleted"
    assert variables.lease(aws.settings) is None


@pytest.mark.parametrize(
    "status",
    [
        "TRAINING_COMPLETED",
        "STOPPED",
        pytest.param("FAILED", marks=pytest.mark.only("rekognition", "lookoutvision")),
        *(pytest.param(status, marks=REKOGNITION) for status in ("COPYING_COMPLETED", "DELETING", "EXPIRED")),
    ],
)
def test_a_model_that_is_off_counts_as_off_after_a_while(
    aws: Aws, planned: Run, variables: Variables, status: str
) -> None:
    aws.put_model(status)
    began = time.monotonic()
    stop(planned)
    assert time.monotonic() - began >= 0.5
    assert aws.model()["status"] == status
    assert variables.lease(aws.settings) is None


def test_that_while_is_longer_than_a_killed_start_lives() -> None:
    assert Waits().linger == 15


def test_a_start_that_lands_three_seconds_later_is_stopped(
    aws: Aws, planned: Run, hook: ModelHook, set_waits: SetWaits
) -> None:
    set_waits(linger=Waits().linger)
    seen = len(aws.model()["history"])
    late = threading.Timer(3, hook.start, (1,))
    late.start()
    stop(planned)
    late.join()
    assert states(aws, seen) == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]


def test_a_second_stop_finds_it_off(aws: Aws, planned: Run) -> None:
    aws.put_model("RUNNING")
    stop(planned)
    seen = len(aws.model()["history"])
    stop(planned)
    assert states(aws, seen) == []


def test_a_stop_whose_answer_was_lost_is_finished_by_the_retry(aws: Aws, planned: Run) -> None:
    aws.put_model("RUNNING")
    seen = len(aws.model()["history"])
    aws.fail_model("stop", status=400, code="SomethingElse", when="after", times=1)
    with pytest.raises(ClientError, match="SomethingElse"):
        stop(planned)
    stop(planned)
    assert states(aws, seen) == ["STOPPING", "STOPPED"]


def test_a_stop_whose_answer_was_lost_is_finished_by_the_clients_own_second_send(aws: Aws, planned: Run) -> None:
    aws.put_model("RUNNING")
    seen = len(aws.model()["history"])
    aws.fail_model("stop", status=500, when="after", times=1)
    stop(planned)
    assert states(aws, seen) == ["STOPPING", "STOPPED"]


@pytest.mark.only("sagemaker")
def test_a_model_that_goes_away_between_the_look_and_the_request_to_stop_is_off(
    aws: Aws, planned: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    hook = hook_class(aws.settings.model)
    describe, stop_it = hook.describe, hook.stop

    def describe_and_go(self: Any) -> Any:
        state = describe(self)
        if state.is_on:
            stop_it(self)
            wait_until(lambda: describe(self).is_gone, 10, "the endpoint gone")
        return state

    monkeypatch.setattr(hook, "describe", describe_and_go)
    stop(planned)
    assert aws.model()["status"] == "STOPPED"


@pytest.mark.parametrize(
    ("status", "code"), [(400, "AccessDeniedException"), (500, "InternalServerError"), (400, "ThrottlingException")]
)
@pytest.mark.usefixtures("impatient")
def test_a_stop_that_keeps_failing_is_red_and_the_lease_stands_for_the_watchdog(
    aws: Aws, planned: Run, variables: Variables, status: int, code: str
) -> None:
    aws.put_model("RUNNING")
    aws.fail_model("stop", status=status, code=code)
    with pytest.raises(ClientError, match=code):
        stop(planned)
    assert aws.model()["status"] == "RUNNING"
    assert variables.lease(aws.settings) is not None
    aws.control("faults", "DELETE")
    stop(planned)
    assert aws.model()["status"] == "STOPPED"
    assert variables.lease(aws.settings) is None


@pytest.mark.parametrize("operation", ["stop", "describe"])
@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500, "code": "InternalServerError"},
        {"status": 400, "code": "ThrottlingException"},
        {"status": 503, "code": "ServiceUnavailable"},
        {"reset": True},
    ],
    ids=["500", "throttled", "503", "connection cut"],
)
@pytest.mark.usefixtures("impatient")
def test_temporary_errors_are_waited_out_by_the_task_itself(
    aws: Aws, planned: Run, set_waits: SetWaits, operation: Call, trouble: dict[str, Any]
) -> None:
    set_waits(patience=30)
    aws.put_model("RUNNING")
    aws.fail_model(operation, times=5, **trouble)
    stop(planned)
    assert aws.model()["status"] == "STOPPED"
    assert aws.control("faults") == []


def test_five_times_500_keep_the_model_on_for_seconds_only(aws: Aws, planned: Run, set_waits: SetWaits) -> None:
    set_waits(on=Waits().on)
    set_waits(patience=120)
    aws.put_model("RUNNING")
    aws.fail_model("stop", status=500, times=5)
    began = time.monotonic()
    stop(planned)
    assert time.monotonic() - began < 60


def test_a_model_counts_as_off_only_when_seen_off_and_not_while_the_service_does_not_answer(
    aws: Aws, planned: Run, hook: ModelHook, set_waits: SetWaits
) -> None:
    set_waits(patience=10)
    set_waits(linger=Waits().linger)

    def start_and_fall_silent() -> None:
        hook.start(1)
        aws.fail_model("describe", status=500, times=4)

    late = threading.Timer(0.3, start_and_fall_silent)
    late.start()
    stop(planned)
    late.join()
    assert aws.model()["status"] == "STOPPED"


def test_without_a_plan_the_error_names_it(run: Run) -> None:
    with pytest.raises(ValueError, match="this run has no plan"):
        stop(run)


def test_a_start_that_waited_for_a_stopping_model_and_lands_later_is_stopped_too(
    aws: Aws, planned: Run, hook: ModelHook, set_waits: SetWaits
) -> None:
    set_waits(linger=Waits().linger)
    aws.put_model("RUNNING")
    hook.stop()

    def start_late() -> None:  # as a start_model does that lives on for seconds after it was killed
        wait_until(lambda: not hook.describe().is_on, 60, "the model to be off")
        time.sleep(2)
        hook.start(1)

    late = threading.Thread(target=start_late)
    late.start()
    stop(planned)
    late.join()
    assert [change["status"] for change in aws.model()["history"]][-3:] == ["RUNNING", "STOPPING", "STOPPED"]


def test_a_model_that_was_deleted_meanwhile_is_off(aws: Aws, planned: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: ModelHook) -> None:
        raise LookupError("there is no such model")

    monkeypatch.setattr(hook_class(aws.settings.model), "describe", gone)
    stop(planned)


def test_a_model_that_is_no_longer_visible_does_not_count_as_gone_when_its_stop_is_refused(
    aws: Aws, planned: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection now leads to another account, where DescribeProjects returns nothing, and no error."""
    aws.put_model("RUNNING")

    def not_here(self: ModelHook) -> None:
        raise LookupError("there is no project 'parts'")

    monkeypatch.setattr(hook_class(aws.settings.model), "describe", not_here)
    aws.fail_model("stop", status=400, code="AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        stop(planned)
    assert variables.lease(aws.settings) is not None
    aws.control("faults", "DELETE")
    stop(planned)
    assert aws.model()["status"] in {"STOPPING", "STOPPED"}
