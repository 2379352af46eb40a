"""An IAM policy in force: the permissions that each call needs, and the text of a denial."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.local_aws.conftest import Aws
from tests.local_aws.endpoints import DETECTION, endpoint_arn
from tests.local_aws.lookout import ARN, Lookout, error
from tests.local_aws.pictures import photograph, png
from tests.local_aws.policies import FINAL, ROLE, SCHEDULE, SOURCE, allow, error_of
from tests.local_aws.test_scheduler import at

Pairs = list[tuple[str, str]]
QUEUE = "arn:aws:sqs:us-east-1:123456789012:under-policy"
KEY = "line 3/é+1.png"


def cases(aws: Aws) -> dict[str, tuple[Callable[..., Any], dict[str, Any], Pairs]]:
    """Calls, their arguments, and the permissions that AWS requires."""
    s3, sqs, sns = aws.client("s3"), aws.client("sqs"), aws.client("sns")
    rekognition, scheduler = aws.client("rekognition"), aws.client("scheduler")
    metric = {"Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage", "Period": 60}
    place = {"Bucket": aws.source, "Key": KEY}
    etag = s3.put_object(**place, Body=png(photograph("moon")), Tagging="a=b")["ETag"]
    topic = sns.create_topic(Name="news")["TopicArn"]
    project = rekognition.describe_projects()["ProjectDescriptions"][0]["ProjectArn"]
    queue = {"QueueUrl": sqs.create_queue(QueueName="under-policy")["QueueUrl"]}
    handles = [{"Id": "1", "ReceiptHandle": "x"}]
    arn = {"ProjectVersionArn": aws.model_arn}
    schedule = {
        "Name": "label-detection-a",
        "ScheduleExpression": at(3600),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sns:listTopics", "RoleArn": ROLE},
    }
    copy = [("s3:GetObject", f"{SOURCE}/{KEY}"), ("s3:GetObjectTagging", f"{SOURCE}/{KEY}")]
    copy += [("s3:GetObjectAnnotation", f"{SOURCE}/{KEY}"), ("s3:PutObject", f"{FINAL}/copy")]
    copy += [("s3:PutObjectTagging", f"{FINAL}/copy"), ("s3:PutObjectAnnotation", f"{FINAL}/copy")]
    copy_call = {"Bucket": aws.final, "Key": "copy", "CopySource": place}
    deletion = [("s3:DeleteObject", f"{SOURCE}/{KEY}"), ("s3:GetObject", f"{SOURCE}/{KEY}")]
    detect = [("rekognition:DetectCustomLabels", aws.model_arn)]
    image = {**arn, "Image": {"Bytes": png(photograph("moon"))}}
    switch = [("scheduler:CreateSchedule", SCHEDULE), ("iam:PassRole", ROLE)]
    switch_again = [("scheduler:UpdateSchedule", SCHEDULE), ("iam:PassRole", ROLE)]
    return {
        "GetObject": (s3.get_object, place, [("s3:GetObject", f"{SOURCE}/{KEY}")]),
        "HeadObject": (s3.head_object, place, [("s3:GetObject", f"{SOURCE}/{KEY}")]),
        "GetObjectTagging": (s3.get_object_tagging, place, [("s3:GetObjectTagging", f"{SOURCE}/{KEY}")]),
        "HeadBucket": (s3.head_bucket, {"Bucket": aws.source}, [("s3:ListBucket", SOURCE)]),
        "GetBucketRequestPayment": (
            s3.get_bucket_request_payment,
            {"Bucket": aws.source},
            [("s3:GetBucketRequestPayment", SOURCE)],
        ),
        "ListObjectsV2": (s3.list_objects_v2, {"Bucket": aws.source}, [("s3:ListBucket", SOURCE)]),
        "ListBuckets": (s3.list_buckets, {}, [("s3:ListAllMyBuckets", "*")]),
        "PutObject": (s3.put_object, {**place, "Body": b"1"}, [("s3:PutObject", f"{SOURCE}/{KEY}")]),
        "PutObject with tags": (
            s3.put_object,
            {**place, "Body": b"1", "Tagging": "a=b"},
            [("s3:PutObject", f"{SOURCE}/{KEY}"), ("s3:PutObjectTagging", f"{SOURCE}/{KEY}")],
        ),
        "CopyObject": (s3.copy_object, copy_call, copy),
        "CopyObject without annotations": (
            s3.copy_object,
            {**copy_call, "AnnotationDirective": "EXCLUDE"},
            [pair for pair in copy if "Annotation" not in pair[0]],
        ),
        "DeleteObject": (s3.delete_object, place, [("s3:DeleteObject", f"{SOURCE}/{KEY}")]),
        "DeleteObject if there": (s3.delete_object, {**place, "IfMatch": "*"}, deletion[:1]),
        "DeleteObject if unchanged": (s3.delete_object, {**place, "IfMatch": etag}, deletion),
        "GetQueueAttributes": (sqs.get_queue_attributes, queue, [("sqs:GetQueueAttributes", QUEUE)]),
        "ReceiveMessage": (sqs.receive_message, queue, [("sqs:ReceiveMessage", QUEUE)]),
        "SendMessageBatch": (
            sqs.send_message_batch,
            {**queue, "Entries": [{"Id": "1", "MessageBody": "x"}]},
            [("sqs:SendMessage", QUEUE)],
        ),
        "DeleteMessageBatch": (
            sqs.delete_message_batch,
            {**queue, "Entries": handles},
            [("sqs:DeleteMessage", QUEUE)],
        ),
        "ChangeMessageVisibilityBatch": (
            sqs.change_message_visibility_batch,
            {**queue, "Entries": [{**handles[0], "VisibilityTimeout": 1}]},
            [("sqs:ChangeMessageVisibility", QUEUE)],
        ),
        "DescribeProjects": (rekognition.describe_projects, {}, [("rekognition:DescribeProjects", "*")]),
        "DescribeProjectVersions": (
            rekognition.describe_project_versions,
            {"ProjectArn": project},
            [("rekognition:DescribeProjectVersions", project)],
        ),
        "StartProjectVersion": (
            rekognition.start_project_version,
            {**arn, "MinInferenceUnits": 1},
            [("rekognition:StartProjectVersion", aws.model_arn)],
        ),
        "StopProjectVersion": (
            rekognition.stop_project_version,
            arn,
            [("rekognition:StopProjectVersion", aws.model_arn)],
        ),
        "DetectCustomLabels": (rekognition.detect_custom_labels, image, detect),
        "GetMetricStatistics": (
            aws.client("cloudwatch").get_metric_statistics,
            {**metric, "StartTime": 0, "EndTime": 60, "Statistics": ["Maximum"]},
            [("cloudwatch:GetMetricStatistics", "*")],
        ),
        "Publish": (sns.publish, {"TopicArn": topic, "Message": "x"}, [("sns:Publish", topic)]),
        "CreateSchedule": (scheduler.create_schedule, schedule, switch),
        "UpdateSchedule": (scheduler.update_schedule, schedule, switch_again),
        "DeleteSchedule": (
            scheduler.delete_schedule,
            {"Name": "label-detection-a"},
            [("scheduler:DeleteSchedule", SCHEDULE)],
        ),
    }


NAMES = [
    *(
        "GetObject",
        "HeadObject",
        "GetObjectTagging",
        "HeadBucket",
        "GetBucketRequestPayment",
        "ListObjectsV2",
        "ListBuckets",
        "PutObject",
    ),
    *(
        "PutObject with tags",
        "CopyObject",
        "CopyObject without annotations",
        "DeleteObject",
        "DeleteObject if there",
        "DeleteObject if unchanged",
    ),
    *("GetQueueAttributes", "ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch"),
    *("ChangeMessageVisibilityBatch", "DescribeProjects", "DescribeProjectVersions", "StartProjectVersion"),
    *("StopProjectVersion", "DetectCustomLabels", "GetMetricStatistics", "Publish", "CreateSchedule"),
    *("UpdateSchedule", "DeleteSchedule"),
]


DENIALS = {
    "s3": (403, "AccessDenied"),
    "sqs": (403, "AccessDenied"),
    "sns": (403, "AuthorizationError"),
    "cloudwatch": (403, "AccessDenied"),
    "rekognition": (400, "AccessDeniedException"),
    "scheduler": (403, "AccessDeniedException"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_call_needs_each_of_its_permissions_and_no_more(
    aws: Aws, put: Callable[[Any], requests.Response], name: str
) -> None:
    all_cases = cases(aws)
    assert sorted(all_cases) == sorted(NAMES)
    call: Any
    call, arguments, pairs = all_cases[name]
    aws.model(status="RUNNING")
    denial = DENIALS[call.__self__.meta.service_model.service_name]
    for left_out in pairs:
        put(allow(*(pair for pair in pairs if pair != left_out)))
        status, code, message = error_of(call, **arguments)
        if name.startswith("Head"):  # the answer to a HEAD has no body
            assert (status, code) == (403, "403")
        else:
            assert (status, code) == denial
            assert f"is not authorized to perform: {left_out[0]} on resource: {left_out[1]} because" in message
    put(allow(*pairs))
    assert error_of(call, **arguments)[1] in ("", "ResourceInUseException", "ResourceNotFoundException")


CONFIG = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{DETECTION}"
EYES = endpoint_arn("eyes")
ENDPOINT_CALLS: list[tuple[str, str, dict[str, Any], Pairs]] = [
    (
        "sagemaker",
        "create_endpoint",
        {"EndpointName": "Eyes", "EndpointConfigName": DETECTION},
        [("sagemaker:CreateEndpoint", EYES), ("sagemaker:CreateEndpoint", CONFIG)],
    ),
    ("sagemaker", "describe_endpoint", {"EndpointName": "Eyes"}, [("sagemaker:DescribeEndpoint", EYES)]),
    (
        "sagemaker-runtime",
        "invoke_endpoint",
        {"EndpointName": "Eyes", "Body": png(photograph("moon")), "ContentType": "image/png"},
        [("sagemaker:InvokeEndpoint", EYES)],
    ),
    ("sagemaker", "delete_endpoint", {"EndpointName": "Eyes"}, [("sagemaker:DeleteEndpoint", EYES)]),
    (
        "sagemaker",
        "describe_endpoint_config",
        {"EndpointConfigName": DETECTION},
        [("sagemaker:DescribeEndpointConfig", CONFIG)],
    ),
    ("sagemaker", "list_endpoints", {}, [("sagemaker:ListEndpoints", "*")]),
]


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "pairs"), ENDPOINT_CALLS, ids=[call[1] for call in ENDPOINT_CALLS]
)
def test_a_call_of_sagemaker_needs_each_of_its_permissions_and_no_more(
    aws: Aws,
    put: Callable[[Any], requests.Response],
    service: str,
    operation: str,
    arguments: dict[str, Any],
    pairs: Pairs,
) -> None:
    call = getattr(aws.client(service), operation)
    if operation != "create_endpoint":
        aws.client("sagemaker").create_endpoint(EndpointName="Eyes", EndpointConfigName=DETECTION)
        aws.model(DETECTION, status="RUNNING")
    for left_out in pairs:
        put(allow(*(pair for pair in pairs if pair != left_out)))
        status, code, message = error_of(call, **arguments)
        assert (status, code) == (403 if service == "sagemaker-runtime" else 400, "AccessDeniedException")
        assert f"is not authorized to perform: {left_out[0]} on resource: {left_out[1]} because" in message
    put(allow(*pairs))
    assert error_of(call, **arguments) == (0, "", "")


@pytest.mark.parametrize("operation", ["DescribeModel", "StartModel", "StopModel", "DetectAnomalies"])
def test_a_call_of_lookout_for_vision_needs_its_permission_on_the_model(
    aws: Aws, put: Callable[[Any], requests.Response], operation: str
) -> None:
    lookout = Lookout(aws)
    calls: dict[str, Callable[[], requests.Response]] = {
        "DescribeModel": lookout.describe,
        "StartModel": lookout.start,
        "StopModel": lookout.stop,
        "DetectAnomalies": lambda: lookout.detect(png(photograph("moon"))),
    }
    aws.model("lookoutvision", status="STOPPED" if operation == "StartModel" else "RUNNING")
    put(allow(*((f"lookoutvision:{other}", ARN) for other in calls if other != operation)))
    refused = calls[operation]()
    assert error(refused) == (403, "AccessDeniedException")
    assert f"lookoutvision:{operation} on resource: {ARN} because" in refused.json()["Message"]
    put(allow((f"lookoutvision:{operation}", ARN)))
    assert calls[operation]().ok


def test_rekognition_reads_the_image_with_the_callers_permission(
    aws: Aws, put: Callable[[Any], requests.Response], s3: Any, rekognition: Any
) -> None:
    s3.put_object(Bucket=aws.source, Key=KEY, Body=png(photograph("moon")))
    aws.model(status="RUNNING")
    detect = ("rekognition:DetectCustomLabels", aws.model_arn)
    image = {"S3Object": {"Bucket": aws.source, "Name": KEY}}
    call = {"ProjectVersionArn": aws.model_arn, "Image": image}
    put(allow(detect))
    status, code, message = error_of(rekognition.detect_custom_labels, **call)
    assert (status, code) == (400, "InvalidS3ObjectException")
    assert message.startswith("Unable to get object metadata from S3")
    put(allow(detect, ("s3:GetObject", f"{SOURCE}/*")))
    rekognition.detect_custom_labels(**call)


def test_a_caller_who_may_not_list_a_bucket_gets_403_for_a_missing_object(
    aws: Aws, put: Callable[[Any], requests.Response], s3: Any
) -> None:
    gone = {"Bucket": aws.source, "Key": "gone"}
    copy = {"Bucket": aws.final, "Key": "x", "CopySource": gone}
    objects = [("s3:*Object*", "*")]
    put(allow(*objects))
    assert error_of(s3.get_object, **gone)[:2] == (403, "AccessDenied")
    assert "s3:ListBucket" in error_of(s3.get_object, **gone)[2]
    assert error_of(s3.head_object, **gone)[0] == 403
    assert error_of(s3.copy_object, **copy)[:2] == (403, "AccessDenied")
    put(allow(*objects, ("s3:ListBucket", SOURCE)))
    assert error_of(s3.get_object, **gone)[:2] == (404, "NoSuchKey")
    assert error_of(s3.head_object, **gone)[0] == 404
    assert error_of(s3.copy_object, **copy)[:2] == (404, "NoSuchKey")


def test_a_version_of_an_object_needs_another_action(
    aws: Aws, put: Callable[[Any], requests.Response], s3: Any
) -> None:
    s3.put_object(Bucket=aws.final, Key="a", Body=b"1")
    put(allow(("s3:GetObject", "*")))
    assert "s3:GetObjectVersion on" in error_of(s3.get_object, Bucket=aws.final, Key="a", VersionId="null")[2]
    assert error_of(s3.get_object, Bucket=aws.final, Key="a")[0] == 0


KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/k"


@pytest.fixture
def encrypted(aws: Aws, s3: Any) -> Iterator[str]:
    """Encrypt a queue and both buckets with a KMS key; return the queue's URL. Only without a policy in force."""
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS_KEY}}
    for bucket in (aws.source, aws.final):
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket=aws.source, Key=KEY, Body=png(photograph("moon")))
    attributes = {"KmsMasterKeyId": KMS_KEY}
    yield aws.client("sqs").create_queue(QueueName="with-a-key", Attributes=attributes)["QueueUrl"]
    for bucket in (aws.source, aws.final):
        s3.delete_bucket_encryption(Bucket=bucket)


