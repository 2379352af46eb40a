"""The task that starts the model: its lease, and the dead man's switch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from label_detection import xcom
from label_detection.hooks import switch
from label_detection.hooks.model import ModelHook, hook_class
from label_detection.hooks.switch import arm, switch_name
from label_detection_core.model.lease import Lease
from tests.model_calls import KINDS
from tests.plugins.conftest import DAG_ID, RUN_ID, Run, Variables
from tests.plugins.label_detection.operators.conftest import start, stop

if TYPE_CHECKING:
    from label_detection_core.config.settings import Settings
    from tests.conftest import Aws

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


def lease_of(aws: Aws, dag_id: str, run_id: str, until: datetime) -> Lease:
    since = until - timedelta(hours=1)
    return Lease(model_arn=aws.settings.model_arn, dag_id=dag_id, run_id=run_id, since=since, until=until, units=1)


def test_a_model_adopted_from_an_earlier_run_counts_from_this_runs_lease(
    aws: Aws, run: Run, variables: Variables
) -> None:
    aws.put_model("RUNNING")
    run.plan(aws.settings)
    earlier = lease_of(aws, DAG_ID, "scheduled__earlier", datetime.now(UTC) + timedelta(hours=1))
    variables.put_lease(earlier)
    before = datetime.now(UTC)
    started = start(run)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert lease.run_id == RUN_ID
    assert lease.since == started.requested_at >= before


@pytest.mark.parametrize("status", ["STOPPED", "RUNNING", "FAILED"])
def test_a_model_that_another_dag_holds_is_left_alone(aws: Aws, run: Run, variables: Variables, status: str) -> None:
    run.plan(aws.settings)
    theirs = lease_of(aws, "another_dag", "manual__theirs", datetime.now(UTC) + timedelta(hours=1))
    variables.put_lease(theirs)
    aws.put_model(status)
    with pytest.raises(RuntimeError, match="held by another_dag, run manual__theirs, until"):
        start(run)
    assert aws.model()["status"] == status
    assert variables.lease(aws.settings) == theirs


ROLE = "arn:aws:iam::123456789012:role/switch"


def switched(aws: Aws) -> Settings:
    return aws.settings.model_copy(update={"dead_man_switch_role_arn": ROLE})


def test_the_dead_mans_switch_is_made_for_the_leases_end_before_the_request(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.plan(switched(aws))
    seen: list[Any] = []
    start_request = hook_class(aws.settings.model).start

    def look(self: ModelHook, units: int, max_units: int | None) -> None:
        seen.extend(aws.schedules())
        start_request(self, units, max_units)

    monkeypatch.setattr(hook_class(aws.settings.model), "start", look)
    start(run)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert lease.dead_man_switch
    assert seen == [switch_name(lease)]
    at = aws.scheduler.get_schedule(Name=seen[0])["ScheduleExpression"]
    due = datetime.strptime(at, "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
    assert timedelta(0) <= due - lease.until < timedelta(seconds=1)


def test_a_model_that_is_on_when_its_run_takes_it_over_gets_a_switch_that_the_stop_removes(
    aws: Aws, run: Run, variables: Variables
) -> None:
    aws.put_model("RUNNING")
    run.plan(switched(aws))
    planned = variables.lease(aws.settings)
    assert planned is not None
    assert not planned.dead_man_switch, "plan_run makes no switch"
    start(run)
    lease = variables.lease(aws.settings)
    assert lease == planned.model_copy(update={"dead_man_switch": True})
    assert aws.schedules() == [switch_name(planned)]
    stop(run)
    assert (aws.schedules(), variables.leases()) == ([], [])


def test_a_second_try_that_renews_the_lease_removes_the_first_trys_switch(
    aws: Aws, run: Run, variables: Variables
) -> None:
    run.plan(switched(aws))
    aws.fail_model("start", status=403, code="AccessDeniedException")
    with pytest.raises(ClientError):
        start(run)
    first = variables.lease(aws.settings)
    assert first is not None
    assert aws.schedules() == [switch_name(first)]
    aws.control("faults", "DELETE")
    variables.put_lease(expired := first.model_copy(update={"until": datetime.now(UTC)}))
    start(run)
    second = variables.lease(aws.settings)
    assert second is not None
    assert aws.schedules() == [switch_name(second)] != [switch_name(expired)]


@pytest.mark.parametrize(
    "trouble",
    [{"status": 403, "code": "AccessDeniedException"}, {"status": 500, "code": "InternalServerException"}],
    ids=["denied", "down"],
)
def test_a_switch_that_cannot_be_made_is_a_warning_only(aws: Aws, run: Run, trouble: dict[str, Any]) -> None:
    run.plan(switched(aws))
    aws.fail("scheduler", "CreateSchedule", **trouble)
    start(run)
    assert aws.is_started
    (warning,) = xcom.pull_warnings(run.context("write_report"))  # type: ignore[arg-type]
    assert "there is no dead man's switch for this run" in warning


@pytest.mark.parametrize("by", ["its stop", "another run"])
def test_a_run_that_ended_before_the_request_starts_nothing_and_removes_only_its_own_switch(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    run.plan(switched(aws))

    left: list[str] = []

    def end_the_run_meanwhile(lease: Lease, *args: Any) -> str | None:
        said = arm(lease, *args)
        variables.values.clear()
        if by == "another run":
            theirs = lease.model_copy(update={"run_id": "theirs"})
            variables.put_lease(theirs)
            arm(theirs, *args)
            left.append(switch_name(theirs))
        return said

    monkeypatch.setattr(switch, "arm", end_the_run_meanwhile)
    with pytest.raises(AirflowFailException, match="the model was not started: meanwhile this run was ended"):
        start(run)
    assert aws.model()["status"] == "TRAINING_COMPLETED"
    assert aws.schedules() == left


def test_without_the_option_there_is_no_switch(aws: Aws, run: Run, variables: Variables) -> None:
    run.plan(aws.settings)
    start(run)
    assert aws.schedules() == []
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert not lease.dead_man_switch


def test_a_lease_that_airflow_does_not_return_does_not_count_as_the_runs_end(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.plan(aws.settings)
    with monkeypatch.context() as patch:
        patch.setattr(variables, "get", lambda key, default: default)  # as Airflow does without the API server
        with pytest.raises(RuntimeError, match="cannot be read now"):  # not an AirflowFailException, so Airflow retries
            start(run)
    assert start(run)
