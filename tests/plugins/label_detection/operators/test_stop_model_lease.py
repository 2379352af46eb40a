"""The task that stops the model: which run holds the lease, and the dead man's switch."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from label_detection import xcom
from label_detection.hooks import switch
from label_detection.hooks.model import ModelHook, hook_class
from label_detection_core.model.lease import Lease, lease_name
from tests.model_calls import KINDS
from tests.plugins.conftest import Run, SetWaits, Variables
from tests.plugins.label_detection.operators.conftest import stop

if TYPE_CHECKING:
    from tests.conftest import Aws

ROLE = "arn:aws:iam::123456789012:role/switch"
pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


@pytest.mark.parametrize("theirs", ["dag_id", "run_id"])
def test_the_lease_of_another_run_is_left(aws: Aws, planned: Run, variables: Variables, theirs: str) -> None:
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

    def deleted(key: str) -> None:
        seen.append(aws.model()["status"])
        delete(key)

    monkeypatch.setattr(variables, "delete", deleted)
    stop(planned)
    assert seen == ["STOPPED"]


def armed(aws: Aws, run: Run, variables: Variables, hook: ModelHook) -> None:
    run.plan(aws.settings.model_copy(update={"dead_man_switch_role_arn": ROLE}))
    lease = variables.lease(aws.settings)
    assert lease is not None
    lease = lease.model_copy(update={"dead_man_switch": True, "start_asked": True})
    variables.put_lease(lease)
    switch.arm(lease, hook, ROLE)


def test_the_switch_is_removed_once_the_model_is_off_and_before_the_lease_is_given_up(
    aws: Aws, run: Run, variables: Variables, hook: ModelHook, monkeypatch: pytest.MonkeyPatch
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
    assert xcom.pull_warnings(run.context("write_report")) == []  # type: ignore[arg-type]


def test_a_switch_that_cannot_be_removed_fails_nothing_and_is_a_warning(
    aws: Aws, run: Run, variables: Variables, hook: ModelHook
) -> None:
    armed(aws, run, variables, hook)
    aws.put_model("RUNNING")
    aws.fail("scheduler", "DeleteSchedule", status=403, code="AccessDeniedException")
    stop(run)
    (warning,) = xcom.pull_warnings(run.context("write_report"))  # type: ignore[arg-type]
    assert "could not be removed" in warning


def test_another_runs_switch_is_left(aws: Aws, run: Run, variables: Variables, hook: ModelHook) -> None:
    armed(aws, run, variables, hook)
    lease = variables.lease(aws.settings)
    assert lease is not None
    variables.put_lease(lease.model_copy(update={"run_id": "theirs"}))
    stop(run)
    assert aws.schedules() == [switch.switch_name(lease)]


def test_a_lease_that_somebody_edited_does_not_keep_the_model_on(aws: Aws, planned: Run, variables: Variables) -> None:
    aws.put_model("RUNNING")
    variables.values[lease_name(aws.settings.model_arn)] = '{"old": 1}'
    stop(planned)
    assert aws.model()["status"] == "STOPPED"


def held_by_the_next_run(aws: Aws, variables: Variables, minutes: float = 60, **more: Any) -> Lease:
    lease = variables.lease(aws.settings)
    assert lease is not None
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    taken = lease.model_copy(update={"run_id": "next", "since": datetime.now(UTC), "until": until} | more)
    variables.put_lease(taken)
    return taken


@pytest.mark.parametrize(("minutes", "after"), [(60, "RUNNING"), (-1, "STOPPED")], ids=["holds it", "expired"])
def test_a_model_that_another_run_holds_now_is_left_to_it(
    aws: Aws, planned: Run, variables: Variables, minutes: float, after: str
) -> None:
    taken = held_by_the_next_run(aws, variables, minutes)
    aws.put_model("RUNNING")
    stop(planned)
    assert aws.model()["status"] == after
    assert variables.lease(aws.settings) == taken


def test_a_lost_first_try_that_lives_on_does_not_stop_the_next_runs_model(
    aws: Aws, planned: Run, variables: Variables, hook: ModelHook, set_waits: SetWaits
) -> None:
    set_waits(linger=5.0)

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
    aws: Aws, run: Run, variables: Variables, hook: ModelHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed(aws, run, variables, hook)
    aws.put_model("RUNNING")
    describe = hook_class(aws.settings.model).describe
    theirs: set[str] = set()

    def take_over_once_it_is_off(self: ModelHook) -> Any:
        state = describe(self)
        if not state.is_on:
            lease = held_by_the_next_run(aws, variables)
            switch.arm(lease, hook, ROLE)
            theirs.add(switch.switch_name(lease))
        return state

    monkeypatch.setattr(hook_class(aws.settings.model), "describe", take_over_once_it_is_off)
    stop(run)
    assert theirs
    assert theirs <= {*aws.schedules()}


def test_a_lease_that_airflow_does_not_return_neither_keeps_the_model_on_nor_is_lost_for_the_retry(
    aws: Aws, planned: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    with monkeypatch.context() as patch:
        patch.setattr(variables, "get", lambda key, default: default)  # as Airflow does without the API server
        with pytest.raises(RuntimeError, match="cannot be read now"):
            stop(planned)
    assert aws.model()["status"] == "STOPPED"
    stop(planned)
    assert variables.leases() == []
