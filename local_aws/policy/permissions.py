"""The IAM permissions that each operation needs.


https://docs.aws.amazon.com/service-authorization/latest/reference/ lists actions and resource types per service.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.utilities.utils import get_partition

from local_aws.operations import Operation, Request
from local_aws.policy import keys
from local_aws.policy.document import Permission
from local_aws.s3.copy_source import CopySource

# S3 operations that need a permission on the bucket, each with its IAM action.
_S3_BUCKET = {
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "GetBucketLocation": "GetBucketLocation",
    "GetBucketRequestPayment": "GetBucketRequestPayment",
    "PutBucketVersioning": "PutBucketVersioning",
    "PutBucketPolicy": "PutBucketPolicy",
    "CreateBucket": "CreateBucket",
    "DeleteBucket": "DeleteBucket",
}
# S3 operations that need a permission on the object, each with its IAM action. A request with a version id needs the
# action with "ObjectVersion" instead of "Object" in its name.
_S3_OBJECT = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "GetObjectTagging": "GetObjectTagging",
    "GetObjectAnnotation": "GetObjectAnnotation",
    "PutObjectAnnotation": "PutObjectAnnotation",
    "PutObject": "PutObject",
    "PutObjectTagging": "PutObjectTagging",
    "DeleteObject": "DeleteObject",
    "DeleteObjectTagging": "DeleteObjectTagging",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
    "ListParts": "ListMultipartUploadParts",
}
_S3_READS = frozenset({"GetObject", "HeadObject", "GetObjectTagging", "CopyObject"})
_REKOGNITION = {
    "DescribeProjects": None,
    "DescribeProjectVersions": "ProjectArn",
    "StartProjectVersion": "ProjectVersionArn",
    "StopProjectVersion": "ProjectVersionArn",
    "DetectCustomLabels": "ProjectVersionArn",
}
_ENDPOINT_ACTIONS = frozenset({"CreateEndpoint", "DescribeEndpoint", "DeleteEndpoint", "InvokeEndpoint"})
_METRICS = frozenset({"GetMetricData", "GetMetricStatistics", "ListMetrics", "PutMetricData"})
_SCHEDULES = frozenset({"CreateSchedule", "UpdateSchedule", "GetSchedule", "DeleteSchedule"})


def permissions_of(operation: Operation, request: Request, account_id: str) -> list[Permission] | None:
    """The permissions that a call needs; None for an operation that is unknown here."""
    region = request.region or "us-east-1"
    prefix = f"arn:{get_partition(region)}:{operation.service}:{region}:{account_id}:"
    known: dict[str, Callable[[], list[Permission] | None]] = {
        "s3": lambda: _s3(operation.name, request, account_id, region),
        "sqs": lambda: _sqs(operation.name, _parameters(request), prefix, account_id, region),
        "monitoring": lambda: _cloudwatch(operation.name),
        "sns": lambda: _sns(operation.name, _parameters(request)),
        "rekognition": lambda: _rekognition(operation.name, _parameters(request)),
        "sagemaker": lambda: _sagemaker(operation.name, request, prefix),
        "lookoutvision": lambda: _lookoutvision(operation.name, request, prefix),
        "scheduler": lambda: _scheduler(operation.name, request, prefix),
    }
    return known[operation.service]() if operation.name and operation.service in known else None


def read_of_an_image(operation: Operation, request: Request, account_id: str) -> list[Permission]:
    """The permissions that Rekognition needs to read the request's image from S3 on behalf of the caller."""
    if operation.service != "rekognition":
        return []
    place = (_parameters(request).get("Image") or {}).get("S3Object") or {}
    if not place:
        return []
    region = request.region or "us-east-1"
    bucket, key, version = place.get("Bucket", ""), place.get("Name", ""), place.get("Version")
    read = _object(region, "GetObject", bucket, key, version)
    return [read, *keys.to_read(account_id, region, bucket, key, version)]


def listing_for_not_found(operation: Operation, request: Request) -> list[Permission]:
    """The permissions without which S3 answers 403 instead of 404 for an object that does not exist."""
    if operation.service != "s3" or operation.name not in _S3_READS:
        return []
    bucket = request.path.removeprefix("/").partition("/")[0]
    copied = request.headers.get("x-amz-copy-source")
    arn = _bucket_arn(request.region, CopySource.parse(copied).bucket if copied else bucket)
    return [Permission("s3:ListBucket", arn)]


