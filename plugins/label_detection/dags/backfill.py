"""
Announces pictures in the source bucket that were never announced: uploaded before the notification existed, or whose
message expired. Manually only.

`plan_backfill` lists the bucket and says what there is and what labelling it would take. `enqueue_images` puts it on
the queue, oldest first. From there `label_detection` takes over, at its next run or in the one that is going on: this
DAG starts no model.

## Running it

* First as it is: **a dry run** that only counts. Its numbers are in the log of `plan_backfill`, and in its XCom.
* Then with "Only count (dry run)" off.
* Running it twice is safe, also while pictures are being labelled: one that was announced twice is labelled once, and
  its second message is counted as ignored.

## Params

* **Prefix** (`prefix`): only pictures whose keys begin so, such as `line 3/`. Empty: the whole source bucket.
* **Only count (dry run)** (`dry_run`): on by default. Off: the pictures are put on the queue.
* **Older than (minutes)** (`older_than_minutes`): 60. Younger pictures are left to their own event. 0: all.

Buckets, queue and price are the options of `label_detection`; they are on its page.

## When it is red

Its log says what to mend. No picture is lost: what was not announced is still in the source bucket. Clear the task, and
it goes on where it was; or start another run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from label_detection.dags.airflow_arguments import RUN_TYPES
from label_detection.docs import backfill_docs, tags, task_docs
from label_detection.operators.backfill import EnqueueImagesOperator, PlanBackfillOperator, backfill_params
from label_detection_core.config.pipeline import Pipeline


def backfill(pipeline: Pipeline) -> None:
    """The backfill's DAG of a pipeline."""
    with DAG(
        pipeline.backfill_dag_id,
        description="Announce pictures in the source bucket that were never announced",
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        allowed_run_types=RUN_TYPES,
        params=backfill_params(),
        doc_md=backfill_docs(__doc__, pipeline),
        tags=tags(pipeline),
        default_args={
            "owner": "label-detection",
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "execution_timeout": timedelta(hours=6),  # S3 lists some million keys an hour at least
            **pipeline.default_args(),
        },
    ):
        plan_backfill = PlanBackfillOperator(task_id="plan_backfill", doc_md=task_docs(PlanBackfillOperator))
        EnqueueImagesOperator.partial(
            task_id="enqueue_images",
            doc_md=task_docs(EnqueueImagesOperator, pipeline),
            map_index_template="{{ images | default('enqueueing') }}",
            max_active_tis_per_dagrun=1,  # one after the other: the oldest first
        ).expand(chunk=plan_backfill.output)
