"""Sends notices by SNS and through Airflow's notifiers. Their texts are in `notices`.

A notice that cannot be sent is an error in the log, no more.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

from label_detection import channels, leases, ledger, series
from label_detection.configuration import read_option, read_topics, run_pipeline, watched_pipelines
from label_detection.hooks.clients import aws_hook, brief_config
from label_detection.leases import Leases
from label_detection_core.config.model_types import model_of
from label_detection_core.config.option_types import TOPIC_ARN
from label_detection_core.config.wrong_value import wrong_value
from label_detection_core.drain.journal import run_prefix
from label_detection_core.model.lease import Lease
from label_detection_core.run import notices
from label_detection_core.run.budget import Standing
from label_detection_core.run.notices import Event, FailedTask, Notice, NoticeDocument, Stopped

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient

log = logging.getLogger(__name__)


def publish(topic_arn: str | None, aws_conn_id: str, notice: Notice) -> None:
    """Publish a notice to an SNS topic; None or an empty ARN: do nothing. An error is only logged, with the notice."""
    if not topic_arn:
        return
    match = TOPIC_ARN.fullmatch(topic_arn)
    shown = topic_arn if match else wrong_value("sns_topic_arn", topic_arn)
    try:
        if not match:
            raise ValueError(f"sns_topic_arn is {shown}, which is not a standard topic's ARN: set it to one")
        sns: SNSClient = aws_hook("sns", aws_conn_id, match["region"], config=brief_config()).conn
        sns.publish(TopicArn=topic_arn, Message=notice.body, Subject=notice.subject)
    except Exception:  # any error: a notice must not change the outcome that it reports
        log.exception("this notice could not be published to %s: %s\n%s", shown, notice.subject, notice.body)
    else:
        log.info("published to %s: %s", topic_arn, notice.subject)


def run_failed(context: Context) -> None:
    """Failure callback of the task that makes a run red: publishes a notice, one for a series of failed runs.

    A run after which the model may be on always sends one.
    """
    model_arn, lease, known = _model(context)
    has_notice = series.has_notice(context)
    if has_notice and known and lease is None:
        log.info("an earlier run of this series of failures sent a notice; this one sends none")
        return
    pause_after = run_pipeline(context).option("pause_after_failed_runs")
    notice = notices.run_failed(_failed_task(context), model_arn, lease, lease_known=known, pause_after=pause_after)
    _publish_configured(context, "run_failed", notice, lease)


def found_on(context: Context, model_arn: str, state: str) -> None:
    """Publish that this run found the model on, without a lease."""
    _publish_configured(context, "found_on", notices.found_on(_failed_task(context), model_arn, state), None)


def stop_failed(context: Context) -> None:
    """Failure callback of the task that stops the model: publishes a notice."""
    model_arn, lease, _ = _model(context)
    notice = notices.stop_failed(_failed_task(context), model_arn, lease)
    _publish_configured(context, "stop_failed", notice, lease)


def watchdog_failed(context: Context) -> None:
    """Failure callback of the watchdog: publishes a notice to every topic and channel of its leases and pipelines."""
    held = _all_leases(context["ti"].dag_id).leases  # another watchdog reports its own leases
    notice = notices.watchdog_failed(_failed_task(context), held)
    topics = {lease.sns_topic_arn: lease.aws_conn_id for lease in held} | read_topics(context)
    for topic_arn, aws_conn_id in topics.items():
        publish(topic_arn, aws_conn_id, notice)
    document = partial(_document, "watchdog_failed", notice, context["ti"].dag_id, context["ti"].run_id)
    channels.send_to_all([pipeline.right() for pipeline in watched_pipelines(context.get("dag"))], notice, document)


def watchdog_acted(dag: DAG | None, stopped: Stopped) -> None:
    """The watchdog ended a lease: publishes a notice to the lease's topic, and to the channels of its pipeline."""
    lease, notice = stopped.lease, notices.watchdog_acted(stopped)
    publish(lease.sns_topic_arn, lease.aws_conn_id, notice)
    try:
        own = [pipeline for pipeline in watched_pipelines(dag) if pipeline.dag_id == lease.dag_id]
        document = partial(_document, "watchdog_acted", notice, lease.dag_id, lease.run_id)
        channels.send_to_all([pipeline.right() for pipeline in own], notice, document)
    except Exception:  # any error: the watchdog must go on to end the lease
        log.exception("this notice could not be sent to the channels of %s: %s", lease.dag_id, notice.subject)


