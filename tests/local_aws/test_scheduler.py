"""EventBridge Scheduler's one-time schedules: when they fire, their calls, and refused ones."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import requests
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Aws, running, until
from tests.local_aws.test_faults import fault

#: Each message is received once, without delay.
pytestmark = pytest.mark.usefixtures("plain_aws")
ROLE = "arn:aws:iam::123456789012:role/switch"
OFF: Any = {"Mode": "OFF"}


@pytest.fixture
def scheduler(aws: Aws) -> Any:
    return aws.client("scheduler")


def at(seconds: float, zone: str = "UTC") -> str:
    """The time in `seconds` from now, in whole seconds, as schedules need it."""
    return f"at({datetime.now(ZoneInfo(zone)) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S})"


def put_target(key: str, bucket: str, **more: Any) -> dict[str, Any]:
    """A target that records its calls."""
    return {
        "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
        "RoleArn": ROLE,
        "Input": json.dumps({"QueueUrl": bucket, "MessageBody": key}),
        **more,
    }


@pytest.fixture
def queue(sqs: Any) -> str:
    return str(sqs.create_queue(QueueName=f"fired-{uuid4().hex}")["QueueUrl"])


@pytest.fixture
def make(scheduler: Any, queue: str) -> Callable[..., str]:
    """Makes a schedule that sends its name to the queue; returns the name."""

    def make(seconds: float = 1, policy: dict[str, int] | None = None, **more: Any) -> str:
        name = f"label-detection-{uuid4().hex[:8]}"
        target = put_target(name, queue, **({"RetryPolicy": policy} if policy else {}))
        schedule = {"ScheduleExpression": at(seconds), "FlexibleTimeWindow": OFF, "Target": target}
        scheduler.create_schedule(Name=name, **(schedule | more))
        return name

    return make


def waiting(sqs: Any, queue: str) -> list[str]:
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
    return [message["Body"] for message in found]


def page(aws: Aws, name: str) -> dict[str, Any] | None:
    """A schedule's control page, with its calls."""
    fired = requests.get(f"{aws.endpoint}/_local/schedules", timeout=10).json()
    return next((entry for entry in fired if entry["arn"].endswith(f"/{name}")), None)


def delivered(aws: Aws, name: str) -> Any:
    return (page(aws, name) or {}).get("delivered")


def exists(scheduler: Any, name: str) -> bool:
    return any(found["Name"] == name for found in scheduler.list_schedules(NamePrefix=name)["Schedules"])


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_switch_stops_the_model_when_it_is_due_and_not_before(aws: Aws, scheduler: Any) -> None:
    aws.model(status="RUNNING")
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    scheduler.create_schedule(
        Name="label-detection-switch",
        ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow=OFF,
        ActionAfterCompletion="DELETE",
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:rekognition:stopProjectVersion",
            "RoleArn": ROLE,
            "Input": json.dumps({"ProjectVersionArn": aws.model_arn}),
        },
    )
    until(lambda: aws.model()["status"] == "STOPPED")
    stopping = [change for change in aws.model()["history"] if change["status"] == "STOPPING"][-1]
    assert timedelta() <= datetime.fromisoformat(stopping["at"]) - due < timedelta(seconds=60)
    until(lambda: not exists(scheduler, "label-detection-switch"))
    fired = page(aws, "label-detection-switch")
    assert fired is not None
    assert (fired["delivered"], len(fired["attempts"]), fired["attempts"][0]["error"]) == (True, 1, None)
    assert datetime.fromisoformat(fired["due"]) == due


@pytest.mark.parametrize(("action", "stays"), [("NONE", True), ("DELETE", False), (None, True)])
def test_a_schedule_fires_once_and_is_deleted_only_if_configured(
    aws: Aws, scheduler: Any, sqs: Any, queue: str, make: Callable[..., str], action: str | None, stays: bool
) -> None:
    name = make(**({"ActionAfterCompletion": action} if action else {}))
    until(lambda: delivered(aws, name))
    time.sleep(0.6)
    assert waiting(sqs, queue) == [name]
    assert exists(scheduler, name) is stays


def test_a_schedule_is_due_in_its_own_time_zone(sqs: Any, queue: str, make: Callable[..., str]) -> None:
    name = make(ScheduleExpression=at(1, "Asia/Kolkata"), ScheduleExpressionTimezone="Asia/Kolkata")
    make(ScheduleExpression=at(1, "Asia/Kolkata"))  # in this time zone, five and a half hours from now in UTC
    until(lambda: waiting(sqs, queue))
    time.sleep(0.6)
    assert waiting(sqs, queue) == [name]


