"""The sensor that waits for a model in a user's own DAG."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    TaskDeferred,
)
from airflow.triggers.base import TaskSuccessEvent

from label_detection.sensors.model import CustomModelRunningSensor
from label_detection.triggers.model import ModelRunningTrigger
from tests.plugins.conftest import Run, events_of, later

if TYPE_CHECKING:
    from tests.conftest import Aws

#: States that describe may still report after a start request.
FROM_BEFORE = ["TRAINING_COMPLETED", "FAILED", "STOPPING", "STOPPED"]
MODES: dict[str, dict[str, Any]] = {"a worker": {}, "deferred": {"deferrable": True}}


def sensor(aws: Aws, **arguments: Any) -> CustomModelRunningSensor:
    given: dict[str, Any] = {"model_arn": aws.settings.model_arn, "poke_interval": 0.2, **arguments}
    return CustomModelRunningSensor(task_id="wait", **given)


@pytest.mark.parametrize("mode", MODES)
def test_a_running_model_is_not_waited_for(aws: Aws, run: Run, mode: str) -> None:
    aws.put_model("RUNNING")
    before = datetime.now(UTC)
    seen_at = datetime.fromisoformat(run.execute(sensor(aws, **MODES[mode])))
    assert before <= seen_at <= datetime.now(UTC)


def test_a_starting_model_is_looked_at_until_it_runs(aws: Aws, run: Run) -> None:
    aws.put_model("STARTING")
    with later(0.5, lambda: aws.put_model("RUNNING")):
        assert datetime.fromisoformat(run.execute(sensor(aws))) <= datetime.now(UTC)


def test_deferred_a_starting_model_is_waited_for_in_the_triggerer(aws: Aws, run: Run) -> None:
    aws.put_model("STARTING")
    before = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as deferral:
        run.execute(sensor(aws, deferrable=True, timeout=600, aws_conn_id="aws_other"))
    trigger = deferral.value.trigger
    assert isinstance(trigger, ModelRunningTrigger)
    assert (trigger.aws_conn_id, trigger.region_name) == ("aws_other", "us-east-1")
    assert trigger.lags_until is not None
    assert before + timedelta(seconds=60) <= trigger.lags_until
    assert deferral.value.timeout == timedelta(minutes=10)


def test_the_trigger_it_defers_to_ends_the_task(aws: Aws, run: Run) -> None:
    aws.put_model("STARTING")
    with pytest.raises(TaskDeferred) as deferral:
        run.execute(sensor(aws, deferrable=True))
    aws.put_model("RUNNING")
    trigger = deferral.value.trigger
    assert trigger is not None
    (event,) = events_of(trigger, within=30)
    assert isinstance(event, TaskSuccessEvent)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", ["TRAINING_IN_PROGRESS", "TRAINING_FAILED", "DELETING", "EXPIRED"])
def test_a_state_that_cannot_become_running_fails_at_once(aws: Aws, run: Run, status: str, mode: str) -> None:
    aws.put_model(status)
    with pytest.raises(AirflowFailException, match=f"not starting but {status}"):
        run.execute(sensor(aws, **MODES[mode]))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("status", ["STOPPED", "FAILED"])
def test_a_state_that_may_be_from_before_the_start_fails_once_describe_cannot_lag_any_more(
    aws: Aws, run: Run, status: str
) -> None:
    aws.put_model(status)
    with pytest.raises(AirflowFailException, match=f"not starting but {status}"):
        run.execute(sensor(aws))


@pytest.mark.parametrize("status", FROM_BEFORE)
def test_for_a_minute_a_state_from_before_the_start_counts_as_starting(aws: Aws, run: Run, status: str) -> None:
    aws.put_model(status)
    with pytest.raises(TaskDeferred):
        run.execute(sensor(aws, deferrable=True))


def test_a_model_that_takes_longer_than_the_timeout_fails_the_task(aws: Aws, run: Run) -> None:
    aws.put_model("STARTING")
    with pytest.raises(AirflowSensorTimeout):
        run.execute(sensor(aws, timeout=0.5, poke_interval=0.1))


@pytest.mark.parametrize(
    ("ago", "error"), [(5, AirflowRescheduleException), (61, AirflowFailException)], ids=["young", "old"]
)
def test_rescheduled_the_minute_counts_from_the_first_look(
    aws: Aws, run: Run, ago: int, error: type[Exception]
) -> None:
    aws.put_model("STOPPED")
    context = run.context("wait")
    context["ti"].get_first_reschedule_date = lambda _: datetime.now(UTC) - timedelta(seconds=ago)
    with pytest.raises(error):
        run.execute(sensor(aws, mode="reschedule"), context)


def test_a_wrong_argument_is_named(aws: Aws, run: Run) -> None:
    with pytest.raises(AirflowFailException, match=r"^argument model_arn is wrong: must be the ARN of a model"):
        run.execute(sensor(aws, model_arn="parts"))


def test_model_arn_and_connection_are_templates(aws: Aws, run: Run) -> None:
    task = sensor(aws, model_arn="{{ params.arn }}", aws_conn_id="{{ params.conn }}")
    task.render_template_fields({"params": {"arn": "a", "conn": "b"}})
    assert (task.model_arn, task.aws_conn_id) == ("a", "b")