def budget_reached(context: Context, standing: Standing) -> None:
    """Publish a notice that a budget is used up, once per day or month and limit."""
    ti, limit = context["ti"], standing.limit
    budget = f"{limit.option} of {ti.dag_id if limit.own else 'all'}"
    if ledger.is_news(budget, f"{standing.begin:%Y-%m-%d %H:%M}, {limit.usd:g} USD"):
        notice = notices.budget_reached(ti.dag_id, ti.run_id, standing, base_url())
        _publish_configured(context, "budget_reached", notice, None)


def base_url() -> str | None:
    """Airflow's option `[api] base_url`, the address of its UI; None when it is not set."""
    url: str | None = conf.get("api", "base_url", fallback=None)
    return url or None


# A callback runs in the task's process, or in the DAG processor when Airflow finds the task dead. In the DAG processor
# the context has no run and no exception. So the code below reads only the task instance's ids from it.


def _failed_task(context: Context) -> FailedTask:
    ti, error = context["ti"], context.get("exception")
    return FailedTask(ti.dag_id, ti.run_id, ti.task_id, str(error) if error else None, base_url())


def _model(context: Context) -> tuple[str | None, Lease | None, bool]:
    """ARN of the run's model, the run's lease on it or None, and whether the lease is known."""
    ti, found = context["ti"], _all_leases()
    own = [lease for lease in found.leases if lease.is_of(ti.dag_id, ti.run_id) and not lease.kept_for_late_start]
    return (own[0].model_arn, own[0], True) if own else (read_option("model_arn", context), None, not found.problems)


def _all_leases(watchdog_dag_id: str | None = None) -> Leases:
    try:
        return leases.all_leases(watchdog_dag_id)
    except Exception as error:  # a notice without the leases is better than no notice
        log.exception("the leases cannot be read")
        return Leases([], [str(error)])


def _publish_configured(context: Context, event: Event, notice: Notice, lease: Lease | None) -> None:
    """Publish to the topic of the run's pipeline, or else of its lease, which may have an older configuration.

    Then send it to the pipeline's channels.
    """
    if topic_arn := read_option("sns_topic_arn", context):
        publish(topic_arn, read_option("aws_conn_id", context) or "aws_default", notice)
    elif lease:
        publish(lease.sns_topic_arn, lease.aws_conn_id, notice)
    ti, options = context["ti"], run_pipeline(context).right()

    def document() -> NoticeDocument:
        return _document(event, notice, ti.dag_id, ti.run_id, _report(options, ti.run_id))

    channels.send(options, notice, document)


def _document(
    event: Event, notice: Notice, dag_id: str, run_id: str, report: dict[str, Any] | None = None
) -> NoticeDocument:
    return NoticeDocument(
        event=event, subject=notice.subject, text=notice.body, dag_id=dag_id, run_id=run_id, report=report
    )


def _report(options: Mapping[str, str], run_id: str) -> dict[str, Any] | None:
    """The content of the run's `report.json`; None: the run has none, or it cannot be read."""
    key = f"{run_prefix(run_id)}report.json"
    try:
        region = model_of(options["model_arn"]).region
        s3: S3Client = aws_hook("s3", options.get("aws_conn_id") or "aws_default", region, config=brief_config()).conn
        with s3.get_object(Bucket=options["final_bucket"], Key=key)["Body"] as body:
            found = json.loads(body.read(), parse_constant=lambda _: None)
    except Exception as error:  # noqa: BLE001  # a notice without the report is better than no notice
        log.info("the notice has no report, because %s cannot be read: %s", key, error)
        return None
    return found if isinstance(found, dict) else None
