"""Notices reach the topic, and a failed notice changes nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from label_detection import notifications, series
from label_detection_core.config.pipeline import WATCHDOG_DAG
from label_detection_core.model.lease import Lease, lease_name
from label_detection_core.run.notices import Notice
from tests.plugins.conftest import DAG_ID, RUN_ID, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

TOPIC_OPTION = "AIRFLOW__LABEL_DETECTION__SNS_TOPIC_ARN"
NOTICE = Notice("a subject", "a text")
Callback = Callable[[Any], None]
CALLBACKS = [notifications.run_failed, notifications.stop_failed, notifications.watchdog_failed]
SINCE = datetime(2026, 11, 22, 6, tzinfo=UTC)


@pytest.fixture
def configured(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> Topic:
    """The topic, set as an option."""
    monkeypatch.setenv(TOPIC_OPTION, topic.arn)
    return topic


def context(task_id: str = "stop_model", **more: Any) -> Any:
    """The context of a callback. Without arguments: the dag-processor's context for a task whose process was lost."""
    dag_id = WATCHDOG_DAG if task_id == "stop_expired_models" else DAG_ID
    return {"ti": SimpleNamespace(dag_id=dag_id, run_id=RUN_ID, task_id=task_id), **more}


def lease_of(aws: Aws, run_id: str = RUN_ID, **more: Any) -> Lease:
    facts = {"model_arn": aws.settings.model_arn, "dag_id": DAG_ID, "run_id": run_id, "units": 1}
    return Lease(**(facts | {"since": SINCE, "until": SINCE + timedelta(hours=1)} | more))


def test_a_notice_is_published(topic: Topic) -> None:
    notifications.publish(topic.arn, "aws_default", NOTICE)
    assert topic.published() == [("a subject", "a text")]


