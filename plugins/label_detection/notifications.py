"""Sends notices by SNS. Their texts are in `notices`. A notice that cannot be sent is an error in the log, no more."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf

from label_detection import leases, ledger
from label_detection.configuration import read_option, read_topics
from label_detection.hooks.clients import aws_hook, brief_config
from label_detection.leases import Leases
from label_detection_core.config.option_types import TOPIC_ARN
from label_detection_core.config.wrong_value import wrong_value
from label_detection_core.model.lease import Lease
from label_detection_core.run import notices
from label_detection_core.run.budget import Standing
from label_detection_core.run.notices import FailedTask, Notice

if TYPE_CHECKING:
    from airflow.sdk import Context
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
    """Failure callback of the task that makes a run red: publishes a notice."""
    model_arn, lease, known = _model(context)
    _publish_configured(context, notices.run_failed(_failed_task(context), model_arn, lease, lease_known=known), lease)


def stop_failed(context: Context) -> None:
    """Failure callback of the task that stops the model: publishes a notice."""
    model_arn, lease, _ = _model(context)
    _publish_configured(context, notices.stop_failed(_failed_task(context), model_arn, lease), lease)


def watchdog_failed(context: Context) -> None:
    """Failure callback of the watchdog: publishes a notice to every topic of its leases and pipelines."""
    held = _all_leases(context["ti"].dag_id).leases  # another watchdog reports its own leases
    notice = notices.watchdog_failed(_failed_task(context), held)
    topics = {lease.sns_topic_arn: lease.aws_conn_id for lease in held} | read_topics(context)
    for topic_arn, aws_conn_id in topics.items():
        publish(topic_arn, aws_conn_id, notice)


def budget_reached(context: Context, standing: Standing) -> None:
    """Publish a notice that a budget is used up, once per day or month and limit."""
    ti, limit = context["ti"], standing.limit
    budget = f"{limit.option} of {ti.dag_id if limit.own else 'all'}"
    if ledger.is_news(budget, f"{standing.begin:%Y-%m-%d %H:%M}, {limit.usd:g} USD"):
        _publish_configured(context, notices.budget_reached(ti.dag_id, ti.run_id, standing, base_url()), None)


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
    own = [lease for lease in found.leases if lease.is_of(ti.dag_id, ti.run_id)]
    return (own[0].model_arn, own[0], True) if own else (read_option("model_arn", context), None, not found.problems)


def _all_leases(watchdog_dag_id: str | None = None) -> Leases:
    try:
        return leases.all_leases(watchdog_dag_id)
    except Exception as error:  # a notice without the leases is better than no notice
        log.exception("the leases cannot be read")
        return Leases([], [str(error)])


def _publish_configured(context: Context, notice: Notice, lease: Lease | None) -> None:
    """Publish to the topic of the run's pipeline, or else of its lease, which may have an older configuration."""
    if topic_arn := read_option("sns_topic_arn", context):
        publish(topic_arn, read_option("aws_conn_id", context) or "aws_default", notice)
    elif lease:
        publish(lease.sns_topic_arn, lease.aws_conn_id, notice)
