"""The sensor that waits for the model: each state, and the deadline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout, TaskDeferred
from airflow.triggers.base import TaskSuccessEvent

from label_detection.sensors.model import ModelRunningSensor
from label_detection.triggers.model import ModelRunningTrigger
from tests.model_calls import KINDS
from tests.plugins.conftest import Run, dags_test_event, events_of

if TYPE_CHECKING:
    from tests.conftest import Aws

pytestmark = pytest.mark.kinds(*KINDS)
_REKOGNITIONS_OWN = [
    "TRAINING_IN_PROGRESS",
    "TRAINING_FAILED",
    "DELETING",
    "COPYING_IN_PROGRESS",
    "COPYING_COMPLETED",
    "COPYING_FAILED",
    "DEPRECATED",
    "EXPIRED",
]
#: States that describe may still report after a start request.
FROM_BEFORE = [
    "TRAINING_COMPLETED",
    "FAILED",
    "STOPPING",
    "STOPPED",
    pytest.param("COPYING_COMPLETED", marks=pytest.mark.only("rekognition")),
]
#: Not SageMaker: start_model deletes an earlier failed endpoint, so a failed one comes from this start.
OLD_FAILURE = pytest.param("FAILED", marks=pytest.mark.only("rekognition", "lookoutvision"))
UNUSABLE = [
    pytest.param(status, marks=pytest.mark.only("rekognition"))
    for status in _REKOGNITIONS_OWN
    if status != "COPYING_COMPLETED"
]


@pytest.fixture
def sensor() -> ModelRunningSensor:
    return ModelRunningSensor(task_id="wait_for_model")


@pytest.fixture
def asked(aws: Aws, run: Run) -> Run:
    """A run that has requested the start, with 20 minutes until the deadline."""
    now = datetime.now(UTC)
    run.plan(aws.settings)
    run.started(now, now + timedelta(minutes=20))
    return run


def resume(run: Run, sensor: ModelRunningSensor, method: str, event: object) -> str:
    returned = run.execute(
        sensor, call=lambda context: sensor.resume_execution(method, {"event": event} if event else None, context)
    )
    return str(returned)


def test_a_running_model_is_not_waited_for(aws: Aws, asked: Run, sensor: ModelRunningSensor) -> None:
    aws.put_model("RUNNING")
    before = datetime.now(UTC)
    seen_at = datetime.fromisoformat(asked.execute(sensor))
    assert before <= seen_at <= datetime.now(UTC)


@pytest.mark.parametrize("status", [*FROM_BEFORE, *UNUSABLE])
def test_a_minute_after_the_request_a_state_that_will_not_become_running_fails_at_once(
    aws: Aws, run: Run, sensor: ModelRunningSensor, status: str
) -> None:
    asked_at = datetime.now(UTC) - timedelta(seconds=61)
    run.plan(aws.settings)
    run.started(asked_at, asked_at + timedelta(minutes=20))
    aws.change_model(status=status, message="The service's own message")
    with pytest.raises(AirflowFailException, match=f"not starting but {aws.model()['says'] or 'NoEndpoint'}"):
        run.execute(sensor)


@pytest.mark.parametrize("status", UNUSABLE)
def test_a_state_that_no_start_can_have_been_accepted_in_fails_at_once(
    aws: Aws, asked: Run, sensor: ModelRunningSensor, status: str
) -> None:
    aws.put_model(status)
    with pytest.raises(AirflowFailException, match=f"not starting but {status}"):
        asked.execute(sensor)


@pytest.mark.parametrize("status", [OLD_FAILURE if status == "FAILED" else status for status in FROM_BEFORE])
@pytest.mark.parametrize("accepted_late", [False, True], ids=["accepted at once", "accepted after two minutes"])
def test_within_a_minute_of_the_accepted_request_a_state_from_before_counts_as_starting(
    aws: Aws, run: Run, sensor: ModelRunningSensor, status: str, accepted_late: bool
) -> None:
    accepted_at = datetime.now(UTC) - timedelta(seconds=5)
    requested_at = accepted_at - timedelta(minutes=2 if accepted_late else 0)
    run.plan(aws.settings)
    run.started(requested_at, requested_at + timedelta(minutes=20), accepted_at)
    aws.put_model(status)
    with pytest.raises(TaskDeferred) as deferral:
        run.execute(sensor)
    trigger = deferral.value.trigger
    assert isinstance(trigger, ModelRunningTrigger)
    assert trigger.lags_until == accepted_at + timedelta(seconds=60)


def test_a_run_of_airflow_dags_test_passes_at_its_first_try(aws: Aws, asked: Run, sensor: ModelRunningSensor) -> None:
    """`airflow dags test` calls `execute_complete` with the event's text; a scheduler ends the task instead."""
    aws.put_model("STARTING")
    with pytest.raises(TaskDeferred) as deferral:
        asked.execute(sensor)
    aws.put_model("RUNNING")
    event = dags_test_event(deferral.value.trigger)
    before = datetime.now(UTC)
    seen_at = datetime.fromisoformat(resume(asked, sensor, deferral.value.method_name, event))
    assert before <= seen_at <= datetime.now(UTC)


