"""The plan: it checks everything before the run switches the model on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.config import Config
from botocore.exceptions import ClientError

from label_detection.hooks import clients
from label_detection.operators.run import PlanRunOperator
from label_detection.xcom import pull_plan, pull_warnings
from label_detection_core.model.lease import Lease
from tests.plugins.conftest import DAG_ID, RUN_ID, Run, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic


def plan(run: Run) -> list[float]:
    entries: list[float] = run.execute(PlanRunOperator(task_id="plan_run"))
    return entries


def announce(aws: Aws, images: int) -> None:
    """Put messages into the queue, ten per call. The queue's counts include them."""
    for first in range(0, images, 10):
        entries: Any = [{"Id": str(n), "MessageBody": "{}"} for n in range(first, min(first + 10, images))]
        aws.sqs.send_message_batch(QueueUrl=aws.settings.queue_url, Entries=entries)
    aws.settle()


def nothing_happened(aws: Aws, run: Run, variables: Variables) -> bool:
    return not run.xcoms and not variables.values and aws.model()["status"] == "TRAINING_COMPLETED"


def held_by(aws: Aws, dag_id: str, until: datetime) -> Lease:
    since = until - timedelta(hours=1)
    return Lease(model_arn=aws.settings.model_arn, dag_id=dag_id, run_id="theirs", since=since, until=until, units=1)


@pytest.mark.parametrize(
    ("images", "params", "tasks"),
    [(0, {}, 1), (1, {}, 1), (26, {}, 2), (26, {"max_tasks": 1}, 1)],
    ids=["none left", "one", "26", "26 for one task"],
)
def test_there_is_an_entry_with_its_share_of_the_models_rate_for_each_task(
    aws: Aws, run: Run, images: int, params: dict[str, Any], tasks: int
) -> None:
    announce(aws, images)
    run.params = params
    entries = plan(run)
    made = pull_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert made is not None
    assert (made.backlog, made.tasks) == (images, tasks)
    assert entries == [5.0 / tasks] * tasks


def test_the_units_are_between_the_configured_bounds(aws: Aws, run: Run) -> None:
    announce(aws, 20)
    few = {"images_per_second_per_unit": 0.1, "target_minutes": 0.01}
    run.params = {"min_inference_units": 2, "max_inference_units": 3, **few}
    plan(run)
    made = pull_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert made is not None
    assert made.units == 3


