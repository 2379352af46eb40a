"""Create a stack again: after a failed creation, after a deletion, in a second Region; see docs/remaking.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from sandbox.environment import PROJECT, PYTHONPATH
from tests.conftest import Aws
from tests.deploy.cloudformation.test_template import TEMPLATE, announced

PAGE = (PROJECT / "docs" / "remaking.md").read_text()
#: Runs the page's commands; its `aws` is tests/deploy/cloudformation/aws_command.py.
_AWS = 'aws() { "$PYTHON" -m tests.deploy.cloudformation.aws_command "$@"; }'
REGIONS = ("us-east-1", "eu-west-1")
Shell = Callable[..., str]


def commands(section: str) -> str:
    """All commands of a section of the page."""
    text = PAGE.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    return "\n".join(re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def status(stack: str) -> str:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return str(found["StackStatus"])


def outputs(stack: str, region: str = "us-east-1") -> dict[str, str]:
    (found,) = boto3.client("cloudformation", region_name=region).describe_stacks(StackName=stack)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}


@pytest.fixture
def stack(aws: Aws, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new stack name. The stack is deleted at the end, in both Regions."""
    name = f"remade-{abs(hash(request.node.name)) % 10**8}"
    yield name
    for region in REGIONS:
        boto3.client("cloudformation", region_name=region).delete_stack(StackName=name)


@pytest.fixture
def shell(aws: Aws, stack: str, tmp_path: Path) -> Shell:
    """Runs commands of the page, with the names of its first block."""
    (tmp_path / "deploy").symlink_to(PROJECT / "deploy")

    def shell(text: str, **names: str) -> str:
        given = {"STACK": stack, "MODEL_ARN": aws.settings.model_arn, "PYTHON": sys.executable, **names}
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", f"{_AWS}\n{text}"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": PYTHONPATH, **given},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return shell


def create(stack: str, region: str = "us-east-1", tags: dict[str, str] | None = None, **parameters: str) -> None:
    boto3.client("cloudformation", region_name=region).create_stack(
        StackName=stack,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
    )


def left_of(stack: str) -> list[str]:
    """Names of the remaining resources that contain the stack's name."""
    iam = boto3.client("iam")
    names = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    names += boto3.client("sqs").list_queues(QueueNamePrefix=stack).get("QueueUrls", [])
    names += [topic["TopicArn"] for topic in boto3.client("sns").list_topics()["Topics"]]
    names += [role["RoleName"] for role in iam.list_roles()["Roles"]]
    names += [policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]]
    names += [alarm["AlarmName"] for alarm in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]]
    return [name for name in names if stack in name]


@pytest.mark.parametrize(
    "at", ["DeadLetters", "SourceBucket", "FinalBucketPolicy", "SwitchRole", "TaskPolicy", "ModelOnTooLong"]
)
def test_a_first_creation_that_fails_leaves_nothing_and_the_pages_commands_make_the_stack(
    aws: Aws, stack: str, shell: Shell, at: str
) -> None:
    create(stack, tags={"local-aws:fails-at": at}, ModelArn=aws.settings.model_arn)
    assert (status(stack), left_of(stack)) == ("ROLLBACK_COMPLETE", [])
    printed = shell(commands("The first creation failed"))
    assert printed.split("\t")[0] == at
    assert status(stack) == "CREATE_COMPLETE"


