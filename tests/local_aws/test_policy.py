"""An IAM policy in force: its meaning, refused policies, and the calls that it applies to."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.local_aws.conftest import Aws, until
from tests.local_aws.policies import FINAL, ROLE, SCHEDULE, allow, error_of
from tests.local_aws.test_faults import fault
from tests.local_aws.test_scheduler import at


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
        assert (
            f"{action} on resource: * because the embedded AWS does not know the permissions of this operation"
            in message
        )
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

    assert "not authorized to perform: rekognition:StopProjectVersion" in until(attempts)[0]["error"]
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
                "Statement": {"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {}}},
            },
            "statement A has a Condition that the embedded AWS does not support",
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
def test_an_unsupported_policy_is_refused_and_changes_nothing(
    aws: Aws, put: Callable[[Any], requests.Response], policy: Any, said: str
) -> None:
    before = allow(("s3:ListAllMyBuckets", "*"))
    assert put(before).json() == before
    answer = put(policy)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert requests.get(f"{aws.endpoint}/_local/policy", timeout=10).json() == before
