"""Two pipelines in one Airflow: `parts` on a SageMaker endpoint, `surfaces` on a model of Lookout for Vision.

Each has its own buckets and queue. The embedded AWS makes those of `surfaces` from the CloudFormation template, as it
always does; those of `parts` are a second stack of it.
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
#: What the embedded AWS is told: its own stack's names, and whose model its control page shows.
AWS = {
    "model": Kind.LOOKOUT_VISION.value,
    "source-bucket": f"{SURFACES}-source",
    "final-bucket": f"{SURFACES}-final",
    "queue": SURFACES,
    "start-seconds": "5",  # 8 unless said: twice the work takes long enough
}
_TEMPLATE = PROJECT / "deploy" / "cloudformation" / "template.yaml"
_ENDPOINT_CONFIG = "label-detection-object-detection"
_BACKFILL = "label_detection_backfill"
_WATCHDOG = "label_detection_watchdog"


def make(world: World, examples: Path) -> tuple[Pipeline, Pipeline]:
    """Both, once the embedded AWS is there."""
    arn = str(world.model(_ENDPOINT_CONFIG)["arn"])
    names = sorted(folder.name for folder in examples.iterdir())  # the embedded model numbers its classes like this
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
    """A stack of the template, and its outputs as options."""
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
    # Not the stack's own output: the embedded AWS has Amazon's host in it.
    queue_url = world.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    # S3 tests a new notification with a message, which the reports would count.
    while world.control(f"queues/{name}")["visible"]:
        for test_event in world.sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1).get("Messages", []):
            world.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=test_event["ReceiptHandle"])
    return {"queue_url": queue_url, "source_bucket": f"{name}-source", "final_bucket": f"{name}-final"}


def dag_problems(api: AirflowApi, pipelines: Sequence[Pipeline]) -> Iterator[str]:
    """What is wrong with Airflow's DAGs."""
    there = sorted(dag["dag_id"] for dag in api.call("GET", "/dags", limit=100)["dags"])
    wanted = dag_ids(pipelines)
    if there != sorted(wanted):
        yield f"the DAGs are {', '.join(there)}; they should be {', '.join(wanted)}"


def dag_ids(pipelines: Sequence[Pipeline]) -> list[str]:
    """The DAGs that there must be: one and a backfill for each pipeline, a watchdog for all."""
    backfills = [f"{_BACKFILL}__{pipeline.name}" for pipeline in pipelines]
    return [*(pipeline.dag_id for pipeline in pipelines), *backfills, _WATCHDOG]


def seconds_together(models: Sequence[Mapping[str, Any]]) -> float:
    """For how long all models were on at the same time; 0: never."""
    spans = [span for model in models if (span := _span(model["history"]))]
    if len(spans) < len(models):
        return 0.0
    together = min(end for _, end in spans) - max(begin for begin, _ in spans)
    return max(0.0, together.total_seconds())


def _span(history: Sequence[Mapping[str, str]]) -> tuple[datetime, datetime] | None:
    """From the first start to the last stop; None: it was never on."""
    started = [change["at"] for change in history if change["status"] == "STARTING"]
    stopped = [change["at"] for change in history if change["status"] == "STOPPED"]
    if not started or not stopped:
        return None
    return datetime.fromisoformat(started[0]), datetime.fromisoformat(stopped[-1])
