"""The task that starts the model: on the first try, and on repeated ones."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
)
from botocore.exceptions import ClientError

from label_detection.hooks.model import ModelHook, hook_class
from label_detection.operators.model import StartModelOperator
from tests.model_calls import KINDS
from tests.plugins.conftest import DAG_ID, RUN_ID, Run, Variables
from tests.plugins.label_detection.operators.conftest import start

if TYPE_CHECKING:
    from tests.conftest import Aws

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


def starts(aws: Aws, since: int = 0) -> int:
    """The number of starts in the model's history."""
    return [change["status"] for change in aws.model()["history"][since:]].count("STARTING")


@pytest.mark.parametrize(
    "status",
    [
        "TRAINING_COMPLETED",
        pytest.param("COPYING_COMPLETED", marks=pytest.mark.only("rekognition")),
        "STOPPED",
        "FAILED",
    ],
)
def test_a_model_that_is_off_is_started_with_the_plans_units(
    aws: Aws, run: Run, variables: Variables, status: str
) -> None:
    aws.put_model(status)
    plan = run.plan(aws.settings, units=3)
    before = datetime.now(UTC)
    started = start(run)
    assert aws.is_started
    assert aws.model()["units"] == aws.calls.units(3)
    assert (started.units, started.adopted) == (3, False)
    assert before <= started.requested_at <= datetime.now(UTC)
    assert started.deadline == started.requested_at + timedelta(minutes=plan.settings.max_model_minutes)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert (lease.dag_id, lease.run_id, lease.units) == (DAG_ID, RUN_ID, 3)
    assert lease.since == started.requested_at, "the lease is renewed: its time counts from the request"
    assert lease.until > started.deadline
    assert lease.start_asked, "a stop that finds the model off must know that the start request may still arrive"


def test_a_starting_model_is_adopted_with_its_own_units(aws: Aws, run: Run, hook: ModelHook) -> None:
    hook.start(5)
    seen = len(aws.model()["history"])
    run.plan(aws.settings, units=2)
    started = start(run)
    assert (started.adopted, started.units) == (True, aws.calls.units(5))
    assert starts(aws, seen) == 0


def test_a_running_model_is_adopted(aws: Aws, run: Run) -> None:
    aws.put_model("RUNNING")
    seen = len(aws.model()["history"])
    run.plan(aws.settings)
    assert start(run).adopted
    assert aws.model()["status"] == "RUNNING"
    assert starts(aws, seen) == 0


def test_a_stopping_model_is_waited_out_and_then_started(aws: Aws, run: Run, hook: ModelHook) -> None:
    aws.set_oddities(describe_lag=0)  # another user's stop that describe does not show yet cannot be known
    aws.put_model("RUNNING")
    hook.stop()
    seen = len(aws.model()["history"]) - 1
    run.plan(aws.settings)
    assert not start(run).adopted
    states = [change["status"] for change in aws.model()["history"][seen:]]
    assert states == ["STOPPING", "STOPPED", "STARTING"]


@pytest.mark.only("rekognition")
@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("TRAINING_IN_PROGRESS", "wait until its training has ended"),
        ("TRAINING_FAILED", "train it again"),
        ("COPYING_IN_PROGRESS", "wait until it has been copied"),
        ("COPYING_FAILED", "copy it again"),
        ("DELETING", "set model_arn to another version"),
        ("DEPRECATED", "train a new version"),
        ("EXPIRED", "train a new version"),
    ],
)
def test_a_model_that_cannot_be_started_fails_without_a_retry_and_says_what_to_do(
    aws: Aws, run: Run, status: str, remedy: str
) -> None:
    aws.change_model(status=status, message="The service's own message")
    run.plan(aws.settings)
    with pytest.raises(AirflowFailException, match=f"{status} .The service's own message; .*{remedy}"):
        start(run)
    assert aws.model()["status"] == status


def test_a_start_whose_answer_was_lost_is_adopted_by_the_retry(aws: Aws, run: Run) -> None:
    seen = len(aws.model()["history"])
    run.plan(aws.settings, units=2)
    lost: dict[str, Any] = {"status": 400, "code": "SomethingElse", "when": "after", "times": 1}
    aws.fail_model("start", **lost)
    with pytest.raises(ClientError, match="SomethingElse"):
        start(run)
    assert aws.is_started
    started = start(run)
    assert (started.adopted, started.units) == (True, aws.calls.units(2))
    assert starts(aws, seen) == 1


def test_a_start_whose_answer_was_lost_is_adopted_by_the_clients_own_second_send(aws: Aws, run: Run) -> None:
    seen = len(aws.model()["history"])
    run.plan(aws.settings)
    aws.fail_model("start", status=500, when="after", times=1)
    start(run)
    assert starts(aws, seen) == 1
    assert aws.control("faults") == []


