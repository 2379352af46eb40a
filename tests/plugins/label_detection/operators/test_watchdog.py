"""The watchdog stops models that were left on, and no others."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException

from label_detection.hooks.model import hook_class
from label_detection_core.model.at_work import SEEN_PREFIX, Seen
from label_detection_core.model.lease import variable_name
from sandbox.waiting import wait_until
from tests.model_calls import KINDS
from tests.plugins.conftest import SetWaits, Variables
from tests.plugins.label_detection.operators.conftest import NOT_FOUND, Airflow, Watch, lease_on

if TYPE_CHECKING:
    from tests.conftest import Aws
pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


@pytest.mark.parametrize(
    ("minutes", "run", "stops"),
    [
        pytest.param(60, ("running", None), False, id="a healthy run"),
        pytest.param(60, ("running", "failed"), False, id="a run whose report is still to be written"),
        pytest.param(60, ("queued", None), False, id="a run that was cleared and waits"),
        pytest.param(60, ("failed", None), False, id="marked failed manually, teardown still to come"),
        pytest.param(60, ("success", "running"), False, id="marked success manually, teardown running"),
        pytest.param(60, ("failed", "up_for_retry"), False, id="its stop is retried"),
        pytest.param(60, {"status_code": 503, "detail": None}, False, id="Airflow's API is down"),
        pytest.param(60, {"status_code": 404, "detail": {"detail": {"reason": "odd"}}}, False, id="another 404"),
        pytest.param(60, EOFError("gone"), False, id="the connection to Airflow breaks"),
        pytest.param(-1, EOFError("gone"), True, id="expired, and the connection to Airflow breaks"),
        pytest.param(
            60, {"status_code": 404, "detail": {"detail": "Not Found"}}, False, id="a 404 of an unknown API path"
        ),
        pytest.param(60, ("failed", None), False, id="marked failed manually, stop not begun"),
        pytest.param(60, NOT_FOUND, True, id="deleted"),
        pytest.param(60, ("failed", "failed"), True, id="its stop failed"),
        pytest.param(60, ("success", "success"), True, id="its stop was marked as done manually"),
        pytest.param(60, ("failed", "upstream_failed"), True, id="its stop never ran"),
        pytest.param(-1, ("running", None), True, id="expired, and still running"),
        pytest.param(-1, ("failed", None), True, id="expired, teardown still to come"),
        pytest.param(-1, {"status_code": 503, "detail": None}, True, id="expired, and Airflow's API is down"),
    ],
)
def test_a_model_is_stopped_when_its_run_is_over_or_its_lease_has_expired_and_never_before(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch, minutes: float, run: Any, stops: bool
) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws, minutes=minutes)
    variables.put_lease(lease)
    airflow.runs["r1"] = run
    acted = watch()
    assert aws.model()["status"] == ("STOPPED" if stops else "RUNNING")
    assert [entry["run_id"] for entry in acted] == (["r1"] if stops else [])
    assert variables.lease(aws.settings) == (None if stops else lease)


@pytest.mark.parametrize(
    ("looks", "stops"),
    [
        pytest.param([None], True, id="no task is scheduled: its file is broken"),
        pytest.param([None, None, "queued"], False, id="between two tasks"),
        pytest.param(["up_for_retry"], False, id="before a retry"),
        pytest.param(["scheduled"], False, id="before a task"),
        pytest.param(["deferred"], False, id="waiting in the triggerer"),
    ],
)
def test_the_model_of_a_run_without_any_active_task_is_stopped(
    aws: Aws,
    variables: Variables,
    airflow: Airflow,
    watch: Watch,
    set_waits: SetWaits,
    looks: list[str | None],
    stops: bool,
) -> None:
    set_waits(stuck=0.5, stuck_look=0.1)
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws))
    airflow.runs["r1"] = ("running", None)
    airflow.looks = [{"analyse_images_0": state} for state in looks]
    acted = watch()
    assert aws.model()["status"] == ("STOPPED" if stops else "RUNNING")
    assert ["no task of the run was active" in entry["why"] for entry in acted] == [True] * stops


@pytest.mark.parametrize(
    ("is_paused", "task", "stop", "why"),
    [
        pytest.param(True, "up_for_retry", None, "its DAG is paused", id="paused before a retry"),
        pytest.param(True, "scheduled", None, "its DAG is paused", id="paused before a task"),
        pytest.param(True, "success", "scheduled", "its DAG is paused", id="paused before the stop"),
        pytest.param(True, "running", None, "", id="paused, but a task runs"),
        pytest.param(True, "queued", None, "", id="paused, but a task is with the executor"),
        pytest.param(False, "success", "scheduled", "stop_model has been scheduled", id="the stop is not queued"),
        pytest.param(False, "success", "queued", "stop_model has been queued", id="the stop gets no worker"),
    ],
)
def test_a_run_that_airflow_does_not_go_on_with_is_stopped_whatever_its_tasks_states(
    aws: Aws,
    variables: Variables,
    airflow: Airflow,
    watch: Watch,
    set_waits: SetWaits,
    is_paused: bool,
    task: str,
    stop: str | None,
    why: str,
) -> None:
    set_waits(stuck=0.5, stuck_look=0.1)
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws))
    airflow.is_paused = is_paused
    airflow.runs["r1"] = ("running", stop)
    airflow.looks = [{"analyse_images_0": task}]
    acted = watch()
    assert [why in entry["why"] for entry in acted] == [True] * bool(why)
    assert aws.model()["status"] == ("STOPPED" if why else "RUNNING")


def test_a_run_whose_tasks_wait_is_given_up_after_twenty_minutes_without_a_change(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch, set_waits: SetWaits
) -> None:
    set_waits(stuck=0.5, stuck_look=0.1)
    aws.put_model("RUNNING")
    lease = lease_on(aws)
    variables.put_lease(lease)
    airflow.runs["r1"] = ("running", None)
    airflow.looks = [{"analyse_images_0": "up_for_retry"}]
    name = variable_name(SEEN_PREFIX, lease.model_arn)
    for minutes in (0, 19):
        assert watch() == [], f"after {minutes} minutes"
        seen = Seen.model_validate_json(variables.values[name])
        earlier = seen.model_copy(update={"since": datetime.now(UTC) - timedelta(minutes=minutes + 1)})
        variables.values[name] = earlier.model_dump_json()
    airflow.looks = [{"analyse_images_0": "running"}]
    assert watch() == []
    assert name not in variables.values, "a task that runs is a new beginning"
    airflow.looks = [{"analyse_images_0": "up_for_retry"}]
    assert watch() == []
    variables.values[name] = earlier.model_dump_json()
    (acted,) = watch()
    assert acted["why"] == "its tasks have only waited for 20 minutes: is its DAG file broken?"
    assert aws.model()["status"] == "STOPPED"
    assert name not in variables.values


def test_a_model_whose_service_hangs_does_not_delay_the_stops_of_the_others(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("", "2", "3"):
        aws.put_model("RUNNING", version)
        variables.put_lease(lease_on(aws, version, minutes=-1))
    describe, others_are_off = hook_class(aws.settings.model).describe, threading.Event()

    def hanging(self: Any) -> Any:
        if self.model_arn == aws.settings.model_arn:
            others_are_off.wait(60)
            raise RuntimeError("no answer")
        return describe(self)

    def off() -> bool:
        return [aws.model(version)["status"] for version in ("2", "3")] == ["STOPPED"] * 2

    def release() -> None:
        wait_until(off, 30, "the other models to be off")
        others_are_off.set()

    monkeypatch.setattr(hook_class(aws.settings.model), "describe", hanging)
    waiter = threading.Thread(target=release)
    waiter.start()
    with pytest.raises(AirflowException, match=r"^arn\S+ left by run r1 .*: no answer$"):
        watch()
    waiter.join()
    assert others_are_off.is_set()
    assert off()


def test_without_a_lease_no_model_is_looked_at_and_aws_is_not_called(aws: Aws, watch: Watch) -> None:
    aws.put_model("RUNNING")
    aws.fail("*", "*", status=500, code="MustNotBeCalled", times=1)
    assert watch() == []
    assert len(aws.control("faults")) == 1
    assert aws.model()["status"] == "RUNNING"


def test_a_healthy_runs_model_is_not_even_looked_at(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    variables.put_lease(lease_on(aws))
    airflow.runs["r1"] = ("running", None)
    aws.fail("*", "*", status=500, code="MustNotBeCalled", times=1)
    assert watch() == []
    assert len(aws.control("faults")) == 1


def test_it_needs_no_configuration(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUEUE_URL", "MODEL_ARN", "SOURCE_BUCKET", "FINAL_BUCKET"):
        monkeypatch.delenv(f"AIRFLOW__LABEL_DETECTION__{name}")
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__WATCHDOG_GRACE_MINUTES", "soon")
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    watch()
    assert aws.model()["status"] == "STOPPED"


def test_of_several_models_only_those_left_on_are_stopped(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    for version in ("", "2", "3"):
        aws.put_model("RUNNING", version)
    variables.put_lease(lease_on(aws, minutes=-5, run_id="expired"))
    variables.put_lease(lease_on(aws, "2", run_id="deleted", dag_id="another_dag"))
    variables.put_lease(lease_on(aws, "3", run_id="healthy"))
    airflow.runs = {"expired": ("running", None), "deleted": NOT_FOUND, "healthy": ("running", None)}
    acted = watch()
    assert {entry["run_id"] for entry in acted} == {"expired", "deleted"}
    assert [aws.model(version)["status"] for version in ("", "2", "3")] == ["STOPPED", "STOPPED", "RUNNING"]
    assert len(variables.leases()) == 1


def test_the_model_of_an_earlier_configuration_is_stopped_too(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING", "2")
    variables.put_lease(lease_on(aws, "2", minutes=-1))
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", aws.settings.model_arn)
    watch()
    assert aws.model("2")["status"] == "STOPPED"
