"""Stopping the model: done when it is off, whatever was going on."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from include.lease import Lease, lease_name
from label_detection import exchange, stopping
from label_detection.hooks import switch
from label_detection.hooks.rekognition import RekognitionModelHook
from label_detection.operators import model as model_operators
from label_detection.operators.model import StopModelOperator
from tests.plugins.conftest import Run, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws

REAL_LINGER_SECONDS = model_operators._LINGER_SECONDS
REAL_ON_SECONDS = stopping.ON_SECONDS
ROLE = "arn:aws:iam::123456789012:role/switch"
pytestmark = pytest.mark.usefixtures("quick")


def stop(run: Run) -> datetime:
    """As the task: a new operator each time, as a retry is a new process."""
    return datetime.fromisoformat(run.execute(StopModelOperator(task_id="stop_model"))["stopped_at"])


def states(aws: Aws, since: int) -> list[str]:
    return [change["status"] for change in aws.model()["history"][since:]]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is sent once."""
    monkeypatch.setattr(stopping, "brief_config", lambda: Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def planned(aws: Aws, run: Run) -> Run:
    run.plan(aws.settings)
    return run


def test_a_running_model_is_off_when_the_task_ends(aws: Aws, planned: Run) -> None:
    aws.put_model("RUNNING")
    stopped_at = stop(planned)
    assert aws.model()["status"] == "STOPPED"
    off_at = datetime.fromisoformat(aws.model()["history"][-1]["at"])
    assert off_at <= stopped_at <= datetime.now(UTC)


def test_a_stopping_model_is_waited_for_and_not_asked_again(aws: Aws, planned: Run, hook: RekognitionModelHook) -> None:
    aws.put_model("RUNNING")
    hook.stop()
    aws.fail("rekognition", "StopProjectVersion", status=400, code="AskedAgain")
    stop(planned)
    assert aws.model()["status"] == "STOPPED"


def test_a_starting_model_is_stopped_as_soon_as_it_lets_itself_be(
    aws: Aws, planned: Run, hook: RekognitionModelHook
) -> None:
    seen = len(aws.model()["history"])
    hook.start(1)
    stop(planned)
    assert states(aws, seen) == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]


def test_a_start_that_fails_meanwhile_is_off_too(aws: Aws, planned: Run, hook: RekognitionModelHook) -> None:
    aws.control("model", "PUT", {"start_outcome": "FAILED"})
    hook.start(1)
    stop(planned)
    assert aws.model()["status"] == "FAILED"


@pytest.mark.parametrize(
    "status", ["TRAINING_COMPLETED", "COPYING_COMPLETED", "STOPPED", "FAILED", "DELETING", "EXPIRED"]
)
def test_a_model_that_is_off_is_believed_after_a_while(
    aws: Aws, planned: Run, variables: Variables, status: str
) -> None:
    aws.put_model(status)
    began = time.monotonic()
    stop(planned)
    assert time.monotonic() - began >= 0.5
    assert aws.model()["status"] == status
    assert variables.lease(aws.settings) is None


def test_the_while_is_longer_than_a_killed_start_lives() -> None:
    assert REAL_LINGER_SECONDS == 15


def test_a_start_that_lands_three_seconds_later_is_stopped(
    aws: Aws, planned: Run, hook: RekognitionModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_operators, "_LINGER_SECONDS", REAL_LINGER_SECONDS)
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


def test_a_stop_whose_answer_was_lost_is_carried_on_by_the_retry(aws: Aws, planned: Run) -> None:
    aws.put_model("RUNNING")
    seen = len(aws.model()["history"])
    aws.fail("rekognition", "StopProjectVersion", status=400, code="SomethingElse", when="after", times=1)
    with pytest.raises(ClientError, match="SomethingElse"):
        stop(planned)
    stop(planned)
    assert states(aws, seen) == ["STOPPING", "STOPPED"]


def test_a_stop_whose_answer_was_lost_is_carried_on_by_the_clients_own_second_send(aws: Aws, planned: Run) -> None:
    aws.put_model("RUNNING")
    seen = len(aws.model()["history"])
    aws.fail("rekognition", "StopProjectVersion", status=500, when="after", times=1)
    stop(planned)
    assert states(aws, seen) == ["STOPPING", "STOPPED"]


@pytest.mark.parametrize(
    ("status", "code"), [(400, "AccessDeniedException"), (500, "InternalServerError"), (400, "ThrottlingException")]
)
@pytest.mark.usefixtures("impatient")
def test_a_stop_that_keeps_failing_is_red_and_the_lease_stands_for_the_watchdog(
    aws: Aws, planned: Run, variables: Variables, status: int, code: str
) -> None:
    aws.put_model("RUNNING")
    aws.fail("rekognition", "StopProjectVersion", status=status, code=code)
    with pytest.raises(ClientError, match=code):
        stop(planned)
    assert aws.model()["status"] == "RUNNING"
    assert variables.lease(aws.settings) is not None
    aws.control("faults", "DELETE")
    stop(planned)
    assert aws.model()["status"] == "STOPPED"
    assert variables.lease(aws.settings) is None


