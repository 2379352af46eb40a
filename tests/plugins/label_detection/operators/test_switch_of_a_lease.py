"""The dead man's switch belongs to one lease: it is removed with that lease, and no other one is."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from label_detection import leases, xcom
from label_detection.hooks import switch
from label_detection.hooks.model import ModelHook
from label_detection.hooks.switch import arm, switch_name
from label_detection.left_on import LeftOn
from label_detection_core.model.lease import Lease, lease_name
from sandbox.waiting import wait_until
from tests.plugins.conftest import QUICK, RUN_ID, Run, Variables
from tests.plugins.label_detection.operators.conftest import Airflow, Watch, lease_on, start, stop

if TYPE_CHECKING:
    from label_detection_core.config.settings import Settings
    from tests.conftest import Aws

ROLE = "arn:aws:iam::123456789012:role/switch"
pytestmark = pytest.mark.usefixtures("quick")


def switched(aws: Aws) -> Settings:
    return aws.settings.model_copy(update={"dead_man_switch_role_arn": ROLE})


def started(aws: Aws, run: Run, variables: Variables) -> Lease:
    """Start the model in a run with a switch, and return its lease."""
    run.plan(switched(aws))
    start(run)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert switch_name(lease) in aws.schedules()
    aws.put_model("RUNNING")
    return lease


def warnings(run: Run) -> list[str]:
    context: Any = run.context("write_report")
    return xcom.pull_warnings(context)


@pytest.fixture
def release(aws: Aws) -> Iterator[Callable[[], object]]:
    """Hold the next removal of a switch until the fixture's function is called, or the test is over."""
    aws.fail("scheduler", "DeleteSchedule", when="late", delay=300, times=1)
    yield lambda: aws.control("faults", "DELETE")
    aws.control("faults", "DELETE")


@pytest.mark.parametrize("run_id", ["scheduled__next", RUN_ID], ids=["the next run", "the same run, cleared"])
def test_a_removal_that_arrives_late_does_not_remove_the_switch_of_a_later_lease(
    aws: Aws,
    run: Run,
    variables: Variables,
    hook: ModelHook,
    monkeypatch: pytest.MonkeyPatch,
    release: Callable[[], object],
    run_id: str,
) -> None:
    patient = Config(retries={"total_max_attempts": 1}, read_timeout=300)
    monkeypatch.setattr(switch, "brief_config", lambda: patient)
    first = started(aws, run, variables)
    slow = threading.Thread(target=stop, args=(run,))
    slow.start()
    wait_until(lambda: aws.control("faults") == [], 60, "the removal of the first run's switch")
    second = started(aws, Run(run_id=run_id), variables)
    assert aws.schedules() == [switch_name(second)]
    arm(first, hook, ROLE)  # so that the late removal has something to remove
    release()
    slow.join(120)
    assert not slow.is_alive()
    assert aws.schedules() == [switch_name(second)]
    assert variables.lease(aws.settings) == second
    stop(Run(run_id=run_id, xcoms=run.xcoms))
    assert (aws.schedules(), variables.leases()) == ([], [])


@pytest.mark.parametrize("settings", [switched, lambda aws: aws.settings], ids=["a new switch", "the option is off"])
def test_a_run_that_replaces_a_dead_runs_lease_removes_its_switch(
    aws: Aws, run: Run, variables: Variables, settings: Callable[[Aws], Settings]
) -> None:
    dead = started(aws, Run(run_id="dead"), variables)
    run.plan(settings(aws))
    assert aws.schedules() == [], "plan_run has replaced the lease"
    start(run)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert switch_name(lease) != switch_name(dead)
    assert aws.schedules() == [switch_name(lease)] * lease.dead_man_switch
    assert warnings(run) == []


def test_a_dead_runs_switch_that_fired_since_is_no_warning(aws: Aws, run: Run, variables: Variables) -> None:
    dead = started(aws, Run(run_id="dead"), variables)
    aws.scheduler.delete_schedule(Name=switch_name(dead))
    context: Any = run.context("plan_run")
    assert leases.claim(dead.model_copy(update={"run_id": context["run_id"]})) is None


