"""
Stops models that a run of `label_detection`, or of another pipeline's DAG of its prefix, has left on: a paused DAG, a
DAG file that no longer parses, a deleted run, a stop that failed or was marked as done by hand.

Every run that starts a model holds a lease on it, an Airflow Variable `label_detection_lease.<model>` that says who and
until when: `max_model_minutes` plus `watchdog_grace_minutes` after the start. Every ten minutes `stop_expired_models`
looks at the leases that name this DAG, and at those of other prefixes' watchdogs that expired half an hour ago. One
that has expired, or whose run is deleted or over, is acted on at once; one of whose run no task is at work, as when its
DAG is paused, after two minutes of looking. It says which run left the model, and how long it was over its time: in its
log, in its XCom, and to `sns_topic_arn`, if that is set.

* It costs nothing while there are no leases: one short task, and no call of AWS.
* The model of a run that is going on within its lease is never stopped, nor one that nobody leased from here.
* It needs no configuration of its own, and works when the pipeline's is broken.

**Leave it on.** Pausing it takes away the layer that stops a model when the pipeline cannot.

## When it is red

**A model may be running and costs money.** The log of `stop_expired_models` names each model that it could not stop,
with AWS's error and the command that stops it by hand: do that, now. It tries again in ten minutes. Then mend the
cause, often the missing permission `rekognition:StopProjectVersion` or `sagemaker:DeleteEndpoint`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from label_detection import notifications
from label_detection.configuration import WATCHED
from label_detection.dags.airflow_arguments import RUN_TYPES
from label_detection.docs import TAG, task_docs, with_prefix
from label_detection.operators.watchdog import StopExpiredModelsOperator
from label_detection.xcom import STOP_FIRST
from label_detection_core.config.pipeline import WATCHDOG_DAG, Pipeline

log = logging.getLogger(__name__)


def watchdog(prefix: str, pipelines: Iterable[Pipeline]) -> None:
    """The DAG that stops the models of all pipelines of a prefix, and tells their topics when it fails."""
    with DAG(
        f"{prefix}{WATCHDOG_DAG}",
        description="Stop models that a run has left on",
        schedule="*/10 * * * *",
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
            "execution_timeout": timedelta(minutes=15),  # it waits eight for a model that is long in stopping
            WATCHED: _watched(pipelines),
        },
    ):
        StopExpiredModelsOperator(
            task_id="stop_expired_models",
            doc_md=task_docs(StopExpiredModelsOperator),
            priority_weight=STOP_FIRST,
            on_failure_callback=notifications.watchdog_failed,
        )


def _watched(pipelines: Iterable[Pipeline]) -> list[dict[str, Any]]:
    """Whom to tell when it fails, for each pipeline."""
    try:
        return [pipeline.default_args(("sns_topic_arn", "aws_conn_id")) for pipeline in pipelines]
    except Exception:  # whatever it is: the watchdog must be there without
        log.exception("the pipelines' options cannot be read")
        return []
