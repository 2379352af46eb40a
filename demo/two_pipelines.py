"""Two pipelines in one Airflow: `parts` with a SageMaker endpoint, `surfaces` with a model of Lookout for Vision.

Each pipeline has its own buckets and queue. The embedded AWS creates those of `surfaces` when it starts, from the
CloudFormation template; those of `parts` are a second stack of this template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.kinds import SERVICES, Kind
from demo.pipeline import Pipeline
from sandbox.airflow_api import AirflowApi
from sandbox.aws_clients import client
from sandbox.environment import PROJECT
from sandbox.world import World

PARTS, SURFACES = "parts", "surfaces"
#: Options of the embedded AWS: the names in its stack, and the service of the model on its control page.
AWS = {
    "model": Kind.LOOKOUT_VISION.value,
    "source-bucket": f"{SURFACES}-source",
    "final-bucket": f"{SURFACES}-final",
    "queue": SURFACES,
    "start-seconds": "5",  # shorter than the default of 8, because two pipelines take longer
}
_TEMPLATE = PROJECT / "deploy" / "cloudformation" / "template.yaml"
_ENDPOINT_CONFIG = "label-detection-object-detection"
_BACKFILL = "label_detection_backfill"
_WATCHDOG = "label_detection_watchdog"


def make(world: World, examples: Path) -> tuple[Pipeline, Pipeline]:
    """Create both pipelines in a running embedded AWS; `examples`: the folder of example pictures."""
    arn = str(world.model(_ENDPOINT_CONFIG)["arn"])
    names = sorted(folder.name for folder in examples.iterdir())  # the embedded model numbers its classes in this order
    parts = {
        **_stack(world, PARTS, arn),
        "model_arn": arn,
        "class_names": ",".join(names),
        "price_per_unit_hour": str(SERVICES[Kind.SAGEMAKER].price),
    }
    surfaces = {name: world.setting(name) for name in ("queue_url", "source_bucket", "final_bucket", "model_arn")}
    surfaces["price_per_unit_hour"] = str(SERVICES[Kind.LOOKOUT_VISION].price)
    return (
        Pipeline(PARTS, Kind.SAGEMAKER, parts, _ENDPOINT_CONFIG),
        Pipeline(SURFACES, Kind.LOOKOUT_VISION, surfaces),
    )


def _stack(world: World, name: str, model_arn: str) -> dict[str, str]:
    """Create a stack of the template; returns its resources as the pipeline's options."""
    parameters = {
        "ModelArn": model_arn,
        "SourceBucketName": f"{name}-source",
        "FinalBucketName": f"{name}-final",
        "QueueName": name,
    }
    client(world.aws_environment, "cloudformation").create_stack(
        StackName=name,
        TemplateBody=_TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    # The stack's output is of no use here: the embedded AWS puts Amazon's host in it.
    queue_url = world.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    # S3 sends a test event to the queue of a new notification. Left there, the reports would count it.
    while world.control(f"queues/{name}")["visible"]:
        for test_event in world.sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1).get("Messages", []):
            world.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=test_event["ReceiptHandle"])
    return {"queue_url": queue_url, "source_bucket": f"{name}-source", "final_bucket": f"{name}-final"}


def dag_problems(api: AirflowApi, pipelines: Sequence[Pipeline]) -> Iterator[str]:
    """The differences between Airflow's DAGs and the expected ones."""
    there = sorted(dag["dag_id"] for dag in api.call("GET", "/dags", limit=100)["dags"])
    wanted = dag_ids(pipelines)
    if there != sorted(wanted):
        yield f"Airflow has the DAGs {', '.join(there)} instead of {', '.join(wanted)}"


def dag_ids(pipelines: Sequence[Pipeline]) -> list[str]:
    """The ids of the expected DAGs: a main DAG and a backfill for each pipeline, and one watchdog for all."""
    backfills = [f"{_BACKFILL}__{pipeline.name}" for pipeline in pipelines]
    return [*(pipeline.dag_id for pipeline in pipelines), *backfills, _WATCHDOG]


def seconds_together(models: Sequence[Mapping[str, Any]]) -> float:
    """Seconds for which all models were on at the same time; 0: never."""
    spans = [span for model in models if (span := _span(model["history"]))]
    if len(spans) < len(models):
        return 0.0
    together = min(end for _, end in spans) - max(begin for begin, _ in spans)
    return max(0.0, together.total_seconds())


def _span(history: Sequence[Mapping[str, str]]) -> tuple[datetime, datetime] | None:
    """The times of the first start and the last stop; None if the model was never on."""
    started = [change["at"] for change in history if change["status"] == "STARTING"]
    stopped = [change["at"] for change in history if change["status"] == "STOPPED"]
    if not started or not stopped:
        return None
    return datetime.fromisoformat(started[0]), datetime.fromisoformat(stopped[-1])