def test_the_removal_of_a_dead_runs_switch_is_tried_again(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_PAUSE", 0.0)
    dead = started(aws, Run(run_id="dead"), variables)
    aws.fail("scheduler", "DeleteSchedule", status=500, code="InternalServerException", times=2)
    context: Any = run.context("plan_run")
    assert leases.claim(dead.model_copy(update={"run_id": context["run_id"]})) is None
    assert aws.schedules() == []


@pytest.mark.parametrize("start_asked", [False, True], ids=["plan_run", "start_model"])
def test_a_dead_runs_switch_that_cannot_be_removed_is_a_warning_and_the_run_goes_on(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch, start_asked: bool
) -> None:
    monkeypatch.setattr(leases, "_PAUSE", 0.0)
    dead = started(aws, Run(run_id="dead"), variables)
    plan = run.plan(switched(aws))
    variables.put_lease(dead)
    aws.fail("scheduler", "DeleteSchedule", status=403, code="AccessDeniedException")
    context: Any = run.context("plan_run")
    lease, warning = leases.take_lease(context, plan, start_asked=start_asked)
    assert f"{switch_name(dead)} could not be removed" in str(warning)
    assert variables.lease(aws.settings) == lease


def test_the_watchdog_removes_the_switch_of_a_killed_run(
    aws: Aws, run: Run, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    lease = started(aws, run, variables)
    airflow.runs[RUN_ID] = ("failed", "failed")
    (acted,) = watch()
    assert acted["run_id"] == lease.run_id
    assert (aws.schedules(), variables.leases()) == ([], [])


def by_the_stop(run: Run, watch: Watch) -> None:
    stop(run)


def by_the_watchdog(run: Run, watch: Watch) -> None:
    watch()


def by_the_triggerer(run: Run, watch: Watch) -> None:
    (lease,) = leases.all_leases().leases
    one = LeftOn.of(lease, "no worker has stopped it", QUICK)
    one.stopping.until_off(lease.since)
    one.finish()


ENDS = [
    pytest.param(by_the_stop, id="stop_model"),
    pytest.param(by_the_watchdog, id="watchdog"),
    pytest.param(by_the_triggerer, id="triggerer"),
]


@pytest.mark.parametrize("end", ENDS)
def test_a_removal_that_fails_keeps_the_lease_so_that_it_is_tried_again_once(
    aws: Aws,
    run: Run,
    variables: Variables,
    airflow: Airflow,
    watch: Watch,
    end: Callable[[Run, Watch], None],
) -> None:
    lease = started(aws, run, variables)
    airflow.runs[RUN_ID] = ("failed", "failed")
    aws.fail("scheduler", "DeleteSchedule", status=500, code="InternalServerException", times=2)
    end(run, watch)
    kept = variables.lease(aws.settings)
    assert kept is not None
    assert kept == lease.model_copy(update={"kept_for_late_start": True, "until": kept.until})
    assert aws.schedules() == [switch_name(lease)]
    variables.put_lease(kept.model_copy(update={"until": datetime.now(UTC)}))
    assert watch() == [], "the model is off, so there is nothing to report"
    assert (aws.schedules(), variables.leases()) == ([], [])


@pytest.mark.parametrize("state", ["STOPPED", "RUNNING"])
def test_a_removal_that_is_never_allowed_does_not_keep_the_lease_for_ever(
    aws: Aws, run: Run, variables: Variables, airflow: Airflow, watch: Watch, state: str
) -> None:
    started(aws, run, variables)
    airflow.runs[RUN_ID] = ("failed", "failed")
    aws.fail("scheduler", "DeleteSchedule", status=403, code="AccessDeniedException")
    stop(run)
    kept = variables.lease(aws.settings)
    assert kept is not None
    variables.put_lease(kept.model_copy(update={"until": datetime.now(UTC)}))
    aws.put_model(state)
    assert len(watch()) == (state == "RUNNING")
    assert variables.leases() == []
    assert aws.model()["status"] == "STOPPED"


def put_lease_of_1_0(aws: Aws, variables: Variables, hook: ModelHook) -> str:
    """A run that version 1.0.0 began: its lease, and its switch, whose name it made of the model's ARN alone."""
    lease = lease_on(aws, run_id=RUN_ID, dead_man_switch=True, start_asked=True)
    arm(lease, hook, ROLE)
    schedule: Any = aws.scheduler.get_schedule(Name=switch_name(lease))
    aws.scheduler.delete_schedule(Name=switch_name(lease))
    old = f"label-detection-{hashlib.sha256(lease.model_arn.encode()).hexdigest()[:32]}"
    wanted = ("ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "ActionAfterCompletion")
    aws.scheduler.create_schedule(Name=old, Target=schedule["Target"], **{name: schedule[name] for name in wanted})
    stored = lease.model_dump(mode="json", exclude={"kept_for_late_start"})
    variables.values[lease_name(lease.model_arn)] = json.dumps(stored)
    return old


def by_the_next_run(run: Run, watch: Watch) -> None:
    (lease,) = leases.all_leases().leases
    leases.claim(lease.model_copy(update={"run_id": "next", "dead_man_switch": False}))


def by_a_stop_that_keeps_the_lease(run: Run, watch: Watch) -> None:
    (lease,) = leases.all_leases().leases
    leases.keep_for_late_start(lease)
    (kept,) = leases.all_leases().leases
    leases.put_lease(kept.model_copy(update={"until": datetime.now(UTC)}))
    watch()


@pytest.mark.parametrize(
    "end",
    [
        *ENDS,
        pytest.param(by_the_next_run, id="next run"),
        pytest.param(by_a_stop_that_keeps_the_lease, id="watchdog, after a stop that kept the lease"),
    ],
)
def test_a_switch_that_version_1_0_made_is_removed(
    aws: Aws,
    run: Run,
    variables: Variables,
    hook: ModelHook,
    airflow: Airflow,
    watch: Watch,
    end: Callable[[Run, Watch], None],
) -> None:
    run.plan(switched(aws))
    old = put_lease_of_1_0(aws, variables, hook)
    assert aws.schedules() == [old]
    aws.put_model("RUNNING")
    airflow.runs[RUN_ID] = ("failed", "failed")
    end(run, watch)
    assert aws.schedules() == []


def test_a_run_that_version_1_0_began_and_this_version_goes_on_with_leaves_no_switch(
    aws: Aws, run: Run, variables: Variables, hook: ModelHook
) -> None:
    run.plan(switched(aws))
    old = put_lease_of_1_0(aws, variables, hook)
    aws.put_model("RUNNING")
    start(run)
    assert len(aws.schedules()) == 2
    assert old in aws.schedules()
    stop(run)
    assert aws.schedules() == []


def test_the_name_of_version_1_0_is_not_tried_for_a_lease_of_this_version(
    aws: Aws, run: Run, variables: Variables, hook: ModelHook
) -> None:
    old = put_lease_of_1_0(aws, variables, hook)
    variables.values.clear()
    lease = started(aws, run, variables)
    assert switch.disarm(lease) is None
    assert aws.schedules() == [old]
