"""An IAM policy in force: what each call asks for, and how a denial is worded."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Aws, until
from tests.local_aws.pictures import photograph, png
from tests.local_aws.test_faults import fault
from tests.local_aws.test_scheduler import at

Pairs = list[tuple[str, str]]
ROLE = "arn:aws:iam::123456789012:role/switch"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:under-policy"
SCHEDULE = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/label-detection-a"
SOURCE = "arn:aws:s3:::label-detection-source"
FINAL = "arn:aws:s3:::label-detection-final"
KEY = "line 3/é+1.png"


def allow(*pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in pairs]
    return {"Version": "2012-10-17", "Statement": statements} | more


@pytest.fixture
def put(aws: Aws) -> Iterator[Callable[[Any], requests.Response]]:
    """Put a policy in force."""
    url = f"{aws.endpoint}/_local/policy"
    yield lambda policy: requests.put(url, json=policy, timeout=10)
    requests.delete(url, timeout=10)


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    """Status, code and message; zero and nothing if it works."""
    try:
        call(**arguments)
    except ClientError as error:
        answer = error.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"].get("Message", "")
    return 0, "", ""


def cases(aws: Aws) -> dict[str, tuple[Callable[..., Any], dict[str, Any], Pairs]]:
    """Calls, their arguments, and what AWS asks for."""
    s3, sqs, sns = aws.client("s3"), aws.client("sqs"), aws.client("sns")
    rekognition, scheduler = aws.client("rekognition"), aws.client("scheduler")
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
    copy += [("s3:PutObject", f"{FINAL}/copy"), ("s3:PutObjectTagging", f"{FINAL}/copy")]
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
        "ListObjectsV2": (s3.list_objects_v2, {"Bucket": aws.source}, [("s3:ListBucket", SOURCE)]),
        "ListBuckets": (s3.list_buckets, {}, [("s3:ListAllMyBuckets", "*")]),
        "PutObject": (s3.put_object, {**place, "Body": b"1"}, [("s3:PutObject", f"{SOURCE}/{KEY}")]),
        "PutObject with tags": (
            s3.put_object,
            {**place, "Body": b"1", "Tagging": "a=b"},
            [("s3:PutObject", f"{SOURCE}/{KEY}"), ("s3:PutObjectTagging", f"{SOURCE}/{KEY}")],
        ),
        "CopyObject": (s3.copy_object, copy_call, copy),
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
    *("GetObject", "HeadObject", "GetObjectTagging", "HeadBucket", "ListObjectsV2", "ListBuckets", "PutObject"),
    *("PutObject with tags", "CopyObject", "DeleteObject", "DeleteObject if there", "DeleteObject if unchanged"),
    *("GetQueueAttributes", "ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch"),
    *("ChangeMessageVisibilityBatch", "DescribeProjects", "DescribeProjectVersions", "StartProjectVersion"),
    *("StopProjectVersion", "DetectCustomLabels", "Publish", "CreateSchedule", "UpdateSchedule", "DeleteSchedule"),
]
DENIALS = {
    "s3": (403, "AccessDenied"),
    "sqs": (403, "AccessDenied"),
    "sns": (403, "AuthorizationError"),
    "rekognition": (400, "AccessDeniedException"),
    "scheduler": (403, "AccessDeniedException"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_call_needs_each_of_its_permissions_and_no_more(
    aws: Aws, put: Callable[[Any], requests.Response], name: str
) -> None:
    all_cases = cases(aws)
    assert sorted(all_cases) == sorted(NAMES)
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


def test_whoever_may_not_list_a_bucket_is_not_told_that_an_object_is_gone(
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


def test_a_version_of_an_object_is_asked_for_by_another_action(
    aws: Aws, put: Callable[[Any], requests.Response], s3: Any
) -> None:
    s3.put_object(Bucket=aws.final, Key="a", Body=b"1")
    put(allow(("s3:GetObject", "*")))
    assert "s3:GetObjectVersion on" in error_of(s3.get_object, Bucket=aws.final, Key="a", VersionId="null")[2]
    assert error_of(s3.get_object, Bucket=aws.final, Key="a")[0] == 0


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetObject", f"{FINAL}/a/b.png", True),
        ("S3:getobject", f"{FINAL}/a/b.png", True),
        ("s3:Get*", f"{FINAL}/*", True),
        ("*", "*", True),
        ("s3:GetObject", f"{FINAL}/?/b.png", True),
        ("s3:GetObject", f"{FINAL}/A/b.png", False),
        ("s3:GetObject", FINAL, False),
        ("s3:GetObject", f"{FINAL}/*.jpg", False),
        ("s3:GetObjectTagging", f"{FINAL}/*", False),
        ("sqs:*", "*", False),
    ],
)
def test_wildcards_and_case_are_iams(
    aws: Aws, put: Callable[[Any], requests.Response], s3: Any, action: str, resource: str, allowed: bool
) -> None:
    s3.put_object(Bucket=aws.final, Key="a/b.png", Body=b"1")
    put(allow((action, resource)))
    assert (error_of(s3.get_object, Bucket=aws.final, Key="a/b.png")[0] == 0) is allowed


def test_a_deny_beats_every_allow(aws: Aws, put: Callable[[Any], requests.Response], s3: Any) -> None:
    policy = allow(("s3:*", "*"))
    policy["Statement"].append({"Effect": "Deny", "Action": ["s3:PutObject"], "Resource": [f"{FINAL}/runs/*"]})
    put(policy)
    assert "explicit deny" in error_of(s3.put_object, Bucket=aws.final, Key="runs/1", Body=b"1")[2]
    assert error_of(s3.put_object, Bucket=aws.final, Key="other", Body=b"1")[0] == 0


def test_a_call_that_is_not_known_is_denied_by_its_name_and_control_pages_never_are(
    aws: Aws, put: Callable[[Any], requests.Response]
) -> None:
    put(allow(("*", "*")))
    for service, operation, action, arguments in (
        ("rekognition", "list_collections", "rekognition:ListCollections", {}),
        ("iam", "list_roles", "iam:ListRoles", {}),
        ("s3", "list_multipart_uploads", f"s3:GET /{aws.final}?uploads", {"Bucket": aws.final}),
        ("s3", "get_object_acl", f"s3:GET /{aws.final}/a?acl", {"Bucket": aws.final, "Key": "a"}),
    ):
        message = error_of(getattr(aws.client(service), operation), **arguments)[2]
        assert f"{action} on resource: * because the embedded AWS does not know what it needs" in message
    put(allow())
    assert aws.model()["status"]
    assert aws.left_faults() == []
    assert requests.delete(f"{aws.endpoint}/_local/policy", timeout=10).json() is None
    aws.client("iam").list_roles()


def test_a_fired_schedule_is_under_the_policy_and_a_denied_call_can_still_be_made_to_fail(
    aws: Aws, put: Callable[[Any], requests.Response]
) -> None:
    arn = SCHEDULE.replace("label-detection-a", "label-detection-denied")
    put(allow(("scheduler:CreateSchedule", arn), ("iam:PassRole", ROLE)))
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:rekognition:stopProjectVersion", "RoleArn": ROLE}
    target |= {"Input": json.dumps({"ProjectVersionArn": aws.model_arn})}
    aws.client("scheduler").create_schedule(
        Name="label-detection-denied",
        ScheduleExpression=at(1),
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target | {"RetryPolicy": {"MaximumRetryAttempts": 0}},
    )

    def attempts() -> list[dict[str, Any]]:
        fired = requests.get(f"{aws.endpoint}/_local/schedules", timeout=10).json()
        return [attempt for entry in fired if entry["arn"] == arn for attempt in entry["attempts"]]

    assert "not authorized to perform: rekognition:StopProjectVersion" in until(attempts, 4)[0]["error"]
    aws.faults(fault("s3", "ListBuckets", status=503))
    assert error_of(aws.client("s3").list_buckets)[:2] == (503, "Broken")


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        pytest.param([], "Version", id="a list"),
        pytest.param({"Statement": []}, "Version", id="no version"),
        pytest.param(allow() | {"Statement": "x"}, "Statement", id="statement is a text"),
        pytest.param(allow() | {"Statements": []}, "Statements", id="unknown member"),
        pytest.param(allow(("s3:GetObject", "*")) | {"Statement": [{"Effect": "allow"}]}, "Effect", id="no effect"),
        pytest.param(allow(("GetObject", "*")), "'GetObject' is not an action", id="action without a service"),
        pytest.param(allow(("s3:GetObject", "bucket/*")), "'bucket/*' is not an ARN", id="no ARN"),
        pytest.param(allow(("s3:GetObject", "arn:aws:s3:::${SOURCE_BUCKET}/*")), "placeholder", id="placeholder"),
        pytest.param(
            {
                "Version": "2012-10-17",
                "Statement": {"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}},
            },
            "statement A has Condition",
            id="condition",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "NotAction": "*", "Resource": "*"}},
            "NotAction",
            id="not action",
        ),
        pytest.param(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*"}}, "Resource", id="no resource"
        ),
    ],
)
def test_a_policy_that_is_not_understood_is_refused_and_changes_nothing(
    aws: Aws, put: Callable[[Any], requests.Response], policy: Any, said: str
) -> None:
    before = allow(("s3:ListAllMyBuckets", "*"))
    assert put(before).json() == before
    answer = put(policy)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert requests.get(f"{aws.endpoint}/_local/policy", timeout=10).json() == before
