"""The trigger that waits for the model without a worker."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.module_loading import import_string
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from label_detection.triggers.model import ModelRunningTrigger
from tests.model_calls import KINDS
from tests.plugins.conftest import events_of, later

if TYPE_CHECKING:
    from label_detection.hooks.model import ModelHook
    from tests.conftest import Aws

kinds = pytest.mark.kinds(*KINDS)
ARN = "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/1/1690000000000"
SINCE = "2026-11-22T06:00:00+00:00"
WAITER_ARGS = {"ProjectArn": "arn:aws:rekognition:eu-west-1:123456789012:project/parts/2", "VersionNames": ["1"]}


def soon() -> str:
    """The time when describe no longer lags behind a start of now."""
    return (datetime.now(UTC) + timedelta(seconds=2)).isoformat()


def trigger_for(hook: Any, **more: Any) -> ModelRunningTrigger:
    return ModelRunningTrigger(
        model_arn=hook.model_arn,
        waiter_args=hook.waiter_args(),
        aws_conn_id="aws_default",
        region_name="us-east-1",
        since=datetime.now(UTC).isoformat(),
        **more,
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "usual": [250.0, 310.5],
            "lags_until": "2026-11-22T06:01:00+00:00",
            "verify": False,
            "botocore_config": {"read_timeout": 7},
        },
    ],
    ids=["as the sensor makes it", "with everything"],
)
def test_the_triggerer_restores_it_with_the_same_arguments(more: dict[str, Any]) -> None:
    trigger = ModelRunningTrigger(
        model_arn=ARN,
        waiter_args=WAITER_ARGS,
        since=SINCE,
        aws_conn_id="parts_account",
        region_name="eu-west-1",
        **more,
    )
    path, arguments = trigger.serialize()
    restored = import_string(path)(**json.loads(json.dumps(arguments)))
    assert type(restored) is ModelRunningTrigger
    assert restored.serialize() == (path, arguments)
    given = {
        "model_arn": ARN,
        "waiter_args": WAITER_ARGS,
        "since": SINCE,
        "aws_conn_id": "parts_account",
        "region_name": "eu-west-1",
    }
    assert arguments.items() >= (given | more).items()


def test_the_triggers_hook_has_the_models_region_and_connection() -> None:
    trigger = ModelRunningTrigger(
        model_arn=ARN,
        waiter_args=WAITER_ARGS,
        since=SINCE,
        aws_conn_id="parts_account",
        region_name="eu-west-1",
        verify=False,
    )
    hook = trigger.hook()
    assert (hook.model_arn, hook.aws_conn_id, hook._region_name, hook._verify) == (
        ARN,
        "parts_account",
        "eu-west-1",
        False,
    )


def is_success(event: TriggerEvent) -> bool:
    """Whether the event ends the task, with the time as its XCom."""
    if not isinstance(event, TaskSuccessEvent):
        return False
    assert event.xcoms
    return datetime.fromisoformat(str(event.xcoms["return_value"])) <= datetime.now(UTC)


@kinds
def test_the_trigger_ends_the_task_when_the_model_has_started(aws: Aws, hook: ModelHook) -> None:
    hook.start(1)
    (event,) = events_of(trigger_for(hook, lags_until=soon()), within=30)
    assert is_success(event)
    assert aws.model()["status"] == "RUNNING"


@kinds
def test_the_trigger_ends_the_task_immediately_when_the_model_is_running(aws: Aws, hook: ModelHook) -> None:
    aws.put_model("RUNNING")
    (event,) = events_of(trigger_for(hook), within=30)
    assert is_success(event)


@kinds
def test_the_trigger_fires_when_the_start_failed_and_names_the_state(aws: Aws, hook: ModelHook) -> None:
    aws.change_model(start_outcome="FAILED")
    hook.start(1)
    (event,) = events_of(trigger_for(hook, lags_until=soon()), within=30)
    assert event.payload["status"] == "error"
    assert "the model will not run" in event.payload["message"]
    assert f"will not run: {aws.model()['says']}" in event.payload["message"]


def lags_for(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


#: Not SageMaker: start_model deletes an earlier failed endpoint, so a failed one comes from this start.
OLD_FAILURE = pytest.param("FAILED", marks=pytest.mark.only("rekognition", "lookoutvision"))
FROM_BEFORE = ["TRAINING_COMPLETED", OLD_FAILURE, "STOPPED", "STOPPING"]


@kinds
@pytest.mark.parametrize("status", FROM_BEFORE)
def test_a_state_from_before_the_request_is_waited_out(aws: Aws, hook: ModelHook, status: str) -> None:
    aws.put_model(status)
    trigger = trigger_for(hook, lags_until=lags_for(30))
    with later(0.5, lambda: aws.put_model("RUNNING")):
        (event,) = events_of(trigger, within=30)
    assert is_success(event)


@kinds
@pytest.mark.parametrize("status", FROM_BEFORE)
def test_a_state_that_stays_when_the_lag_is_over_is_an_error_that_names_it(
    aws: Aws, hook: ModelHook, status: str
) -> None:
    aws.put_model(status)
    began = time.monotonic()
    (event,) = events_of(trigger_for(hook, lags_until=lags_for(1)), within=30)
    assert time.monotonic() - began >= 1
    assert event.payload["status"] == "error"
    assert "the model will not run" in event.payload["message"]


@kinds
def test_a_refusal_of_aws_never_counts_as_a_lag(aws: Aws, hook: ModelHook) -> None:
    trigger = trigger_for(hook, lags_until=lags_for(30))
    aws.fail_model("describe", status=400, code="AccessDeniedException", message="not yours")
    (event,) = events_of(trigger, within=30)
    assert "AccessDeniedException" in event.payload["message"]


@kinds
def test_the_trigger_fires_with_the_refusal_of_aws(aws: Aws, hook: ModelHook) -> None:
    trigger = trigger_for(hook)
    aws.fail_model("describe", status=400, code="AccessDeniedException", message="not yours")
    (event,) = events_of(trigger, within=30)
    assert event.payload["status"] == "error"
    assert "AccessDeniedException" in event.payload["message"]


@kinds
def test_a_short_outage_of_the_service_is_waited_out(aws: Aws, hook: ModelHook) -> None:
    aws.put_model("RUNNING")
    trigger = trigger_for(hook, botocore_config={"retries": {"total_max_attempts": 1}})
    aws.fail_model("describe", status=500, times=1)
    (event,) = events_of(trigger, within=30)
    assert is_success(event)
    assert aws.control("faults") == []


class _PausedError(Exception):
    """The trigger pauses between two looks."""


@pytest.mark.parametrize(
    ("usual", "asked_ago", "pause"),
    [
        (None, 0, 1.0),
        (None, 3600, 5.0),
        ((60.0, 90.0), 0, 10.0),
        ((60.0, 90.0), 60, 1.0),
        ((60.0, 90.0), 3600, 5.0),
    ],
    ids=["not known, just asked", "not known, for long", "not for long", "about now", "long over"],
)
def test_the_trigger_looks_more_often_around_the_usual_end_of_a_start(
    aws: Aws,
    hook: ModelHook,
    monkeypatch: pytest.MonkeyPatch,
    usual: tuple[float, float] | None,
    asked_ago: float,
    pause: float,
) -> None:
    pauses = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        raise _PausedError

    monkeypatch.setattr("label_detection.triggers.model.asyncio", SimpleNamespace(sleep=sleep))
    aws.put_model("STARTING")
    trigger = trigger_for(hook, usual=usual)
    trigger.since -= timedelta(seconds=asked_ago)
    with pytest.raises(_PausedError):
        events_of(trigger, within=30)
    assert pauses == [pause]


@kinds
def test_the_trigger_waits_while_the_model_is_starting(aws: Aws, hook: ModelHook) -> None:
    aws.put_model("STARTING")
    with pytest.raises(TimeoutError):
        events_of(trigger_for(hook), within=1.5)
