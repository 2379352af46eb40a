"""The sensor that waits for images: it looks first, then watches for a while, then skips the run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from botocore.exceptions import ClientError

from label_detection.operators.run import PlanRunOperator
from label_detection.sensors.sqs import QueueDepthSensor
from label_detection.triggers.sqs import QueueDepthTrigger
from label_detection_core.run.start_rule import Waiting, waiting_name
from tests.core.queues import delay
from tests.plugins.conftest import Run, Variables, dags_test_event, events_of

if TYPE_CHECKING:
    from tests.conftest import Aws

REQUIRED = ("queue_url", "source_bucket", "final_bucket", "model_arn")


@pytest.fixture
def sensor() -> QueueDepthSensor:
    return QueueDepthSensor(task_id="wait_for_images")


def deferred(run: Run, sensor: QueueDepthSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferral:
        run.execute(sensor)
    return deferral.value


def resume(run: Run, sensor: QueueDepthSensor, event: object) -> object:
    return run.execute(
        sensor, call=lambda context: sensor.resume_execution("execute_complete", {"event": event}, context)
    )


def test_it_does_not_defer_when_images_are_waiting(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    aws.upload("1.png", b"")
    aws.upload("2.png", b"")
    assert run.execute(sensor) == 2
    assert aws.depth() == (2, 0)


def test_it_defers_an_empty_queue_until_an_absolute_time(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    run.params = {"wait_minutes": 7}
    before = datetime.now(UTC)
    deferral = deferred(run, sensor)
    after = datetime.now(UTC)
    trigger = deferral.trigger
    assert isinstance(trigger, QueueDepthTrigger)
    until = datetime.fromisoformat(trigger.until)
    assert before + timedelta(minutes=7) <= until <= after + timedelta(minutes=7)
    assert (trigger.queue_url, trigger.aws_conn_id, trigger.region_name) == (
        aws.settings.queue_url,
        "aws_default",
        "us-east-1",
    )
    assert deferral.timeout is not None
    assert deferral.timeout > timedelta(minutes=7), "the trigger must end before Airflow's timeout"


@pytest.mark.parametrize("images", [0, 1], ids=["no image", "an image"])
def test_the_trigger_resumes_the_sensor(aws: Aws, run: Run, sensor: QueueDepthSensor, images: int) -> None:
    run.params = {"wait_minutes": 0.01}
    deferral = deferred(run, sensor)
    for _ in range(images):
        aws.upload("late.png", b"")
    assert isinstance(deferral.trigger, QueueDepthTrigger)
    (event,) = events_of(deferral.trigger, within=30)
    assert deferral.method_name == "execute_complete"
    if images:
        assert resume(run, sensor, event.payload) == 1
    else:
        with pytest.raises(AirflowSkipException, match="no images came"):
            resume(run, sensor, event.payload)


def test_messages_that_sqs_delays_start_nothing_and_are_named(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    delay(aws, 600)
    for number in range(3):
        aws.upload(f"{number}.png", b"")
    run.params = {"wait_minutes": 0}
    with pytest.raises(AirflowSkipException, match=r"no images are waiting \(3 delayed by SQS"):
        run.execute(sensor)
    run.params = {"wait_minutes": 0.01}
    deferral = deferred(run, sensor)
    assert isinstance(deferral.trigger, QueueDepthTrigger)
    (event,) = events_of(deferral.trigger, within=30)
    with pytest.raises(AirflowSkipException, match=r"no images came \(3 delayed by SQS"):
        resume(run, sensor, event.payload)


def test_a_message_whose_delay_has_ended_starts_a_run(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    delay(aws, 2)
    aws.upload("1.png", b"")
    deferral = deferred(run, sensor)
    assert isinstance(deferral.trigger, QueueDepthTrigger)
    deferral.trigger.poll_seconds = 0.2
    (event,) = events_of(deferral.trigger, within=30)
    assert resume(run, sensor, event.payload) == 1


def test_an_event_of_an_earlier_version_is_read(run: Run, sensor: QueueDepthSensor, aws: Aws) -> None:
    assert aws.depth() == (0, 0)
    assert resume(run, sensor, {"visible": 2}) == 2
    with pytest.raises(AirflowSkipException, match=r"^no images came$"):
        resume(run, sensor, {"visible": 0})


def test_airflow_dags_test_hands_it_the_same_event_as_a_scheduler(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    deferral = deferred(run, sensor)
    aws.upload("late.png", b"")
    assert resume(run, sensor, dags_test_event(deferral.trigger)) == 1


def test_a_queue_in_another_region_than_the_model_is_named_before_it_is_looked_for(
    aws: Aws, run: Run, sensor: QueueDepthSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/images"
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__QUEUE_URL", url)
    with pytest.raises(AirflowFailException, match=r"queue_url: the queue .* is in eu-west-1, the model in us-east-1"):
        run.execute(sensor)


def test_without_wait_minutes_an_empty_queue_skips_the_run_immediately(
    aws: Aws, run: Run, sensor: QueueDepthSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__WAIT_MINUTES", "0")
    with pytest.raises(AirflowSkipException, match="no images are waiting"):
        run.execute(sensor)
    aws.upload("1.png", b"")
    assert run.execute(sensor) == 1


def test_the_runs_param_wins_over_the_configuration(
    aws: Aws, run: Run, sensor: QueueDepthSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws.depth() == (0, 0)
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__WAIT_MINUTES", "9")
    run.params = {"wait_minutes": 0}
    with pytest.raises(AirflowSkipException):
        run.execute(sensor)
    run.params = {"wait_minutes": None}
    timeout = deferred(run, sensor).timeout
    assert timeout is not None
    assert timeout >= timedelta(minutes=9)


def test_a_missing_configuration_is_one_line_per_option_with_its_variable(
    aws: Aws, run: Run, sensor: QueueDepthSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aws.settings.queue_url
    for option in REQUIRED:
        monkeypatch.delenv(f"AIRFLOW__LABEL_DETECTION__{option.upper()}")
    with pytest.raises(AirflowFailException) as failure:
        run.execute(sensor)
    _, *lines = str(failure.value).splitlines()
    assert len(lines) == len(REQUIRED)
    for option, line in zip(REQUIRED, lines, strict=True):
        expected = f"[label_detection] {option} is missing: set AIRFLOW__LABEL_DETECTION__{option.upper()} ("
        assert line.startswith(expected)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("QUEUE_URL", "images", "must be the URL of an SQS queue"),
        ("MODEL_ARN", "arn:aws:s3:::bucket", "must be the ARN of a model: arn:aws:rekognition:"),
        ("MIN_CONFIDENCE", "101", "should be less than or equal to 100"),
        ("SCHEDULE", "now and then", "must be a cron expression"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_a_wrong_value_fails_without_a_retry_and_names_the_option_to_set(
    run: Run, sensor: QueueDepthSensor, monkeypatch: pytest.MonkeyPatch, option: str, value: str, words: str
) -> None:
    variable = f"AIRFLOW__LABEL_DETECTION__{option}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(AirflowFailException) as failure:
        run.execute(sensor)
    (_, line) = str(failure.value).splitlines()
    assert line.startswith(f"[label_detection] {option.lower()} is ")
    assert words in line
    assert line.endswith(f"; set {variable}")


@pytest.mark.usefixtures("aws")
def test_a_wrong_param_is_named_as_the_runs(run: Run, sensor: QueueDepthSensor) -> None:
    run.params = {"max_tasks": 0}
    with pytest.raises(AirflowFailException, match=r"max_tasks is 0: .*; set the run's param max_tasks"):
        run.execute(sensor)


def test_a_queue_that_does_not_exist_is_named_and_not_tried_again(
    aws: Aws, run: Run, sensor: QueueDepthSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{aws.settings.queue_url}-gone"
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__QUEUE_URL", url)
    with pytest.raises(AirflowFailException) as failure:
        run.execute(sensor)
    assert str(failure.value) == (
        f"[label_detection] queue_url: there is no queue {url}; set AIRFLOW__LABEL_DETECTION__QUEUE_URL "
        "to the URL of an existing queue"
    )


@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"])
def test_whoever_made_the_sqs_a_queue_that_does_not_exist_is_named(
    aws: Aws, run: Run, sensor: QueueDepthSensor, code: str
) -> None:
    aws.fail("sqs", "GetQueueAttributes", status=400, code=code)
    with pytest.raises(AirflowFailException, match="there is no queue"):
        run.execute(sensor)


def test_a_missing_permission_is_raised_with_the_message_of_aws(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    aws.fail("sqs", "GetQueueAttributes", status=403, code="AccessDenied", message="no sqs:GetQueueAttributes for you")
    with pytest.raises(ClientError, match="no sqs:GetQueueAttributes for you"):
        run.execute(sensor)


@pytest.mark.parametrize("model", ["RUNNING", "STARTING"])
def test_a_model_that_an_earlier_run_left_on_is_not_skipped_over(
    aws: Aws, run: Run, sensor: QueueDepthSensor, model: str
) -> None:
    run.plan(aws.settings)  # takes the lease
    aws.put_model(model)
    run.params = {"wait_minutes": 0}
    assert run.execute(sensor) == 0


def test_a_lease_that_was_left_on_a_model_that_is_off_starts_nothing(
    aws: Aws, run: Run, sensor: QueueDepthSensor
) -> None:
    run.plan(aws.settings)
    run.params = {"wait_minutes": 0}
    with pytest.raises(AirflowSkipException):
        run.execute(sensor)


def test_a_model_that_is_being_stopped_starts_no_run(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    run.plan(aws.settings)
    aws.put_model("STOPPING")
    run.params = {"wait_minutes": 0}
    with pytest.raises(AirflowSkipException):
        run.execute(sensor)


def test_a_model_that_another_user_started_starts_no_run(aws: Aws, run: Run, sensor: QueueDepthSensor) -> None:
    aws.put_model("RUNNING")
    run.params = {"wait_minutes": 0}
    with pytest.raises(AirflowSkipException):
        run.execute(sensor)


def test_fewer_messages_than_the_rule_wants_skip_the_run_in_seconds(
    aws: Aws, run: Run, sensor: QueueDepthSensor
) -> None:
    aws.upload("1.png", b"")
    run.params = {"start_at_images": 2}
    with pytest.raises(AirflowSkipException, match=r"^1 messages are waiting: the model starts at 2; to start it now"):
        run.execute(sensor)
    aws.upload("2.png", b"")
    assert run.execute(sensor) == 2


def test_messages_that_come_during_the_watch_start_nothing_when_they_are_too_few(
    aws: Aws, run: Run, sensor: QueueDepthSensor
) -> None:
    run.params = {"start_at_images": 2}
    deferral = deferred(run, sensor)
    aws.upload("late.png", b"")
    assert isinstance(deferral.trigger, QueueDepthTrigger)
    (event,) = events_of(deferral.trigger, within=30)
    with pytest.raises(AirflowSkipException, match="the model starts at 2"):
        resume(run, sensor, event.payload)


def waits_since(variables: Variables, aws: Aws, minutes: float) -> None:
    """Let the stored time be earlier, as if runs had looked for so long."""
    name = waiting_name(aws.settings.queue_url)
    kept = Waiting.model_validate_json(variables.values[name])
    variables.values[name] = Waiting(since=kept.since - timedelta(minutes=minutes)).model_dump_json()


def test_messages_that_have_waited_for_long_enough_start_the_model_over_runs(
    aws: Aws, run: Run, sensor: QueueDepthSensor, variables: Variables
) -> None:
    aws.upload("1.png", b"")
    run.params = {"start_at_images": 100, "start_at_minutes": 60, "wait_minutes": 0}
    for _ in range(2):
        with pytest.raises(AirflowSkipException, match="or when messages have waited for 60 minutes"):
            run.execute(sensor)
        waits_since(variables, aws, 30)
    assert run.execute(sensor) == 1
    assert run.execute(sensor) == 1, "a second try of the task must come to the same end"


def test_a_run_that_takes_the_messages_lets_the_next_ones_wait_from_their_own_time(
    aws: Aws, run: Run, sensor: QueueDepthSensor, variables: Variables
) -> None:
    aws.upload("1.png", b"")
    run.params = {"start_at_images": 100, "start_at_minutes": 60}
    with pytest.raises(AirflowSkipException):
        run.execute(sensor)
    waits_since(variables, aws, 61)
    assert run.execute(sensor) == 1
    run.execute(PlanRunOperator(task_id="plan_run"))
    with pytest.raises(AirflowSkipException, match="1 messages are waiting"):
        run.execute(sensor)


def test_a_memory_that_a_person_has_edited_counts_from_now(
    aws: Aws, run: Run, sensor: QueueDepthSensor, variables: Variables
) -> None:
    aws.upload("1.png", b"")
    run.params = {"start_at_images": 100, "start_at_minutes": 60}
    variables.values[waiting_name(aws.settings.queue_url)] = "since yesterday"
    with pytest.raises(AirflowSkipException):
        run.execute(sensor)
    assert Waiting.model_validate_json(variables.values[waiting_name(aws.settings.queue_url)])


def test_without_a_time_in_the_rule_no_variable_is_written(
    aws: Aws, run: Run, sensor: QueueDepthSensor, variables: Variables
) -> None:
    aws.upload("1.png", b"")
    assert run.execute(sensor) == 1
    assert variables.values == {}


@pytest.mark.parametrize("images", [0, 1], ids=["no message", "too few messages"])
def test_the_rule_does_not_hold_back_the_stop_of_a_model_that_an_earlier_run_left_on(
    aws: Aws, run: Run, sensor: QueueDepthSensor, images: int
) -> None:
    run.plan(aws.settings)
    aws.put_model("RUNNING")
    for number in range(images):
        aws.upload(f"{number}.png", b"")
    run.params = {"start_at_images": 100, "wait_minutes": 0}
    assert run.execute(sensor) == images