def test_a_repeated_start_keeps_its_first_time_and_deadline(aws: Aws, run: Run, variables: Variables) -> None:
    seen = len(aws.model()["history"])
    run.plan(aws.settings)
    first = start(run)
    lease = variables.lease(aws.settings)
    second = start(run)
    assert (second.requested_at, second.deadline) == (first.requested_at, first.deadline)
    assert variables.lease(aws.settings) == lease
    assert starts(aws, seen) == 1


def test_a_refused_start_is_raised_with_the_message_of_aws_and_the_lease_stays(
    aws: Aws, run: Run, variables: Variables
) -> None:
    run.plan(aws.settings)
    aws.fail_model("start", status=400, code="AccessDeniedException", message="not yours")
    with pytest.raises(ClientError, match=r"AccessDeniedException.*not yours"):
        start(run)
    assert variables.lease(aws.settings) is not None, "the request may have arrived, so the watchdog needs the lease"


QUOTAS = {
    "rekognition": "LimitExceededException",
    "sagemaker": "ResourceLimitExceeded",
    "lookoutvision": "ServiceQuotaExceededException",
}


def test_a_start_over_a_quota_is_sent_once_and_names_the_quota(aws: Aws, run: Run) -> None:
    run.plan(aws.settings, units=3)
    aws.fail_model("start", code=QUOTAS[aws.calls.service], message="at most 2 of these", times=2)
    with pytest.raises(AirflowFailException, match=r"(?s)quota of .*at most 2 of these.*another"):
        start(run)
    (left,) = aws.control("faults")
    assert left["times"] == 1, "the request must be sent once"
    assert starts(aws, len(aws.model()["history"]) - 1) == 0


def test_a_start_refused_as_in_use_while_off_fails_without_a_retry(aws: Aws, run: Run) -> None:
    run.plan(aws.settings)
    already = "already existing, somehow"  # SageMaker tells the cause only in the message's text
    aws.fail_model("start", status=400, code=aws.calls.in_use, message=already)
    with pytest.raises(AirflowFailException, match=rf"cannot be started: it is \w+.*{already}"):
        start(run)


def test_a_model_that_another_user_stops_right_before_the_request_is_left_to_a_retry(
    aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.plan(aws.settings)
    hooks = hook_class(aws.settings.model)
    start_request = hooks.start

    def stopping_meanwhile(self: ModelHook, *units: Any) -> None:
        aws.put_model("STOPPING")
        start_request(self, *units)

    monkeypatch.setattr(hooks, "start", stopping_meanwhile)
    with pytest.raises(AirflowException) as failure:
        start(run)
    assert not isinstance(failure.value, AirflowFailException)


@pytest.mark.usefixtures("aws")
def test_without_a_plan_nothing_is_started(aws: Aws, run: Run) -> None:
    seen = len(aws.model()["history"])
    with pytest.raises(ValueError, match="this run has no plan: run the task together with plan_run"):
        start(run)
    assert starts(aws, seen) == 0


@pytest.fixture
def ended_by_airflow() -> Iterator[Callable[[StartModelOperator, float], None]]:
    """Call `on_kill` in the main thread after some seconds, as Airflow's signal handler does."""

    def after(task: StartModelOperator, seconds: float) -> None:
        signal.signal(signal.SIGALRM, lambda *_: task.on_kill())
        signal.setitimer(signal.ITIMER_REAL, seconds)

    before = signal.getsignal(signal.SIGALRM)
    yield after
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_task_that_airflow_ends_while_its_request_hangs_ends_and_sends_it_no_second_time(
    aws: Aws, planned: Run, ended_by_airflow: Callable[[StartModelOperator, float], None]
) -> None:
    aws.fail_model("start", delay=120, times=2)
    task = StartModelOperator(task_id="start_model")
    ended_by_airflow(task, 6)
    began = time.monotonic()
    with pytest.raises(AirflowTaskTerminated):
        planned.execute(task)
    assert time.monotonic() - began < 60, "it must not wait for the answer"
    (fault,) = aws.control("faults")
    assert fault["times"] == 1, "the request must be sent once"


def test_at_its_time_out_a_task_keeps_airflows_own_exception() -> None:
    task = StartModelOperator(task_id="start_model")
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:  # as Airflow does
        task.on_kill()


def test_a_start_that_is_cleared_after_its_stop_takes_a_lease_of_its_own(
    aws: Aws, planned: Run, variables: Variables
) -> None:
    lease = variables.lease(aws.settings)
    assert lease is not None
    variables.put_lease(lease.model_copy(update={"start_asked": True}).kept(datetime.now(UTC)))
    start(planned)
    taken = variables.lease(aws.settings)
    assert taken is not None
    assert not taken.kept_for_late_start
    assert taken.until > datetime.now(UTC) + timedelta(minutes=30)