def test_a_starting_model_is_waited_for_until_the_runs_deadline(
    aws: Aws, asked: Run, sensor: ModelRunningSensor
) -> None:
    aws.put_model("STARTING")
    started_at = datetime.fromisoformat(asked.xcoms["start_model", "return_value"]["requested_at"])
    asked.xcoms["plan_run", "plan"]["start_seconds"] = [250, 310]
    with pytest.raises(TaskDeferred) as deferral:
        asked.execute(sensor)
    trigger = deferral.value.trigger
    assert isinstance(trigger, ModelRunningTrigger)
    assert (trigger.since, trigger.usual) == (started_at, (250.0, 310.0))
    assert (trigger.model.arn, trigger.aws_conn_id, trigger.region_name) == (
        aws.settings.model_arn,
        "aws_default",
        "us-east-1",
    )
    assert deferral.value.timeout is not None
    assert timedelta(minutes=19.5) < deferral.value.timeout <= timedelta(minutes=20)


def test_the_trigger_resumes_the_sensor(aws: Aws, asked: Run, sensor: ModelRunningSensor) -> None:
    aws.put_model("STARTING")
    with pytest.raises(TaskDeferred) as deferral:
        asked.execute(sensor)
    aws.put_model("RUNNING")
    trigger = deferral.value.trigger
    assert isinstance(trigger, ModelRunningTrigger)
    (event,) = events_of(trigger, within=30)
    assert isinstance(event, TaskSuccessEvent), "the trigger must end the task itself"
    assert deferral.value.method_name == "execute_complete"


def test_a_deadline_that_has_passed_fails_instead_of_deferring(aws: Aws, run: Run, sensor: ModelRunningSensor) -> None:
    deadline = datetime.now(UTC) - timedelta(seconds=1)
    run.plan(aws.settings)
    run.started(deadline - timedelta(minutes=20), deadline)
    aws.put_model("STARTING")
    with pytest.raises(
        AirflowFailException, match=f"still {aws.model()['says']}.*its time was up at {deadline:%H:%M:%S} UTC"
    ):
        run.execute(sensor)


@pytest.mark.usefixtures("aws")
def test_an_error_of_the_trigger_is_left_to_a_retry(asked: Run, sensor: ModelRunningSensor) -> None:
    event = {"status": "error", "message": "the model will not run: FAILED"}
    with pytest.raises(AirflowException, match="the model will not run: FAILED") as failure:
        resume(asked, sensor, "execute_complete", event)
    assert not isinstance(failure.value, AirflowFailException)


def test_a_deferral_that_times_out_is_the_end(asked: Run, sensor: ModelRunningSensor) -> None:
    with pytest.raises(AirflowSensorTimeout):
        asked.execute(
            sensor,
            call=lambda context: sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, context),
        )


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (0, "no plan: run the task together with plan_run"),
        (1, "not started the model: run the task together with start_model"),
    ],
    ids=["no plan", "no start"],
)
def test_a_task_run_alone_names_the_tasks_that_it_needs(
    aws: Aws, run: Run, sensor: ModelRunningSensor, steps: int, words: str
) -> None:
    aws.put_model("STARTING")
    if steps:
        run.plan(aws.settings)
    with pytest.raises(ValueError, match=words):
        run.execute(sensor)
