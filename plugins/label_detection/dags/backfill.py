"""
Announces pictures in the source bucket that have no message on the queue: they were uploaded before the bucket's event
notification was set up, or their message expired. This DAG runs only when you trigger it.

`plan_backfill` lists the bucket and reports how many pictures there are, and how much time and money labelling them
would take. `enqueue_images` sends a message for each picture to the queue, oldest picture first. The current run of
`label_detection` or its next one labels them. This DAG starts no model.

## Running it

* First run it with the default params: **a dry run** only counts. The numbers are in the log of `plan_backfill`, and in
  its XCom.
* Then run it with "Only count (dry run)" off.
* Running it twice is safe, also while pictures are being labelled. A picture that is announced twice is labelled once,
  and its second message is counted as ignored.

## Params

* **Prefix** (`prefix`): only pictures whose keys begin with this text, such as `line 3/`. Empty: the whole source
  bucket.
* **Only count (dry run)** (`dry_run`): on by default. Off: the pictures are announced on the queue.
* **Older than (minutes)** (`older_than_minutes`): 60 by default. Younger pictures are left out, because S3's own event
  announces them. 0: all pictures.

Buckets, queue and price are options of `label_detection`. The page of that DAG lists them.

## When it is red

The log of the red task names the cause. No picture is lost: each one that was not announced is still in the source
bucket. Correct the cause and clear the task, which continues where it stopped; or start another run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from label_detection.dags.airflow_arguments import RUN_TYPES
from label_detection.docs import backfill_docs, tags, task_docs
from label_detection.operators.backfill import EnqueueImagesOperator, PlanBackfillOperator, backfill_params
from label_detection_core.config.pipeline import Pipeline


def backfill(pipeline: Pipeline) -> None:
    """Make the backfill DAG of a pipeline."""
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
            "execution_timeout": timedelta(hours=6),  # S3 lists at least some million keys an hour
            **pipeline.default_args(),
        },
    ):
        plan_backfill = PlanBackfillOperator(task_id="plan_backfill", doc_md=task_docs(PlanBackfillOperator))
        EnqueueImagesOperator.partial(
            task_id="enqueue_images",
            doc_md=task_docs(EnqueueImagesOperator, pipeline),
            map_index_template="{{ images | default('enqueueing') }}",
            max_active_tis_per_dagrun=1,  # one after the other, so that the oldest pictures come first
        ).expand(chunk=plan_backfill.output)