@pytest.mark.parametrize(
    "trouble",
    [{"status": 403, "code": "AuthorizationError"}, {"status": 500}, {"status": 404, "code": "NotFound"}],
    ids=["denied", "down", "no such topic"],
)
def test_a_notice_that_cannot_be_published_is_logged_as_an_error_with_its_whole_text(
    aws: Aws, topic: Topic, trouble: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    aws.fail("sns", "Publish", **trouble)
    notifications.publish(topic.arn, "aws_default", NOTICE)
    (record,) = [record for record in caplog.records if record.name == notifications.__name__]
    assert record.levelname == "ERROR"
    assert "a subject\na text" in record.getMessage()


@pytest.mark.parametrize("arn", ["alarms", "arn:aws:sns:us-east-1:123456789012:alarms.fifo"])
def test_an_invalid_topic_is_logged_as_an_error(arn: str, caplog: pytest.LogCaptureFixture) -> None:
    notifications.publish(arn, "aws_default", NOTICE)
    assert "which is not a standard topic's ARN" in caplog.text


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.usefixtures("aws")
def test_a_wrong_option_value_is_neither_in_the_log_nor_in_a_notice(
    variables: Variables,
    configured: Topic,
    callback: Callback,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", "hush-model")
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__AWS_CONN_ID", "aws://key:hush@")
    callback(context())
    ((_, text),) = configured.published()
    monkeypatch.setenv(TOPIC_OPTION, "https://hooks.example.com/hush")
    callback(context())
    assert "hush" not in text + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.usefixtures("aws")
def test_without_a_topic_nothing_is_called(
    variables: Variables, callback: Callback, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(TOPIC_OPTION, raising=False)
    callback(context())
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_failure_notice_has_the_error(variables: Variables, configured: Topic, callback: Callback) -> None:
    callback(context(exception=RuntimeError("what went wrong"), run_id=RUN_ID))
    ((_, text),) = configured.published()
    assert "what went wrong" in text
    assert RUN_ID in text


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_lost_task_is_reported_from_the_dag_processor_too(
    variables: Variables, configured: Topic, callback: Callback
) -> None:
    callback(context())
    ((_, text),) = configured.published()
    assert "its worker was lost" in text


@pytest.mark.parametrize("callback", [notifications.run_failed, notifications.stop_failed])
def test_the_time_since_when_the_model_may_be_on_comes_from_the_runs_own_lease(
    aws: Aws, variables: Variables, configured: Topic, callback: Callback
) -> None:
    variables.put_lease(lease_of(aws))
    callback(context(exception=RuntimeError("no")))
    ((_, text),) = configured.published()
    assert "The model may be on since 2026-11-22 06:00:00 UTC" in text
    assert f"--project-version-arn {aws.settings.model_arn}" in text


def test_another_runs_lease_is_not_in_the_notice(aws: Aws, variables: Variables, configured: Topic) -> None:
    variables.put_lease(lease_of(aws, "theirs"))
    notifications.run_failed(context())
    ((_, text),) = configured.published()
    assert "does not hold the model" in text


def test_leases_that_cannot_be_read_do_not_prevent_a_notice(
    variables: Variables, configured: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(prefix: str) -> list[str]:
        raise RuntimeError("no answer")

    monkeypatch.setattr(variables, "keys", broken)
    notifications.stop_failed(context())
    ((subject, text),) = configured.published()
    assert "stop failed" in subject
    assert "since when is not known" in text


def test_a_failed_watchdog_notifies_every_topic_once(
    aws: Aws, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOPIC_OPTION, topic.arn)
    for version in ("", "2"):
        variables.put_lease(lease_of(aws, model_arn=aws.model(version)["arn"], sns_topic_arn=topic.arn))
    notifications.watchdog_failed(context("stop_expired_models"))
    assert [subject for subject, _ in topic.published()] == ["[label detection] THE WATCHDOG FAILED: a model may be on"]


def test_a_failed_watchdog_without_configuration_notifies_the_leases_topic(
    aws: Aws, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOPIC_OPTION, raising=False)
    variables.put_lease(lease_of(aws, sns_topic_arn=topic.arn))
    notifications.watchdog_failed(context("stop_expired_models"))
    assert len(topic.published()) == 1


def test_a_notice_has_airflows_address_if_it_is_configured(
    variables: Variables, configured: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
    notifications.run_failed(context())
    assert f"Airflow: https://airflow.example/dags/{DAG_ID}/runs/manual__" in configured.published()[0][1]


@pytest.mark.parametrize("trouble", ["no answer", "edited"])
def test_unreadable_leases_do_not_count_as_a_run_without_a_model(
    aws: Aws, variables: Variables, configured: Topic, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    variables.values[lease_name(aws.settings.model_arn)] = "mine!"
    if trouble == "no answer":
        monkeypatch.setattr(variables, "get", lambda key, default: default)
    notifications.run_failed(context())
    ((_, text),) = configured.published()
    assert "The model may be on; since when is not known" in text
    assert f"--project-version-arn {aws.settings.model_arn}" in text


def failed_run(run_id: str, dag_id: str = DAG_ID) -> Any:
    return {"ti": SimpleNamespace(dag_id=dag_id, run_id=run_id, task_id="write_report")}


def test_a_series_of_failed_runs_sends_one_notice(variables: Variables, configured: Topic) -> None:
    for run_id in ("first", "second", "third"):
        notifications.run_failed(failed_run(run_id))
    ((_, text),) = configured.published()
    assert "Run: first" in text
    assert "they send no notice, until a run succeeds" in text
    assert "After 5 failed runs in a row the DAG is paused" in text


@pytest.mark.parametrize(
    "then",
    [
        pytest.param("a run succeeds", id="a run that succeeds ends the series"),
        pytest.param("the same run again", id="a run that was cleared and fails again sends one"),
        pytest.param("a run of another DAG", id="each pipeline has its own series"),
        pytest.param("the model may be on", id="a model that may be on always sends one"),
        pytest.param("airflow does not answer", id="an unknown series sends one"),
    ],
)
def test_what_must_not_stay_silent_sends_a_notice(
    aws: Aws,
    variables: Variables,
    configured: Topic,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    notifications.run_failed(failed_run("first"))
    run, dag_id = "second", DAG_ID
    if then == "a run succeeds":
        series.end(failed_run("between"))
    elif then == "the same run again":
        run = "first"
    elif then == "a run of another DAG":
        dag_id = f"{DAG_ID}__parts"
    elif then == "the model may be on":
        variables.put_lease(lease_of(aws, "second"))
    else:

        def broken(key: str, default: Any = None) -> str:
            raise RuntimeError("no answer")

        monkeypatch.setattr(variables, "get", broken)
    notifications.run_failed(failed_run(run, dag_id))
    assert len(configured.published()) == 2


def test_a_notice_says_nothing_of_a_pause_that_will_not_come(
    variables: Variables, configured: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__PAUSE_AFTER_FAILED_RUNS", "0")
    notifications.run_failed(failed_run("first"))
    ((_, text),) = configured.published()
    assert "paused" not in text


def test_a_lease_that_is_kept_for_a_late_start_does_not_break_a_series(
    aws: Aws, variables: Variables, configured: Topic
) -> None:
    for run_id in ("first", "second"):
        variables.put_lease(lease_of(aws, run_id).kept(datetime.now(UTC)))
        notifications.run_failed(failed_run(run_id))
    ((subject, _),) = configured.published()
    assert "MAY BE ON" not in subject
