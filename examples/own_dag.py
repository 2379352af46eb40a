"""
Labels the images that wait in a queue, with a custom model that this DAG starts and stops. This is an example of your
own DAG with the operators of label detection. It needs no option of `[label_detection]`, and of the project's DAGs only
the watchdog. Copy it into the dags folder and change it as you need.

Each run starts the model, even if the queue is empty. So run it only when there are images: trigger it manually, or use
a schedule that fits your uploads.

* Running it twice is safe: a model that is on is adopted, and a labelled image has no message in the queue any more.
* `model_is_off` fails when the analysis or the stop failed, and turns the run red. A failed teardown alone does not
  turn a run red.

## When it is red

**`stop_model` red: the model may still be running and costs money.** The log of `stop_model` begins with the command
that stops the model: run it now. The watchdog stops the model when `max_model_minutes` have passed. If another task is
red, its log names the cause. Images that were not labelled are still in the queue.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from label_detection.operators.custom_model import StartCustomModelOperator, StopCustomModelOperator
from label_detection.operators.images import DetectLabelsFromQueueOperator
from label_detection.sensors.model import CustomModelRunningSensor

MODEL_ARN = "{{ params.model_arn }}"

with DAG(
    "own_dag",
    description="Label the images that wait in a queue, and stop the model afterwards",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # two runs must not start and stop one model at one time
    doc_md=__doc__,
    tags=["example"],
    params={
        "model_arn": "arn:aws:rekognition:eu-west-1:111122223333:project/parts/version/parts.2026/1767225600000",
        "queue_url": "https://sqs.eu-west-1.amazonaws.com/111122223333/parts",
        "source_bucket": "parts-in",
        "final_bucket": "parts-out",
    },
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(minutes=90)},
):
    # A teardown runs only if one of its setups succeeded. A start can fail although AWS has accepted the request, so
    # `begin`, which always succeeds, is a setup too.
    begin = EmptyOperator(task_id="begin").as_setup()
    start_model = StartCustomModelOperator(
        task_id="start_model",
        model_arn=MODEL_ARN,
        max_model_minutes=120,  # after this time the watchdog stops the model, if this DAG has not
    ).as_setup()
    wait_for_model = CustomModelRunningSensor(task_id="wait_for_model", model_arn=MODEL_ARN, deferrable=True).as_setup()
    detect_labels = DetectLabelsFromQueueOperator(
        task_id="detect_labels",
        queue_url="{{ params.queue_url }}",
        source_bucket="{{ params.source_bucket }}",
        final_bucket="{{ params.final_bucket }}",
        model_arn=MODEL_ARN,
        max_minutes=60,
    )
    stop_model = StopCustomModelOperator(task_id="stop_model", model_arn=MODEL_ARN, retries=5)
    model_is_off = EmptyOperator(task_id="model_is_off")

    begin >> start_model >> wait_for_model >> detect_labels >> stop_model
    [detect_labels, stop_model] >> model_is_off
    stop_model.as_teardown(setups=[begin, start_model, wait_for_model])