@pytest.mark.parametrize(
    "never",
    [
        pytest.param({"State": "DISABLED"}, id="disabled"),
        pytest.param({"ScheduleExpression": "rate(1 minutes)"}, id="rate"),
        pytest.param({"ScheduleExpression": "cron(* * * * ? *)"}, id="cron"),
        pytest.param({"ScheduleExpression": at(-3600)}, id="its time passed long ago"),
    ],
)
def test_a_disabled_recurring_or_past_schedule_does_not_fire(
    aws: Aws, scheduler: Any, make: Callable[..., str], never: dict[str, str]
) -> None:
    name, other = make(**never), make()
    until(lambda: delivered(aws, other))
    assert page(aws, name) is None
    assert exists(scheduler, name)


def test_an_updated_schedule_fires_at_its_new_time_with_its_new_target_alone(
    aws: Aws, scheduler: Any, sqs: Any, queue: str, make: Callable[..., str]
) -> None:
    before, after = at(7), at(9)
    name = make(ScheduleExpression=before, ActionAfterCompletion="NONE")
    update = {"Name": name, "FlexibleTimeWindow": OFF, "Target": put_target("new", queue)}
    scheduler.update_schedule(**update, ScheduleExpression=after, ActionAfterCompletion="DELETE")
    until(lambda: delivered(aws, name))
    assert waiting(sqs, queue) == ["new"]
    (attempt,) = (page(aws, name) or {})["attempts"]
    assert f"at({attempt['at'][:19]})" >= after
    until(lambda: not exists(scheduler, name))


def test_an_update_resets_the_parameters_that_it_lacks(scheduler: Any, queue: str, make: Callable[..., str]) -> None:
    name = make(3600, ActionAfterCompletion="DELETE", State="DISABLED", Description="a switch")
    scheduler.update_schedule(
        Name=name, FlexibleTimeWindow=OFF, Target=put_target("x", queue), ScheduleExpression=at(3600)
    )
    found = scheduler.get_schedule(Name=name)
    assert (found["ActionAfterCompletion"], found["State"], found.get("Description")) == ("NONE", "ENABLED", None)


def test_a_deleted_schedule_never_fires(aws: Aws, scheduler: Any, make: Callable[..., str]) -> None:
    name, other = make(), make()
    scheduler.delete_schedule(Name=name)
    until(lambda: delivered(aws, other))
    assert page(aws, name) is None
    assert refused(scheduler.delete_schedule, Name=name)[0] == "ResourceNotFoundException"


def test_a_failed_call_is_tried_again_until_it_works(aws: Aws, sqs: Any, queue: str, make: Callable[..., str]) -> None:
    aws.faults(fault("sqs", "SendMessage", times=1), fault("sqs", "SendMessage", times=1, reset=True))
    name = make()
    until(lambda: delivered(aws, name))
    attempts = (page(aws, name) or {})["attempts"]
    assert ["Broken" in (attempt["error"] or "") for attempt in attempts] == [True, False, False]
    assert "Connection" in attempts[1]["error"]
    assert waiting(sqs, queue) == [name]


@pytest.mark.parametrize(("retries", "calls"), [(0, 1), (1, 2)])
def test_a_call_is_retried_as_often_as_the_retry_policy_allows(
    aws: Aws, scheduler: Any, make: Callable[..., str], retries: int, calls: int
) -> None:
    aws.faults(fault("sqs", "SendMessage"))
    name = make(policy={"MaximumRetryAttempts": retries}, ActionAfterCompletion="DELETE")
    until(lambda: delivered(aws, name) is False)
    assert len((page(aws, name) or {})["attempts"]) == calls
    until(lambda: not exists(scheduler, name))


