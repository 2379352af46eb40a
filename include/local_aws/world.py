"""What is there when the embedded AWS starts: buckets, queue, dead-letter queue, notification, models."""

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from include.local_aws.detector import Detector
from include.local_aws.rekognition.models import backend_of
from include.local_aws.settings import WorldSettings

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import QueueConfigurationTypeDef

ACCESS_KEY = "local"  # any key will do: nothing is checked
SECRET_KEY = "local"  # noqa: S105
# S3's suffix filters are case-sensitive, one to a rule.
SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")


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
    """Make it all, over HTTP as anybody would; the models alone, which AWS trains, are put there directly."""
    aws = session(settings.region)
    config = Config(retries={"total_max_attempts": 1})
    s3 = aws.client("s3", endpoint_url=endpoint, config=config)
    sqs = aws.client("sqs", endpoint_url=endpoint, config=config)
    for bucket in (settings.source_bucket, settings.final_bucket):
        if settings.region != "us-east-1":
            s3.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": cast(Any, settings.region)}
            )
        else:
            s3.create_bucket(Bucket=bucket)
    queue_arn = f"arn:aws:sqs:{settings.region}:{account_id}:{settings.queue}"
    sqs.create_queue(QueueName=f"{settings.queue}-dead-letters", Attributes={"MessageRetentionPeriod": "1209600"})
    redrive = {"deadLetterTargetArn": f"{queue_arn}-dead-letters", "maxReceiveCount": settings.max_receive_count}
    queue_url = sqs.create_queue(
        QueueName=settings.queue,
        Attributes={
            "VisibilityTimeout": "60",
            "RedrivePolicy": json.dumps(redrive),
            "Policy": json.dumps(_queue_policy(queue_arn, settings.source_bucket, account_id)),
        },
    )["QueueUrl"]
    s3.put_bucket_notification_configuration(
        Bucket=settings.source_bucket,
        NotificationConfiguration={"QueueConfigurations": [_rule(queue_arn, suffix) for suffix in SUFFIXES]},
    )
    # S3 tests a new notification with a message. Nobody waits for it here, and it would start the model once.
    # Not purged: AWS allows that once a minute, and others may want to.
    while test_event := sqs.receive_message(QueueUrl=queue_url).get("Messages"):
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=test_event[0]["ReceiptHandle"])
    detector = Detector(settings.examples)
    rekognition = backend_of(account_id, settings.region)
    version = rekognition.add_model(settings.project, settings.model_version, settings.model, detector)
    others = (str(number) for number in itertools.count(2) if str(number) != settings.model_version)
    for name in itertools.islice(others, settings.more_models):
        rekognition.add_model(settings.project, name, settings.model, detector)
    return World(endpoint, settings.region, settings.source_bucket, settings.final_bucket, queue_url, version.arn)


def _rule(queue_arn: str, suffix: str) -> "QueueConfigurationTypeDef":
    return {
        "Id": f"pictures-{suffix[1:]}",
        "QueueArn": queue_arn,
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": suffix}]}},
    }


def _queue_policy(queue_arn: str, bucket: str, account_id: str) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "the-source-bucket-may-announce-pictures",
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {
                    "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
                    "StringEquals": {"aws:SourceAccount": account_id},
                },
            }
        ],
    }
