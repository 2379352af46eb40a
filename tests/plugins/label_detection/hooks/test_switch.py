"""The dead man's switch: it is made, moved and removed, and its failures never fail a run."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from label_detection.hooks import switch
from label_detection.hooks.model import ModelHook, hook_for
from label_detection.hooks.switch import arm, disarm, switch_name
from label_detection_core.config.model_types import model_of
from label_detection_core.model.lease import Lease
from sandbox.waiting import wait_until
from tests.model_calls import KINDS

if TYPE_CHECKING:
    from tests.conftest import Aws

ROLE = "arn:aws:iam::123456789012:role/dead-man-switch"
pytestmark = pytest.mark.kinds(*KINDS)
LATER = datetime(2099, 1, 1, 12, 0, 0, 1, tzinfo=UTC)


def lease_of(aws: Aws, until: datetime = LATER, armed: bool = True) -> Lease:
    return Lease(
        model_arn=aws.settings.model_arn,
        dag_id="label_detection",
        run_id="r1",
        since=datetime.now(UTC),
        until=until,
        units=1,
        dead_man_switch=armed,
        kept_for_late_start=False,
    )


def stored(aws: Aws) -> Any:
    (name,) = aws.schedules()
    return aws.scheduler.get_schedule(Name=name)


@pytest.mark.parametrize("length", [1, 255])
def test_each_lease_has_its_own_switch_name_that_aws_accepts(aws: Aws, length: int) -> None:
    lease = lease_of(aws)
    others: list[dict[str, object]] = [
        {"model_arn": f"arn:aws:rekognition:eu-west-1:1:project/{'p' * length}/version/a/1"},
        {"dag_id": "d" * length},
        {"run_id": "ü" * length},
        {"since": lease.since + timedelta(microseconds=1)},
    ]
    names = {switch_name(one) for one in (lease, *(lease.model_copy(update=other) for other in others))}
    assert len(names) == 1 + len(others)
    assert all(re.fullmatch(r"label-detection-[0-9a-zA-Z-_.]{1,48}", name) for name in names)


def test_a_lease_keeps_its_switch_name_when_it_is_stored_kept_or_read_in_another_time_zone(aws: Aws) -> None:
    lease = lease_of(aws)
    stored_lease = Lease.model_validate_json(lease.kept(datetime.now(UTC)).model_dump_json())
    far = lease.model_copy(update={"since": lease.since.astimezone(timezone(timedelta(hours=5)))})
    assert {switch_name(stored_lease), switch_name(far)} == {switch_name(lease)}


def test_a_switch_calls_stop_with_the_role_at_the_leases_end_rounded_up_and_deletes_itself(
    aws: Aws, hook: ModelHook
) -> None:
    assert arm(lease_of(aws), hook, ROLE) is None
    schedule = stored(aws)
    assert schedule["ScheduleExpression"] == "at(2099-01-01T12:00:01)"
    assert schedule["ScheduleExpressionTimezone"] == "UTC"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    assert schedule["ActionAfterCompletion"] == "DELETE"
    target = schedule["Target"]
    operation = aws.calls.operations["stop"]
    called = f"{operation[0].lower()}{operation[1:]}"
    assert target["Arn"] == f"arn:aws:scheduler:::aws-sdk:{aws.calls.service}:{called}"
    assert target["RoleArn"] == ROLE
    assert json.loads(target["Input"]) == hook.stop_target().input


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_the_target_is_in_the_models_partition(aws: Aws, partition: str) -> None:
    hook = hook_for(model_of(aws.settings.model_arn.replace("arn:aws:", f"arn:{partition}:")), None, None)
    assert hook.stop_target().arn.startswith(f"arn:{partition}:scheduler:::aws-sdk:{aws.calls.service}:")


def test_a_switch_made_again_is_moved_and_keeps_all_else(aws: Aws, hook: ModelHook) -> None:
    lease = lease_of(aws)
    arm(lease, hook, ROLE)
    before = stored(aws)
    assert arm(lease.model_copy(update={"until": LATER + timedelta(hours=1)}), hook, ROLE) is None
    after = stored(aws)
    assert after["ScheduleExpression"] == "at(2099-01-01T13:00:01)"
    changing = {"ScheduleExpression", "LastModificationDate", "CreationDate", "ResponseMetadata"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert aws.schedules() == [switch_name(lease)]


def test_a_switch_stops_the_model_and_removes_itself(aws: Aws, hook: ModelHook) -> None:
    aws.put_model("RUNNING")
    arm(lease_of(aws, datetime.now(UTC) + timedelta(seconds=1)), hook, ROLE)
    wait_until(lambda: aws.model()["status"] == "STOPPED", 60, "the switch")
    wait_until(lambda: not aws.schedules(), 60, "its end")


def test_a_model_that_is_starting_when_it_fires_is_stopped_once_it_runs(aws: Aws, hook: ModelHook) -> None:
    arm(lease_of(aws, datetime.now(UTC)), hook, ROLE)
    hook.start(1)
    wait_until(lambda: aws.model()["status"] == "STOPPED", 60, "the switch")


def test_a_removed_switch_does_not_fire(aws: Aws, hook: ModelHook) -> None:
    aws.put_model("RUNNING")
    due = datetime.now(UTC) + timedelta(seconds=7)
    lease = lease_of(aws, due)
    arm(lease, hook, ROLE)
    assert disarm(lease) is None
    assert aws.schedules() == []
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() + 2))
    assert aws.model()["status"] == "RUNNING"


def test_a_lease_without_a_switch_makes_no_call(aws: Aws) -> None:
    aws.fail("*", "*", status=500, code="MustNotBeCalled")
    assert disarm(lease_of(aws, armed=False)) is None


@pytest.mark.parametrize(
    "trouble",
    [{"status": 403, "code": "AccessDeniedException"}, {"status": 500, "code": "InternalServerException"}],
    ids=["denied", "down"],
)
def test_a_switch_that_cannot_be_made_or_removed_is_returned_as_a_warning(
    aws: Aws, hook: ModelHook, trouble: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    aws.fail("scheduler", "CreateSchedule", times=9, **trouble)
    aws.fail("scheduler", "DeleteSchedule", times=9, **trouble)
    lease = lease_of(aws)
    for warning, says in (
        (arm(lease, hook, ROLE), "there is no dead man's switch for this run"),
        (disarm(lease), "could not be removed, and stops the model at its time if it is there"),
    ):
        assert warning is not None
        assert says in warning
        assert str(trouble["code"]) in warning
    assert all(fault["times"] >= 7 for fault in aws.control("faults")), "each call may be repeated only once"
    assert [record.levelname for record in caplog.records if record.name == switch.__name__] == ["ERROR", "ERROR"]


def test_a_switch_that_is_already_gone_is_logged_without_a_warning(
    aws: Aws, hook: ModelHook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", switch.__name__)
    aws.fail("scheduler", "CreateSchedule", status=403, code="AccessDeniedException")
    assert "there is no dead man's switch" in (arm(lease_of(aws), hook, ROLE) or "")
    assert disarm(lease_of(aws)) is None
    (gone,) = [
        record for record in caplog.records if "was gone: it has fired, or was never made" in record.getMessage()
    ]
    assert gone.levelname == "INFO"


def test_any_other_error_of_a_switch_is_not_raised(aws: Aws, hook: ModelHook, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such connection")

    monkeypatch.setattr(switch, "_client", broken)
    assert "no such connection" in (arm(lease_of(aws), hook, ROLE) or "")
    assert "no such connection" in (disarm(lease_of(aws)) or "")


def test_a_scheduler_that_never_answers_delays_for_seconds_only() -> None:
    config: Any = vars(switch)["brief_config"]()
    assert config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout) <= 30