def _s3(name: str, request: Request, account_id: str, region: str) -> list[Permission] | None:
    bucket, _, key = request.path.removeprefix("/").partition("/")
    version = parse_qs(request.query).get("versionId", [None])[0]
    if name == "ListBuckets":
        return [Permission("s3:ListAllMyBuckets", "*")]
    if name in _S3_BUCKET:
        return [Permission(f"s3:{_S3_BUCKET[name]}", _bucket_arn(region, bucket))]
    written = keys.to_write(account_id, region, bucket, request)
    if name in ("CopyObject", "UploadPartCopy"):
        source = CopySource.parse(request.headers["x-amz-copy-source"])
        asked = _copied(request) if name == "CopyObject" else ["Object"]
        return [
            *(_object(region, f"Get{what}", source.bucket, source.key, source.version_id) for what in asked),
            *(_object(region, f"Put{what}", bucket, key) for what in asked),
            *keys.to_read(account_id, region, source.bucket, source.key, source.version_id),
            *written,
        ]
    if name not in _S3_OBJECT:
        return None
    needed = [_object(region, _S3_OBJECT[name], bucket, key, version)]
    if request.headers.get("x-amz-tagging"):
        needed.append(_object(region, "PutObjectTagging", bucket, key))
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-delete-enforce.html
    if name == "DeleteObject" and request.headers.get("if-match", "*") != "*":
        needed.append(_object(region, "GetObject", bucket, key))
    if name == "GetObject":
        needed += keys.to_read(account_id, region, bucket, key, version)
    return needed + (written if name in ("PutObject", "CreateMultipartUpload") else [])


def _copied(request: Request) -> list[str]:
    """The parts of an object that a copy includes, as in the names of IAM actions.

    AWS needs the permissions on tags and annotations only if the source has some; the embedded AWS needs them always.
    """
    left_out = request.headers.get("x-amz-object-annotation-directive") == "EXCLUDE"
    return ["Object", "ObjectTagging", *([] if left_out else ["ObjectAnnotation"])]


def _object(region: str, action: str, bucket: str, key: str, version: str | None = None) -> Permission:
    if version:
        action = action.replace("Object", "ObjectVersion")
    return Permission(f"s3:{action}", f"{_bucket_arn(region, bucket)}/{key}")


def _bucket_arn(region: str, bucket: str) -> str:
    return f"arn:{get_partition(region or 'us-east-1')}:s3:::{bucket}"


def _sqs(name: str, parameters: dict[str, Any], prefix: str, account_id: str, region: str) -> list[Permission]:
    queue = parameters.get("QueueName") or str(parameters.get("QueueUrl", "")).rpartition("/")[2]
    asked = Permission(f"sqs:{name.removesuffix('Batch')}", f"{prefix}{queue}" if queue else "*")
    return [asked, *keys.of_queue(account_id, region, queue, name)]


def _cloudwatch(name: str) -> list[Permission] | None:
    """CloudWatch's metrics have no ARN, so the resource is ``*``."""
    return [Permission(f"cloudwatch:{name}", "*")] if name in _METRICS else None


def _sns(name: str, parameters: dict[str, Any]) -> list[Permission]:
    topic = parameters.get("TopicArn") or parameters.get("TargetArn") or "*"
    return [Permission(f"sns:{name.removesuffix('Batch')}", topic)]


def _rekognition(name: str, parameters: dict[str, Any]) -> list[Permission] | None:
    if name not in _REKOGNITION:
        return None
    resource = _REKOGNITION[name]
    return [Permission(f"rekognition:{name}", str(parameters.get(resource, "")) if resource else "*")]


def _sagemaker(name: str, request: Request, prefix: str) -> list[Permission] | None:
    if name == "ListEndpoints":
        return [Permission("sagemaker:ListEndpoints", "*")]
    invokes = name == "InvokeEndpoint"
    parameters = {"EndpointName": unquote(request.path.split("/")[2])} if invokes else _parameters(request)
    needed = []
    if name in _ENDPOINT_ACTIONS:
        endpoint = f"{prefix}endpoint/{parameters.get('EndpointName', '')}".lower()
        needed.append(Permission(f"sagemaker:{name}", endpoint))
    if name in ("CreateEndpoint", "DescribeEndpointConfig"):
        config = f"{prefix}endpoint-config/{parameters.get('EndpointConfigName', '')}"
        needed.append(Permission(f"sagemaker:{name}", config))
    return needed or None


def _lookoutvision(name: str, request: Request, prefix: str) -> list[Permission]:
    _, _, _, project, _, version, *_ = request.path.split("/")
    return [Permission(f"lookoutvision:{name}", f"{prefix}model/{project}/{version}")]


def _scheduler(name: str, request: Request, prefix: str) -> list[Permission] | None:
    if name == "ListSchedules":
        return [Permission("scheduler:ListSchedules", "*")]
    if name not in _SCHEDULES:
        return None
    parameters = _parameters(request)
    group = parameters.get("GroupName") or parse_qs(request.query).get("groupName", ["default"])[0]
    needed = [Permission(f"scheduler:{name}", f"{prefix}schedule/{group}/{unquote(request.path.rpartition('/')[2])}")]
    if "Target" in parameters:
        role = str(parameters["Target"].get("RoleArn", ""))
        context = frozenset({("iam:PassedToService", "scheduler.amazonaws.com")})
        needed.append(Permission("iam:PassRole", role, context))
    return needed


def _parameters(request: Request) -> dict[str, Any]:
    """The parameters in a request's body, JSON or a form; empty for any other body."""
    text = request.body.decode("utf-8", "replace")
    if text.startswith("Action=") or "&Action=" in text:
        return {name: values[0] for name, values in parse_qs(text).items()}
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
