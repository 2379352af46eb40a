"""Several pipelines: each task uses the options of its DAG's pipeline, and each notice that pipeline's topic."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException

from label_detection import notifications
from label_detection.configuration import read_settings
from label_detection.operators.backfill import PlanBackfillOperator
from label_detection.operators.run import PlanRunOperator
from label_detection.sensors.sqs import QueueDepthSensor
from label_detection.xcom import pull_plan
from label_detection_core.config.settings import environment_name
from label_detection_core.model.lease import Lease
from sandbox.environment import PROJECT
from tests.plugins.conftest import RUN_ID, Run, Variables
from tests.plugins.label_detection.test_notifications import lease_of

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

PIPELINES = environment_name("pipelines")
TOPIC = environment_name("sns_topic_arn")


@pytest.fixture
def others(aws: Aws) -> dict[str, str]:
    """Buckets, a queue and a model in addition to the section's."""
    name = aws.settings.source_bucket.removesuffix("-source")
    own = {"source_bucket": f"{name}-other-source", "final_bucket": f"{name}-other-final"}
    for bucket in own.values():
        aws.s3.create_bucket(Bucket=bucket)
    queue_url = aws.sqs.create_queue(QueueName=f"{name}-other")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=queue_url, MessageBody="{}")
    aws.settle()
    return own | {"queue_url": queue_url, "model_arn": aws.model("2")["arn"]}


