"""
Labels the pictures that arrive in an S3 bucket with a custom vision model, and never leaves the model on.

`wait_for_images` watches the queue to which S3 announces new images. When images are waiting, `plan_run` sizes the run,
`start_model` starts the model, and `wait_for_model` waits until the model runs. The `analyse_images` tasks then empty
the queue: each image and its label document go to the final bucket, and images that cannot be labelled go to
`rejected/` there. `stop_model` stops the model **in every case**, and `write_report` reports the results and their
cost. If the queue is empty, the run is skipped.

## Running it

* It runs on its schedule, one run at a time. If you trigger a run manually, you can set params; an empty param means
  the configured value.
* Running it twice is safe: every image is labelled or rejected once, even if two runs receive it.
* `max_model_minutes` after the start, the tasks stop receiving images, and the model is stopped. The other images wait
  for the next run.

## When it is red

1. `write_report` names the tasks that failed. Open the log of the first of them: it names the cause.
2. **`stop_model` red: the model may still be running and costs money.** Stop the model manually, now: the page of the
   task has the command. The DAG `label_detection_watchdog` keeps trying.
3. Everything else can wait: no image is lost. Images that were not labelled are still in the source bucket and in the
   queue. Correct the cause and start a run, or wait for the next one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, TriggerRule

from label_detection import notifications
from label_detection.assets import runs_of
from label_detection.configuration import run_params
from label_detection.dags.airflow_arguments import (
    LONGER_THAN_ANY_WAIT,
    RUN_TYPES,
    analysis_place,
    control_place,
    max_active_tasks,
    start_date,
)
from label_detection.dags.schedule import schedule_of
from label_detection.docs import dag_docs, tags, task_docs
from label_detection.operators.images import AnalyseImagesOperator
from label_detection.operators.model import StartModelOperator, StopModelOperator
from label_detection.operators.run import PlanRunOperator, WriteReportOperator
from label_detection.sensors.model import ModelRunningSensor
from label_detection.sensors.sqs import QueueDepthSensor
from label_detection.xcom import PLAN_TASK, SENSE_TASK, START_TASK, STOP_FIRST, STOP_TASK, WAIT_TASK
from label_detection_core.config.pipeline import Pipeline


def labelling(pipeline: Pipeline) -> None:
    """Make the labelling DAG of a pipeline."""
    with DAG(
        pipeline.dag_id,
        description="Label the pictures that arrive in S3, and never leave the model on",
        schedule=schedule_of(pipeline),
        start_date=start_date(pipeline),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=max_active_tasks(pipeline),
        is_paused_upon_creation=pipeline.option("paused_upon_creation"),
        allowed_run_types=RUN_TYPES,
        params=run_params(pipeline),
        doc_md=dag_docs(__doc__, pipeline),
        tags=tags(pipeline),
        default_args={
            "owner": "label-detection",
            "retries": 2,
            "retry_delay": timedelta(seconds=10),
            "execution_timeout": timedelta(minutes=10),
            "weight_rule": "absolute",  # the default adds downstream weights: stop_model would come last
            **pipeline.default_args(),
        },
    ):
        _tasks(runs_of(pipeline), analysis_place(pipeline), control_place(pipeline))


def _tasks(runs: list[Asset], analysis: dict[str, Any], control: dict[str, Any]) -> None:
    wait_for_images = QueueDepthSensor(
        task_id=SENSE_TASK, doc_md=task_docs(QueueDepthSensor), execution_timeout=LONGER_THAN_ANY_WAIT
    )
    plan_run = PlanRunOperator(task_id=PLAN_TASK, doc_md=task_docs(PlanRunOperator)).as_setup()
    start_model = StartModelOperator(
        task_id=START_TASK,
        doc_md=task_docs(StartModelOperator),
        execution_timeout=timedelta(minutes=40),  # it may have to wait until the model is off
        **control,  # a retry must not wait for a slot either: the model may be on
    ).as_setup()
    wait_for_model = ModelRunningSensor(
        task_id=WAIT_TASK, doc_md=task_docs(ModelRunningSensor), execution_timeout=LONGER_THAN_ANY_WAIT, **control
    ).as_setup()
    analyse_images = AnalyseImagesOperator.partial(
        task_id="analyse_images",
        doc_md=task_docs(AnalyseImagesOperator),
        map_index_template="{{ images | default('analysing') }}",
        execution_timeout=LONGER_THAN_ANY_WAIT,  # only a safety limit: the drain ends at the model's deadline
        **analysis,
    ).expand(images_per_second=plan_run.output)
    stop_model = StopModelOperator(
        task_id=STOP_TASK,
        doc_md=task_docs(StopModelOperator),
        retries=5,
        priority_weight=STOP_FIRST,
        execution_timeout=timedelta(minutes=40),  # a model cannot be stopped while it is starting
        on_failure_callback=notifications.stop_failed,
        **control,
    )
    write_report = WriteReportOperator(
        task_id="write_report",
        doc_md=task_docs(WriteReportOperator),
        trigger_rule=TriggerRule.ALL_DONE,
        outlets=runs,
        on_failure_callback=notifications.run_failed,
    )

    wait_for_images >> plan_run >> start_model >> wait_for_model >> analyse_images >> stop_model >> write_report
    analyse_images >> write_report  # so that the report waits for the analysis even if stop_model is marked as success
    stop_model.as_teardown(setups=[plan_run, start_model, wait_for_model])
