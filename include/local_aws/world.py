"""What is there when the embedded AWS starts: buckets, queue, dead-letter queue, notification, models."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from include.local_aws.detector import Detector
from include.local_aws.rekognition.models import backend_of
from include.local_aws.settings import WorldSettings

ACCESS_KEY = "local"  # any key will do: nothing is checked
SECRET_KEY = "local"  # noqa: S105
STACK = "label-detection"
TEMPLATE = Path(__file__).parents[1] / "cloudformation" / "template.yaml"


@dataclass(frozen=True)
class World:
    """Where to find what was made."""

    endpoint: str
    region: str
    source_bucket: str
    final_bucket: str
    queue_url: str
    model_arn: str

    def environment(self) -> dict[str, str]:
        """The environment variables that point boto3 and the pipeline at this world."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AIRFLOW__LABEL_DETECTION__QUEUE_URL": self.queue_url,
            "AIRFLOW__LABEL_DETECTION__SOURCE_BUCKET": self.source_bucket,
            "AIRFLOW__LABEL_DETECTION__FINAL_BUCKET": self.final_bucket,
            "AIRFLOW__LABEL_DETECTION__MODEL_ARN": self.model_arn,
        }


def session(region: str) -> boto3.Session:
    """A session with the credentials that everybody here has."""
    return boto3.Session(ACCESS_KEY, SECRET_KEY, region_name=region)


def make_world(endpoint: str, account_id: str, settings: WorldSettings) -> World:
    """Make it all: the models, which AWS trains, directly; the rest over HTTP, from the template for the real AWS."""
    project_arn, model_arn = _make_models(account_id, settings)
    aws = session(settings.region)
    config = Config(retries={"total_max_attempts": 1})
    stacks = aws.client("cloudformation", endpoint_url=endpoint, config=config)
    sqs = aws.client("sqs", endpoint_url=endpoint, config=config)
    parameters = {
        "ModelArn": model_arn,
        "ProjectArn": project_arn,
        "SourceBucketName": settings.source_bucket,
        "FinalBucketName": settings.final_bucket,
        "QueueName": settings.queue,
        "MaxReceiveCount": str(settings.max_receive_count),
    }
    stacks.create_stack(
        StackName=STACK,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    # Not the stack's own output: moto has AWS's host in it.
    queue_url = sqs.get_queue_url(QueueName=settings.queue)["QueueUrl"]
    # S3 tests a new notification with a message. Nobody waits for it here, and it would start the model once.
    # Not purged: AWS allows that once a minute, and others may want to.
    while test_event := sqs.receive_message(QueueUrl=queue_url).get("Messages"):
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=test_event[0]["ReceiptHandle"])
    return World(endpoint, settings.region, settings.source_bucket, settings.final_bucket, queue_url, model_arn)


def _make_models(account_id: str, settings: WorldSettings) -> tuple[str, str]:
    """The project's ARN and the first model's."""
    detector = Detector(settings.examples)
    rekognition = backend_of(account_id, settings.region)
    version = rekognition.add_model(settings.project, settings.model_version, settings.model, detector)
    others = (str(number) for number in itertools.count(2) if str(number) != settings.model_version)
    for name in itertools.islice(others, settings.more_models):
        rekognition.add_model(settings.project, name, settings.model, detector)
    return version.project_arn, version.arn
