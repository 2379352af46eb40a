"""The resources that the embedded AWS starts with: buckets, queue, dead-letter queue, notification, models."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local_aws.anomaly import AnomalyDetector
from local_aws.detector import Detector
from local_aws.lookoutvision.models import LookoutModel, LookoutProjects
from local_aws.rekognition import models as rekognition
from local_aws.sagemaker import models as sagemaker
from local_aws.service_models import botocore_session
from local_aws.settings import Answers, ModelType, WorldSettings
from local_aws.sqs.models import queues_of

ACCESS_KEY = "local"  # any key works: signatures are not checked
SECRET_KEY = "local"  # noqa: S105
STACK = "label-detection"
ROLE = "arn:aws:iam::{account}:role/label-detection-model"
# Names of AWS's container images, which AWS keeps in its own registry per Region: the repository name is the algorithm.
_CONTAINERS = {
    Answers.OBJECT_DETECTION: "object-detection:1",
    Answers.IMAGE_CLASSIFICATION: "image-classification:1",
    Answers.HUGGINGFACE: "huggingface-pytorch-inference:2.1.0-transformers4.37.0-cpu-py310-ubuntu22.04",
}
TEMPLATE = Path(__file__).parents[1] / "deploy" / "cloudformation" / "template.yaml"


@dataclass(frozen=True)
class Account:
    """Names and addresses of the resources that were created.

    ``class_names``: in the order of the class numbers; None unless the model is a SageMaker model. ``queue_url``: None
    without a stack.
    """

    endpoint: str
    region: str
    source_bucket: str
    final_bucket: str
    queue_url: str | None
    model_arn: str
    class_names: tuple[str, ...] | None

    def environment(self) -> dict[str, str]:
        """The environment variables that point boto3 and the pipeline at these resources."""
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        if self.queue_url is not None:
            variables |= {
                "AIRFLOW__LABEL_DETECTION__QUEUE_URL": self.queue_url,
                "AIRFLOW__LABEL_DETECTION__SOURCE_BUCKET": self.source_bucket,
                "AIRFLOW__LABEL_DETECTION__FINAL_BUCKET": self.final_bucket,
            }
        variables["AIRFLOW__LABEL_DETECTION__MODEL_ARN"] = self.model_arn
        if self.class_names is not None:
            variables["AIRFLOW__LABEL_DETECTION__CLASS_NAMES"] = ",".join(self.class_names)
        return variables


def session(region: str) -> boto3.Session:
    """A boto3 session with the credentials that all clients of the embedded AWS share."""
    return boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=region, botocore_session=botocore_session())


def make_world(endpoint: str, account_id: str, settings: WorldSettings, lookout: LookoutProjects) -> Account:
    """Create all resources.

    AWS would train the models, so they are created directly. All else is created over HTTP, from the template that is
    also for AWS.
    """
    aws = session(settings.region)
    options: dict[str, Any] = {"endpoint_url": endpoint, "config": Config(retries={"total_max_attempts": 1})}
    detector = Detector(settings.examples)
    project_arn, rekognition_arn = _make_versions(account_id, settings, detector)
    lookout.model = LookoutModel(settings.region, account_id, settings.model, AnomalyDetector(detector))
    sagemaker.backend_of(account_id, settings.region).teach(settings.model, detector)
    config_arns = _make_endpoint_configs(aws.client("sagemaker", **options), account_id, settings.region)
    queue_url = None
    if not settings.models_only:
        _make_stack(aws.client("cloudformation", **options), settings, project_arn, rekognition_arn)
        queue_url = _emptied_queue(aws.client("sqs", **options), account_id, settings)
    arns = {
        ModelType.REKOGNITION: rekognition_arn,
        ModelType.SAGEMAKER: config_arns[settings.answers],
        ModelType.LOOKOUT_VISION: lookout.model.arn,
    }
    return Account(
        endpoint,
        settings.region,
        settings.source_bucket,
        settings.final_bucket,
        queue_url,
        arns[settings.model_kind],
        tuple(detector.classes()) if settings.model_kind is ModelType.SAGEMAKER else None,
    )


def _make_versions(account_id: str, settings: WorldSettings, detector: Detector) -> tuple[str, str]:
    """Create Rekognition's project and model versions; returns the ARNs of the project and of the first version."""
    backend = rekognition.backend_of(account_id, settings.region)
    if settings.pictures_endpoint is not None:
        backend.read_pictures_from(settings.pictures_endpoint)
    version = backend.add_model(settings.project, settings.model_version, settings.model, detector)
    others = (str(number) for number in itertools.count(2) if str(number) != settings.model_version)
    for name in itertools.islice(others, settings.more_models):
        backend.add_model(settings.project, name, settings.model, detector)
    return version.project_arn, version.arn


def _make_endpoint_configs(client: Any, account_id: str, region: str) -> dict[Answers, str]:
    """Create a SageMaker model and endpoint config for each format of answers; returns the ARNs of the configs."""
    arns = {}
    for answers, container in _CONTAINERS.items():
        name = f"label-detection-{answers}"
        image = f"{account_id}.dkr.ecr.{region}.amazonaws.com/{container}"
        role = ROLE.format(account=account_id)
        client.create_model(ModelName=name, PrimaryContainer={"Image": image}, ExecutionRoleArn=role)
        variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
        arns[answers] = client.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant | {"InitialInstanceCount": 1}]
        )["EndpointConfigArn"]
    return arns


def _make_stack(client: Any, settings: WorldSettings, project_arn: str, model_arn: str) -> None:
    parameters = {
        "ModelArn": model_arn,
        "ProjectArn": project_arn,
        "SourceBucketName": settings.source_bucket,
        "FinalBucketName": settings.final_bucket,
        "QueueName": settings.queue,
        "MaxReceiveCount": str(settings.max_receive_count),
    }
    client.create_stack(
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )


def _emptied_queue(client: Any, account_id: str, settings: WorldSettings) -> str:
    """Remove S3's test event from the queue; returns the queue's URL.

    The stack's output has no usable URL: moto puts AWS's host in it.
    """
    url = str(client.get_queue_url(QueueName=settings.queue)["QueueUrl"])
    (queue,) = (queue for queue in queues_of(account_id, settings.region) if queue.name == settings.queue)
    # S3 sends a test event to the queue of a new notification. Left there, it would start the model once.
    # The queue is not purged: AWS allows one purge per minute, and a user of this queue may need it.
    while queue.counts.visible:
        for test_event in client.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
            client.delete_message(QueueUrl=url, ReceiptHandle=test_event["ReceiptHandle"])
    queue.settle_counts()
    return url