@pytest.fixture
def pipelines(others: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """A pipelines file: `leaves` has the section's options, `parts` its own."""
    found: dict[str, dict[str, Any]] = {"leaves": {}, "parts": {**others, "min_confidence": 90}}
    monkeypatch.setenv(PIPELINES, json.dumps(found))
    return found


def default_args_of(dag_id: str) -> dict[str, Any]:
    """The default_args of a DAG as its file makes them, with the pipelines that are configured now."""
    bag = DagBag(PROJECT / "dags")
    assert bag.import_errors == {}
    found: dict[str, Any] = bag.dags[dag_id].default_args
    return found


def run_of(run: Run, dag_id: str) -> Run:
    run.dag_id, run.default_args = dag_id, default_args_of(dag_id)
    return run


def context(dag_id: str, task_id: str = "stop_model", **more: Any) -> Any:
    ti = SimpleNamespace(dag_id=dag_id, run_id=RUN_ID, task_id=task_id)
    return {"ti": ti, "dag": SimpleNamespace(default_args=default_args_of(dag_id)), **more}


@pytest.mark.usefixtures("pipelines")
def test_a_run_looks_at_the_queue_of_its_pipeline(run: Run) -> None:
    assert run_of(run, "label_detection__parts").execute(QueueDepthSensor(task_id="wait_for_images")) == 1


def test_a_run_is_planned_with_the_options_of_its_pipeline(
    aws: Aws, run: Run, variables: Variables, pipelines: dict[str, dict[str, Any]]
) -> None:
    for dag_id, arn, confidence in (
        ("label_detection__leaves", aws.settings.model_arn, 70),
        ("label_detection__parts", pipelines["parts"]["model_arn"], 90),
    ):
        run_of(run, dag_id).execute(PlanRunOperator(task_id="plan_run"))
        plan = pull_plan(run.context("start_model"))  # type: ignore[arg-type]
        assert plan is not None
        assert (plan.settings.model_arn, plan.settings.min_confidence) == (arn, confidence)
        lease = variables.lease(plan.settings)
        assert lease is not None
        assert (lease.dag_id, lease.model_arn) == (dag_id, arn)
    assert plan is not None
    assert plan.settings.final_bucket == pipelines["parts"]["final_bucket"]


@pytest.mark.usefixtures("pipelines")
def test_a_runs_params_are_for_its_pipeline(run: Run) -> None:
    run.params = {"min_confidence": 99}
    run_of(run, "label_detection__parts").execute(PlanRunOperator(task_id="plan_run"))
    plan = pull_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert plan is not None
    assert plan.settings.min_confidence == 99


def test_a_backfill_lists_the_bucket_of_its_pipeline(aws: Aws, run: Run, pipelines: dict[str, dict[str, Any]]) -> None:
    aws.s3.put_object(Bucket=pipelines["parts"]["source_bucket"], Key="1.png", Body=b"1")
    run.params = {"older_than_minutes": 0, "dry_run": True, "prefix": ""}
    run_of(run, "label_detection_backfill__parts").execute(PlanBackfillOperator(task_id="plan_backfill"))
    assert run.xcoms["plan_backfill", "survey"]["pictures"] == 1
    assert run.xcoms["plan_backfill", "survey"]["queue"]["visible"] == 1


@pytest.mark.parametrize(
    ("option", "value", "operator", "says"),
    [
        ("final_bucket", "nowhere-to-be-found", PlanRunOperator, "the bucket 'nowhere-to-be-found' does not exist"),
        ("queue_url", "http://127.0.0.1/123456789012/none", QueueDepthSensor, "there is no queue"),
    ],
    ids=["bucket", "queue"],
)
def test_a_missing_resource_is_named_with_its_pipeline_and_the_place_of_its_option(
    run: Run,
    pipelines: dict[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    value: str,
    operator: Any,
    says: str,
) -> None:
    pipelines["parts"][option] = value
    monkeypatch.setenv(PIPELINES, json.dumps(pipelines))
    with pytest.raises(AirflowFailException) as caught:
        run_of(run, "label_detection__parts").execute(operator(task_id="task"))
    assert str(caught.value).startswith(f"pipelines: parts: {option}: {says}")
    assert f"set it in {PIPELINES}" in str(caught.value)


def test_a_task_keeps_the_options_that_its_dag_was_made_with(
    run: Run, pipelines: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(run, "label_detection__parts")
    monkeypatch.setenv(PIPELINES, "no-such-file-any-more.yaml")
    context: Any = run.context("wait_for_images")
    assert read_settings(context).model_arn == pipelines["parts"]["model_arn"]


def test_the_section_is_read_where_the_task_runs(
    aws: Aws, run: Run, pipelines: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_of(run, "label_detection__parts")
    monkeypatch.setenv(environment_name("max_tasks"), "9")
    context: Any = run.context("wait_for_images")
    assert (read_settings(context).max_tasks, read_settings(context).min_confidence) == (9, 90)


def test_a_users_own_dag_has_the_sections_options(aws: Aws, run: Run) -> None:
    context: Any = run.context("anything") | {"params": {}}
    del context["dag"]
    assert read_settings(context).queue_url == aws.settings.queue_url


def topics(aws: Aws, topic: Topic, monkeypatch: pytest.MonkeyPatch) -> Topic:
    """Topics with a subscription: `parts` has its own. `quiet` has none; the others use the section's without one."""
    theirs = aws.sns.create_topic(Name="the-sections")["TopicArn"]
    monkeypatch.setenv(TOPIC, theirs)
    pipelines = {
        "leaves": {},
        "parts": {"sns_topic_arn": topic.arn, "model_arn": aws.model("2")["arn"]},
        "quiet": {"sns_topic_arn": ""},
    }
    monkeypatch.setenv(PIPELINES, json.dumps(pipelines))
    return topic


@pytest.mark.parametrize("callback", [notifications.run_failed, notifications.stop_failed])
def test_a_failure_notifies_only_the_topic_of_its_pipeline(
    aws: Aws, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch, callback: Any
) -> None:
    topics(aws, topic, monkeypatch)
    for name in ("leaves", "quiet"):
        callback(context(f"label_detection__{name}"))
    assert topic.published() == []
    callback(context("label_detection__parts"))
    ((subject, text),) = topic.published()
    assert subject.endswith("failed: label_detection__parts")
    assert f"Model: {aws.model('2')['arn']}" in text


def test_a_failed_watchdog_notifies_the_topic_of_every_pipeline(
    aws: Aws, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    topics(aws, topic, monkeypatch)
    caplog.set_level("INFO")
    notifications.watchdog_failed(context("label_detection_watchdog", "stop_expired_models"))
    assert len(topic.published()) == 1
    assert caplog.text.count("published to ") == 2, "one to the section's topic, one to that of parts"


def test_a_run_whose_pipeline_no_longer_has_a_topic_notifies_the_leases_topic(
    aws: Aws, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOPIC, raising=False)
    monkeypatch.setenv(PIPELINES, "{")
    lease: Lease = lease_of(aws, dag_id="label_detection", sns_topic_arn=topic.arn)
    variables.put_lease(lease)
    notifications.stop_failed(context("label_detection"))
    assert len(topic.published()) == 1
