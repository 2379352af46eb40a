"""
Stops models that a run has left on: a run of `label_detection`, or of another pipeline's DAG with the prefix of this
DAG. A run leaves its model on if its DAG is paused, if the DAG file no longer parses, if the run is deleted, or if its
stop failed or was marked as success manually.

Every run that starts a model holds a lease on it: an Airflow Variable `label_detection_lease.<model>`. It records the
run and when the lease expires, `max_model_minutes` plus `watchdog_grace_minutes` after the start. Every ten minutes,
`stop_expired_models` checks the leases that name this DAG, and leases of other prefixes' watchdogs that expired half an
hour ago or earlier. It acts at once if the lease has expired, or if the run is deleted or over. If no task of the run
is at work, for example because its DAG is paused, it acts after it has watched the run for two minutes. Its log, its
XCom and a notice to `sns_topic_arn`, if that is set, report which run left the model, and for how long.

* If no worker is free for it, the triggerer stops a model whose lease expired a minute ago, and then runs this DAG
  (from Airflow 3.3 on).
* It costs nothing while there are no leases: one short task, and no call to AWS.
* After its work it sends the digest of the day before, once a day, if `digest_at` is set.
* It never stops the model of a run that is at work within its lease, and never a model without a lease.
* It needs no configuration of its own, and works even if the pipeline's configuration is broken.

**Do not pause this DAG.** Without it, no DAG stops a model when the pipeline cannot.

## When it is red

**A model may be running and costs money.** The log of `stop_expired_models` names each model that it could not stop,
with AWS's error and the command that stops the model manually: run it now. The watchdog tries again in ten minutes.
Then correct the cause, often the missing permission `rekognition:StopProjectVersion` or `sagemaker:DeleteEndpoint`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable

from label_detection import channels, digests, notifications
from label_detection.configuration import WATCHED
from label_detection.dags.airflow_arguments import RUN_TYPES, control_place
from label_detection.docs import TAG, task_docs, with_prefix
from label_detection.operators.watchdog import StopExpiredModelsOperator
from label_detection.triggers.overdue import OverdueModelsTrigger
from label_detection.variables import LISTS_NAMES
from label_detection.xcom import STOP_FIRST
from label_detection_core.config.pipeline import WATCHDOG_DAG, Pipeline

log = logging.getLogger(__name__)


def watchdog(prefix: str, pipelines: Iterable[Pipeline]) -> None:
    """Make the watchdog DAG of a prefix. When it fails, it publishes a notice to the topics of all its pipelines."""
    with DAG(
        f"{prefix}{WATCHDOG_DAG}",
        description="Stop models that a run has left on",
        schedule=_schedule(f"{prefix}{WATCHDOG_DAG}"),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        allowed_run_types=RUN_TYPES,
        doc_md=with_prefix(__doc__ or "", prefix),
        tags=[TAG],
        default_args={
            "owner": "label-detection",
            "retries": 1,
            "retry_delay": timedelta(seconds=10),
            # Each round of stops takes at most 8 minutes, and the task ends itself after 14.
            "execution_timeout": timedelta(minutes=15),
            WATCHED: _watched(pipelines),
        },
    ):
        StopExpiredModelsOperator(
            task_id="stop_expired_models",
            doc_md=task_docs(StopExpiredModelsOperator),
            priority_weight=STOP_FIRST,
            on_failure_callback=notifications.watchdog_failed,
            post_execute=digests.send_due,
            **_queue(pipelines),
        )


def _schedule(dag_id: str) -> Any:
    """Every ten minutes, and after the triggerer has stopped a model: Airflow runs a trigger only for a schedule.

    On Airflow 3.2 only every ten minutes.
    """
    times = CronTriggerTimetable("*/10 * * * *", timezone="UTC")
    if not LISTS_NAMES:
        return times
    trigger = OverdueModelsTrigger(watchdog_dag_id=dag_id)
    name = f"{dag_id}: stopped in the triggerer"
    overdue = Asset(name=name, watchers=[AssetWatcher(name=name, trigger=trigger)])
    return AssetOrTimeSchedule(timetable=times, assets=[overdue])


def _queue(pipelines: Iterable[Pipeline]) -> dict[str, Any]:
    try:
        return control_place(*pipelines)
    except Exception:  # any error: the watchdog DAG must exist in every case
        log.exception("the pipelines' options cannot be read")
        return {}


def _watched(pipelines: Iterable[Pipeline]) -> list[dict[str, Any]]:
    """For each pipeline, the options that set where notices go, and those of its digest."""
    options = ("sns_topic_arn", "aws_conn_id", *channels.OPTIONS, *digests.OPTIONS)
    try:
        return [pipeline.default_args(options) for pipeline in pipelines]
    except Exception:  # any error: the watchdog DAG must exist in every case
        log.exception("the pipelines' options cannot be read")
        return []