def test_a_schedule_that_is_deleted_is_not_tried_again(aws: Aws, scheduler: Any, make: Callable[..., str]) -> None:
    aws.faults(fault("sqs", "SendMessage"))
    name = make()
    attempts: list[Any] = until(lambda: (page(aws, name) or {}).get("attempts"))
    scheduler.delete_schedule(Name=name)
    deleted = datetime.now(UTC)
    until(lambda: delivered(aws, name) is False)
    attempts = (page(aws, name) or {})["attempts"]
    late = [attempt for attempt in attempts if datetime.fromisoformat(attempt["at"]) > deleted]
    assert len(late) <= 1, "only a call that was on its way may end after the deletion"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"Name": "a" * 65}, "'name' failed", id="name too long"),
        pytest.param({"Name": "a b"}, "'name' failed", id="space in the name"),
        pytest.param({"ScheduleExpression": "at(tomorrow)"}, "Expression at(tomorrow)", id="no time"),
        pytest.param({"ScheduleExpression": "at(2026-13-01T00:00:00)"}, "Expression at(2026-13", id="no such month"),
        pytest.param(
            {"ScheduleExpression": "at(9999-12-31T23:59:59)", "ScheduleExpressionTimezone": "America/New_York"},
            "Expression at(9999",
            id="beyond the calendar",
        ),
        pytest.param({"ScheduleExpression": "at(2026-11-22T10:00:00Z)"}, "Expression at(2026", id="time with a zone"),
        pytest.param({"ScheduleExpressionTimezone": "Mars/Base"}, "Timezone Mars/Base", id="no such time zone"),
        pytest.param({"ScheduleExpressionTimezone": "America"}, "Timezone America", id="a folder of time zones"),
        pytest.param({"State": "ON"}, "'state' failed", id="no such state"),
        pytest.param({"Target": {"RoleArn": "me"}}, "'target.roleArn' failed", id="no role"),
        pytest.param(
            {"Target": {"RoleArn": "arn:aws:iam::123456789012:user/me"}}, "'target.roleArn' failed", id="a user"
        ),
        pytest.param({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:shout"}}, "Arn", id="no such operation"),
        pytest.param({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqz:sendMessage"}}, "Arn", id="no such service"),
        pytest.param({"Target": {"Input": "{"}}, "RequestJson", id="input is not JSON"),
        pytest.param({"Target": {"Input": "{}"}}, "QueueUrl", id="input lacks a parameter"),
        pytest.param(
            {"Target": {"RetryPolicy": {"MaximumRetryAttempts": 186}}}, "maximumRetryAttempts", id="too many retries"
        ),
        pytest.param(
            {"Target": {"RetryPolicy": {"MaximumEventAgeInSeconds": 59}}}, "maximumEventAgeInSeconds", id="too young"
        ),
    ],
)
def test_a_wrong_schedule_is_refused_with_what_is_wrong(
    aws: Aws, queue: str, change: dict[str, Any], said: str
) -> None:
    scheduler = aws.client("scheduler", parameter_validation=False)
    wrong = {"Name": "wrong", "ScheduleExpression": at(60), "FlexibleTimeWindow": OFF} | change
    wrong["Target"] = put_target("x", queue) | change.get("Target", {})
    code, message = refused(scheduler.create_schedule, **wrong)
    assert code == "ValidationException"
    assert said in message
    assert not exists(scheduler, "wrong")


def test_a_wrong_update_is_refused_and_changes_nothing(scheduler: Any, queue: str, make: Callable[..., str]) -> None:
    name = make(3600)
    before = scheduler.get_schedule(Name=name)["Target"]
    update = {"Name": name, "ScheduleExpression": at(60), "FlexibleTimeWindow": OFF}
    target = put_target("x", queue) | {"RoleArn": "arn:aws:iam::1:role/short"}
    assert refused(scheduler.update_schedule, **update, Target=target)[0] == "ValidationException"
    assert scheduler.get_schedule(Name=name)["Target"] == before


def test_a_schedule_that_will_not_fire_is_logged(tmp_path: Any) -> None:
    with running(tmp_path) as aws:
        scheduler = aws.client("scheduler")
        for name, expression, arn in (
            ("recurs", "rate(5 minutes)", "arn:aws:scheduler:::aws-sdk:sns:publish"),
            ("templated", at(60), "arn:aws:sqs:us-east-1:123456789012:q"),
        ):
            scheduler.create_schedule(
                Name=name,
                ScheduleExpression=expression,
                FlexibleTimeWindow=OFF,
                Target={"Arn": arn, "RoleArn": ROLE, "Input": '{"Message": "x"}'},
            )
    log = (tmp_path / "aws.log").read_text()
    assert "/recurs will not fire: rate(5 minutes) recurs" in log
    assert "/templated will not fire: its target is" in log