@pytest.mark.parametrize("operation", ["StopProjectVersion", "DescribeProjectVersions"])
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
def test_trouble_that_passes_is_waited_out_by_the_task_itself(
    aws: Aws, planned: Run, monkeypatch: pytest.MonkeyPatch, operation: str, trouble: dict[str, Any]
) -> None:
    monkeypatch.setattr(stopping, "_PATIENCE_SECONDS", 30)
    aws.put_model("RUNNING")
    aws.fail("rekognition", operation, times=5, **trouble)
    stop(planned)
    assert aws.model()["status"] == "STOPPED"
    assert aws.control("faults") == []


def test_five_times_500_keep_the_model_on_for_seconds_only(
    aws: Aws, planned: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "ON_SECONDS", REAL_ON_SECONDS)
    monkeypatch.setattr(stopping, "_PATIENCE_SECONDS", 30)
    aws.put_model("RUNNING")
    aws.fail("rekognition", "StopProjectVersion", status=500, times=5)
    began = time.monotonic()
    stop(planned)
    assert time.monotonic() - began < 20


def test_off_is_believed_only_when_it_was_seen_and_not_while_the_service_gives_no_answer(
    aws: Aws, planned: Run, hook: RekognitionModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_PATIENCE_SECONDS", 10)

    def start_and_fall_silent() -> None:
        hook.start(1)
        aws.fail("rekognition", "DescribeProjectVersions", status=500, times=4)

    late = threading.Timer(0.3, start_and_fall_silent)
    late.start()
    stop(planned)
    late.join()
    assert aws.model()["status"] == "STOPPED"


@pytest.mark.parametrize("theirs", ["dag_id", "run_id"])
def test_a_lease_that_is_not_the_runs_is_left(aws: Aws, planned: Run, variables: Variables, theirs: str) -> None:
    lease = variables.lease(aws.settings)
    assert lease is not None
    update = {"run_id": "manual__theirs"} | ({"dag_id": "another_dag"} if theirs == "dag_id" else {})
    foreign = lease.model_copy(update=update | {"until": datetime.now(UTC) + timedelta(hours=1)})
    variables.put_lease(foreign)
    aws.put_model("RUNNING")
    stop(planned)
    assert variables.lease(aws.settings) == foreign


def test_the_runs_lease_is_ended_only_once_the_model_is_off(
    aws: Aws, planned: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    seen: list[str] = []
    delete = variables.delete
    monkeypatch.setattr(variables, "delete", lambda key: (seen.append(aws.model()["status"]), delete(key)))
    stop(planned)
    assert seen == ["STOPPED"]


def armed(aws: Aws, run: Run, variables: Variables, hook: RekognitionModelHook) -> None:
    run.plan(aws.settings.model_copy(update={"dead_man_switch_role_arn": ROLE}))
    lease = variables.lease(aws.settings)
    assert lease is not None
    switch.arm(lease, hook, ROLE)


def test_the_switch_is_removed_once_the_model_is_off_and_before_the_lease_is_given_up(
    aws: Aws, run: Run, variables: Variables, hook: RekognitionModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed(aws, run, variables, hook)
    aws.put_model("RUNNING")
    seen: list[object] = []
    disarm = switch.disarm

    def look(lease: Lease) -> str | None:
        seen.extend([aws.model()["status"], variables.lease(aws.settings) == lease])
        return disarm(lease)

    monkeypatch.setattr(switch, "disarm", look)
    stop(run)
    assert seen == ["STOPPED", True]
    assert aws.schedules() == []
    assert exchange.pull_warnings(run.context("write_report")) == []  # type: ignore[arg-type]


def test_a_switch_that_cannot_be_removed_fails_nothing_and_is_a_warning(
    aws: Aws, run: Run, variables: Variables, hook: RekognitionModelHook
) -> None:
    armed(aws, run, variables, hook)
    aws.put_model("RUNNING")
    aws.fail("scheduler", "DeleteSchedule", status=403, code="AccessDeniedException")
    stop(run)
    assert variables.values == {}
    (warning,) = exchange.pull_warnings(run.context("write_report"))  # type: ignore[arg-type]
    assert "could not be removed" in warning


def test_another_runs_switch_is_left(aws: Aws, run: Run, variables: Variables, hook: RekognitionModelHook) -> None:
    armed(aws, run, variables, hook)
    lease = variables.lease(aws.settings)
    assert lease is not None
    variables.put_lease(lease.model_copy(update={"run_id": "theirs"}))
    stop(run)
    assert aws.schedules() == [switch.switch_name(aws.settings.model_arn)]


def test_without_a_plan_it_says_so(run: Run) -> None:
    with pytest.raises(ValueError, match="this run has no plan"):
        stop(run)


def test_a_start_that_waited_for_a_stopping_model_and_lands_later_is_stopped_too(
    aws: Aws, planned: Run, hook: RekognitionModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_operators, "_LINGER_SECONDS", REAL_LINGER_SECONDS)
    aws.put_model("RUNNING")
    hook.stop()

    def start_late() -> None:  # what a killed start_model does in the seconds that it lives on
        while hook.describe().is_on:
            time.sleep(0.2)
        time.sleep(2)
        hook.start(1)

    late = threading.Thread(target=start_late)
    late.start()
    stop(planned)
    late.join()
    assert [change["status"] for change in aws.model()["history"]][-3:] == ["RUNNING", "STOPPING", "STOPPED"]


def test_a_lease_that_somebody_edited_does_not_keep_the_model_on(aws: Aws, planned: Run, variables: Variables) -> None:
    aws.put_model("RUNNING")
    variables.values[lease_name(aws.settings.model_arn)] = '{"old": 1}'
    stop(planned)
    assert aws.model()["status"] == "STOPPED"


def test_a_model_that_was_deleted_meanwhile_is_off(planned: Run, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: RekognitionModelHook) -> None:
        raise LookupError("there is no such model")

    monkeypatch.setattr(RekognitionModelHook, "describe", gone)
    stop(planned)


def held_by_the_next_run(aws: Aws, variables: Variables, minutes: float = 60, **more: Any) -> Lease:
    lease = variables.lease(aws.settings)
    assert lease is not None
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    taken = lease.model_copy(update={"run_id": "next", "since": datetime.now(UTC), "until": until} | more)
    variables.put_lease(taken)
    return taken


@pytest.mark.parametrize(("minutes", "after"), [(60, "RUNNING"), (-1, "STOPPED")], ids=["holds it", "expired"])
def test_a_model_that_another_run_holds_by_now_is_left_to_that(
    aws: Aws, planned: Run, variables: Variables, minutes: float, after: str
) -> None:
    taken = held_by_the_next_run(aws, variables, minutes)
    aws.put_model("RUNNING")
    stop(planned)
    assert aws.model()["status"] == after
    assert variables.lease(aws.settings) == taken


def test_a_lost_first_try_that_lives_on_does_not_stop_the_next_runs_model(
    aws: Aws, planned: Run, variables: Variables, hook: RekognitionModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_operators, "_LINGER_SECONDS", 5.0)

    def begin_the_next_run() -> None:
        held_by_the_next_run(aws, variables)
        hook.start(1)

    later = threading.Timer(0.5, begin_the_next_run)
    later.start()
    stop(planned)
    later.join()
    time.sleep(1.5)
    assert aws.model()["status"] == "RUNNING"


def test_a_lost_first_try_that_lives_on_does_not_remove_the_next_runs_switch(
    aws: Aws, run: Run, variables: Variables, hook: RekognitionModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed(aws, run, variables, hook)
    aws.put_model("RUNNING")
    describe = RekognitionModelHook.describe

    def take_over_once_it_is_off(self: RekognitionModelHook) -> Any:
        state = describe(self)
        if not state.is_on:
            held_by_the_next_run(aws, variables)
        return state

    monkeypatch.setattr(RekognitionModelHook, "describe", take_over_once_it_is_off)
    stop(run)
    assert aws.schedules() == [switch.switch_name(aws.settings.model_arn)]


def test_airflow_not_giving_the_lease_does_not_keep_the_model_on_nor_the_lease_from_the_retry(
    aws: Aws, planned: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    with monkeypatch.context() as patch:
        patch.setattr(variables, "get", lambda key, default: default)  # as Airflow's does when it gets no answer
        with pytest.raises(RuntimeError, match="cannot be read now"):
            stop(planned)
    assert aws.model()["status"] == "STOPPED"
    stop(planned)
    assert variables.values == {}


def test_a_model_that_cannot_be_seen_any_more_is_not_believed_to_be_gone_when_its_stop_is_refused(
    aws: Aws, planned: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection leads to another account now: DescribeProjects finds nothing there, and that is no error."""
    aws.put_model("RUNNING")

    def not_here(self: RekognitionModelHook) -> None:
        raise LookupError("there is no project 'parts'")

    monkeypatch.setattr(RekognitionModelHook, "describe", not_here)
    aws.fail("rekognition", "StopProjectVersion", status=400, code="AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        stop(planned)
    assert variables.lease(aws.settings) is not None
    aws.control("faults", "DELETE")
    stop(planned)
    assert aws.model()["status"] in {"STOPPING", "STOPPED"}