@pytest.mark.parametrize(
    ("service", "operation", "actions"),
    [
        ("s3", "get_object", ["kms:Decrypt"]),
        ("s3", "head_object", []),
        ("s3", "put_object", ["kms:GenerateDataKey"]),
        ("s3", "copy_object", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("sqs", "receive_message", ["kms:Decrypt"]),
        ("sqs", "send_message", ["kms:Decrypt", "kms:GenerateDataKey"]),
        ("sqs", "get_queue_attributes", []),
        ("rekognition", "detect_custom_labels", ["kms:Decrypt"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_encrypted_data_needs_rights_on_its_kms_key(
    aws: Aws,
    encrypted: str,
    put: Callable[[Any], requests.Response],
    service: str,
    operation: str,
    actions: list[str],
) -> None:
    aws.model(status="RUNNING")
    place = {"Bucket": aws.source, "Key": KEY}
    arguments: dict[str, dict[str, Any]] = {
        "get_object": place,
        "head_object": place,
        "put_object": {**place, "Body": b"1"},
        "copy_object": {"Bucket": aws.final, "Key": "copy", "CopySource": place},
        "receive_message": {"QueueUrl": encrypted},
        "send_message": {"QueueUrl": encrypted, "MessageBody": "x"},
        "get_queue_attributes": {"QueueUrl": encrypted},
        "detect_custom_labels": {
            "ProjectVersionArn": aws.model_arn,
            "Image": {"S3Object": {"Bucket": aws.source, "Name": KEY}},
        },
    }
    call = getattr(aws.client(service), operation)
    beside = [("s3:*", "*"), ("sqs:*", "*"), ("rekognition:*", "*")]
    for left_out in actions:
        put(allow(*beside, *((action, KMS_KEY) for action in actions if action != left_out)))
        status, code, message = error_of(call, **arguments[operation])
        assert (status, code) == {
            "s3": (403, "AccessDenied"),
            "sqs": (400, "KmsAccessDenied"),
            "rekognition": (400, "InvalidS3ObjectException"),
        }[service]
        assert service == "rekognition" or f"{left_out} on resource: {KMS_KEY} because" in message
    put(allow(*beside, *((action, KMS_KEY) for action in actions)))
    assert error_of(call, **arguments[operation]) == (0, "", "")


@pytest.mark.parametrize(
    ("service", "status"),
    [("scheduler.amazonaws.com", 0), ("lambda.amazonaws.com", 403)],
    ids=["the service of the condition", "another service"],
)
def test_a_role_is_passed_only_to_the_service_of_the_condition(
    aws: Aws, put: Callable[[Any], requests.Response], service: str, status: int
) -> None:
    client = aws.client("scheduler")
    name = f"label-detection-{service.partition('.')[0]}"
    policy = allow(("scheduler:CreateSchedule", "*"), ("iam:PassRole", ROLE))
    policy["Statement"][1]["Condition"] = {"StringEquals": {"iam:PassedToService": service}}
    put(policy)
    schedule = {
        "Name": name,
        "ScheduleExpression": at(3600),
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sns:listTopics", "RoleArn": ROLE},
    }
    assert error_of(client.create_schedule, **schedule)[0] == status