def test_a_stack_made_again_after_a_deletion_labels_what_the_kept_bucket_announces(
    aws: Aws, stack: str, shell: Shell
) -> None:
    create(stack, ModelArn=aws.settings.model_arn)
    before, s3 = outputs(stack), boto3.client("s3")
    s3.put_object(Bucket=before["SourceBucket"], Key="waits.png", Body=b"1")
    boto3.client("cloudformation").delete_stack(StackName=stack)
    names = {"pictures-in": before["SourceBucket"], "pictures-out": before["FinalBucket"]}
    text = commands("The stack was deleted")
    for example, name in names.items():
        text = text.replace(example, name)
    shell(text)
    after = outputs(stack)
    assert [after[name] for name in ("SourceBucket", "FinalBucket")] == [*names.values()]
    announced(after["QueueUrl"])
    suffixes = ("png", "jpg", "jpeg", "PNG", "JPG", "JPEG")
    for suffix in (*suffixes, "txt"):
        s3.put_object(Bucket=before["SourceBucket"], Key=f"new.{suffix}", Body=b"1")
    assert announced(after["QueueUrl"]) == sorted(f"new.{suffix}" for suffix in suffixes)
    assert s3.get_object(Bucket=before["SourceBucket"], Key="waits.png")["Body"].read() == b"1"
    for bucket in names.values():  # the bucket's TLS policy was kept with it
        assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]


def test_a_stack_made_again_under_the_same_names_fails_and_the_kept_buckets_are_not_touched(
    aws: Aws, stack: str
) -> None:
    create(stack, ModelArn=aws.settings.model_arn)
    before, s3 = outputs(stack), boto3.client("s3")
    s3.put_object(Bucket=before["SourceBucket"], Key="waits.png", Body=b"1")
    boto3.client("cloudformation").delete_stack(StackName=stack)
    create(stack, ModelArn=aws.settings.model_arn)
    assert status(stack) == "ROLLBACK_COMPLETE"
    assert s3.get_object(Bucket=before["SourceBucket"], Key="waits.png")["Body"].read() == b"1"


def test_one_name_in_two_regions_is_two_stacks(aws: Aws, stack: str) -> None:
    for region in REGIONS:
        create(stack, region, ModelArn=aws.settings.model_arn.replace("us-east-1", region))
    here, there = (outputs(stack, region) for region in REGIONS)
    for name in ("SourceBucket", "FinalBucket", "TaskPolicyArn", "DeadManSwitchRoleArn"):
        assert here[name] != there[name]
    assert here["SourceBucket"] == f"{stack}-source-123456789012-us-east-1"


def test_a_stack_of_an_earlier_version_is_updated_and_keeps_its_names(aws: Aws, stack: str, shell: Shell) -> None:
    """It has empty names, which was their default."""
    create(stack, ModelArn=aws.settings.model_arn, SourceBucketName="", FinalBucketName="")
    before = outputs(stack)
    assert before["SourceBucket"] == f"{stack}-source-123456789012"
    assert before["TaskPolicyArn"] == f"arn:aws:iam::123456789012:policy/{stack}-tasks"
    assert before["DeadManSwitchRoleArn"] == f"arn:aws:iam::123456789012:role/{stack}-switch"
    deploy = next(line for line in re.split(r"(?<!\\)\n", commands("The first creation failed")) if " deploy " in line)
    shell(f"{deploy} DaysOfRuns=90")
    assert status(stack) == "UPDATE_COMPLETE"
    assert outputs(stack) == before
    rules: Any = boto3.client("s3").get_bucket_lifecycle_configuration(Bucket=before["FinalBucket"])["Rules"]
    assert rules[0]["Expiration"]["Days"] == 90


def test_the_first_block_names_what_the_others_use() -> None:
    first = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]
    assert re.findall(r"^(?:export )?(\w+)=", first, re.MULTILINE) == ["AWS_REGION", "STACK", "MODEL_ARN"]


def test_a_stack_in_another_partition_names_only_that_partition(aws: Aws, stack: str) -> None:
    region, arn = "cn-north-1", "arn:aws-cn:rekognition:cn-north-1:123456789012:project/parts/version/1/1767225600000"
    create(stack, region, ModelArn=arn)
    stacks, iam = boto3.client("cloudformation", region_name=region), boto3.client("iam", region_name=region)
    policy = outputs(stack, region)["TaskPolicyArn"]
    version = iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
    document = json.dumps(iam.get_policy_version(PolicyArn=policy, VersionId=str(version))["PolicyVersion"]["Document"])
    assert "arn:aws-cn:s3:::" in document
    assert "arn:aws:" not in document
    stacks.delete_stack(StackName=stack)