def test_the_plan_carries_the_settings_of_the_run(aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.params = {"min_confidence": 33}
    plan(run)
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__FINAL_BUCKET", "changed-meanwhile")
    made = pull_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert made is not None
    assert made.settings == aws.settings.model_copy(update={"min_confidence": 33.0})


def test_it_takes_the_lease_and_starts_nothing(aws: Aws, run: Run, variables: Variables) -> None:
    run.params = {"max_model_minutes": 30}
    before = datetime.now(UTC)
    plan(run)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert (lease.model_arn, lease.dag_id, lease.run_id) == (aws.settings.model_arn, DAG_ID, RUN_ID)
    assert before <= lease.since <= datetime.now(UTC)
    assert lease.until - lease.since == timedelta(minutes=45), "the lease must include the watchdog's grace"
    assert aws.model()["status"] == "TRAINING_COMPLETED"


def test_the_lease_has_all_that_the_watchdog_needs(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {
        "WATCHDOG_GRACE_MINUTES": "0",
        "SNS_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:alarms",
        "AWS_CONN_ID": "aws_own",
        "DEAD_MAN_SWITCH_ROLE_ARN": "arn:aws:iam::123456789012:role/switch",
    }
    for option, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__LABEL_DETECTION__{option}", value)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_OWN", "aws://")
    plan(run)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert lease.until - lease.since == timedelta(minutes=60)
    assert (lease.sns_topic_arn, lease.aws_conn_id) == (options["SNS_TOPIC_ARN"], "aws_own")
    assert not lease.dead_man_switch, "only start_model makes a switch"


@pytest.mark.parametrize("option", ["source_bucket", "final_bucket"])
def test_a_bucket_that_does_not_exist_is_named_before_the_lease_is_taken(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    variable = f"AIRFLOW__LABEL_DETECTION__{option.upper()}"
    monkeypatch.setenv(variable, "no-such-bucket-anywhere")
    with pytest.raises(AirflowFailException) as failure:
        plan(run)
    message = str(failure.value)
    assert message.startswith(f"[label_detection] {option}: the bucket 'no-such-bucket-anywhere' does not exist, or")
    assert f"set {variable}" in message
    assert nothing_happened(aws, run, variables)


def test_a_bucket_that_may_not_be_listed_is_named_with_the_permission(aws: Aws, run: Run, variables: Variables) -> None:
    aws.fail("s3", "HeadBucket", status=403, code="403", key=aws.settings.final_bucket)
    with pytest.raises(AirflowFailException, match=r"final_bucket: .*or allow s3:ListBucket"):
        plan(run)
    assert nothing_happened(aws, run, variables)


def test_a_service_that_is_down_is_left_to_a_retry(aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "client_config", lambda *_: Config(retries={"total_max_attempts": 1}))
    aws.fail("s3", "HeadBucket", status=503, code="SlowDown", times=1)
    with pytest.raises(ClientError, match="503"):
        plan(run)
    assert plan(run)


@pytest.mark.parametrize("status", ["TRAINING_IN_PROGRESS", "DELETING", "EXPIRED"])
def test_a_model_that_cannot_be_started_fails_before_the_lease_is_taken(
    aws: Aws, run: Run, variables: Variables, status: str
) -> None:
    aws.put_model(status)
    with pytest.raises(AirflowFailException, match=f"the model cannot be started: it is {status}"):
        plan(run)
    assert not variables.values
    assert not run.xcoms


@pytest.mark.parametrize("status", ["STARTING", "RUNNING", "STOPPING", "FAILED"])
def test_a_model_in_any_other_state_is_planned_for(aws: Aws, run: Run, status: str) -> None:
    aws.put_model(status)
    assert plan(run)


def test_an_unknown_model_is_named_before_the_lease_is_taken(
    aws: Aws, run: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = aws.settings.model_arn.replace("/version/1/", "/version/no-such/")
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", arn)
    with pytest.raises(AirflowFailException, match=r"no model .*no-such.*: check model_arn"):
        plan(run)
    assert nothing_happened(aws, run, variables)


def test_a_model_that_another_dag_holds_is_refused(aws: Aws, run: Run, variables: Variables) -> None:
    theirs = held_by(aws, "another_dag", datetime.now(UTC) + timedelta(minutes=5))
    variables.put_lease(theirs)
    with pytest.raises(RuntimeError, match="the model is held by another_dag, run theirs, until"):
        plan(run)
    assert variables.lease(aws.settings) == theirs
    assert not run.xcoms, "there must be no plan: then no teardown runs that could stop the other DAG's model"


@pytest.mark.parametrize(
    ("dag_id", "minutes"), [("another_dag", -1), (DAG_ID, 5)], ids=["another DAG's that has expired", "a predecessor's"]
)
def test_an_expired_or_own_lease_is_taken_over(
    aws: Aws, run: Run, variables: Variables, dag_id: str, minutes: int
) -> None:
    variables.put_lease(held_by(aws, dag_id, datetime.now(UTC) + timedelta(minutes=minutes)))
    plan(run)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert lease.run_id == RUN_ID


def test_a_repeated_plan_reads_the_queue_again(aws: Aws, run: Run) -> None:
    assert len(plan(run)) == 1
    announce(aws, 30)
    assert len(plan(run)) == 2


@pytest.mark.parametrize(
    ("status", "held", "notices"),
    [
        ("RUNNING", False, 1),
        ("STARTING", False, 1),
        ("RUNNING", True, 0),
        ("STOPPED", False, 0),
        ("STOPPING", False, 0),
    ],
    ids=["on", "starting", "on, left by an earlier run", "off", "stopping"],
)
def test_a_model_that_is_on_although_no_run_holds_it_is_reported(
    aws: Aws,
    run: Run,
    variables: Variables,
    topic: Topic,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    held: bool,
    notices: int,
) -> None:
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__SNS_TOPIC_ARN", topic.arn)
    aws.put_model(status)
    if held:
        variables.put_lease(held_by(aws, DAG_ID, datetime.now(UTC) + timedelta(hours=1)))
    plan(run)
    published = topic.published()
    assert [subject for subject, _ in published] == [
        f"[label detection] A model was on that no run held: {DAG_ID}"
    ] * notices
    warnings = pull_warnings(run.context("write_report"))  # type: ignore[arg-type]
    assert any("no run held it" in warning for warning in warnings) is bool(notices)
