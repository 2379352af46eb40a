"""A stack whose creation fails is rolled back as in AWS: what stays, and what can be done with it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Aws

STACK = "half-way"


def template(policy: str | None = None, bucket: str = "half-way-bucket", role: str | None = None) -> str:
    """A bucket with a deletion policy, a queue, a role; created in this order."""
    trust = {"Version": "2012-10-17", "Statement": []}
    resources: dict[str, Any] = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "half-way"}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
    }
    if policy:
        resources["Bucket"]["DeletionPolicy"] = policy
    if role:
        resources["Role"]["Properties"]["RoleName"] = role
    return json.dumps({"Resources": resources, "Outputs": {"Bucket": {"Value": {"Ref": "Bucket"}}}})


@pytest.fixture
def stacks(aws: Aws) -> Iterator[Any]:
    client = aws.client("cloudformation")
    yield client
    client.delete_stack(StackName=STACK)


def failing(at: str) -> list[dict[str, str]]:
    return [{"Key": "local-aws:fails-at", "Value": at}]


def status(stacks: Any) -> str:
    (found,) = stacks.describe_stacks(StackName=STACK)["Stacks"]
    assert found.get("Outputs", []) == []
    return str(found["StackStatus"])


def buckets(s3: Any) -> list[str]:
    return [bucket["Name"] for bucket in s3.list_buckets()["Buckets"] if bucket["Name"].startswith("half-way")]


@pytest.mark.parametrize("at", ["Role", "3"], ids=["at a logical id", "at the third resource"])
@pytest.mark.parametrize(
    ("policy", "left"),
    [(None, []), ("RetainExceptOnCreate", []), ("Retain", ["half-way-bucket"])],
    ids=["without a policy", "RetainExceptOnCreate", "Retain"],
)
def test_a_rolled_back_creation_leaves_what_its_deletion_policy_keeps(
    stacks: Any, s3: Any, sqs: Any, policy: str | None, left: list[str], at: str
) -> None:
    stacks.create_stack(StackName=STACK, TemplateBody=template(policy), Tags=failing(at))
    assert status(stacks) == "ROLLBACK_COMPLETE"
    assert buckets(s3) == left
    assert sqs.list_queues(QueueNamePrefix="half-way").get("QueueUrls", []) == []
    events = stacks.describe_stack_events(StackName=STACK)["StackEvents"]
    assert [one["LogicalResourceId"] for one in events if one["ResourceStatus"] == "CREATE_FAILED"] == ["Role"]
    stacks.delete_stack(StackName=STACK)
    for bucket in left:
        s3.delete_bucket(Bucket=bucket)


def test_a_rolled_back_stack_can_only_be_deleted_and_then_be_made_again(stacks: Any, s3: Any) -> None:
    stacks.create_stack(StackName=STACK, TemplateBody=template(), Tags=failing("Queue"))
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        stacks.update_stack(StackName=STACK, TemplateBody=template())
    with pytest.raises(ClientError, match="already exists"):
        stacks.create_stack(StackName=STACK, TemplateBody=template())
    stacks.delete_stack(StackName=STACK)
    stacks.create_stack(StackName=STACK, TemplateBody=template())
    assert buckets(s3) == ["half-way-bucket"]
    stacks.delete_stack(StackName=STACK)


def test_a_bucket_that_is_there_fails_the_creation_and_is_not_touched(stacks: Any, s3: Any) -> None:
    s3.create_bucket(Bucket="half-way-there")
    s3.put_object(Bucket="half-way-there", Key="a", Body=b"1")
    stacks.create_stack(StackName=STACK, TemplateBody=template(bucket="half-way-there"))
    assert status(stacks) == "ROLLBACK_COMPLETE"
    stacks.delete_stack(StackName=STACK)
    assert s3.get_object(Bucket="half-way-there", Key="a")["Body"].read() == b"1"
    s3.delete_object(Bucket="half-way-there", Key="a")
    s3.delete_bucket(Bucket="half-way-there")


def test_a_bucket_that_came_before_a_change_set_was_executed_fails_it(stacks: Any, s3: Any) -> None:
    change_set = {"StackName": STACK, "ChangeSetName": "deploy"}
    stacks.create_change_set(**change_set, ChangeSetType="CREATE", TemplateBody=template(bucket="half-way-full"))
    s3.create_bucket(Bucket="half-way-full")
    stacks.execute_change_set(**change_set)
    assert status(stacks) == "ROLLBACK_COMPLETE"
    stacks.delete_stack(StackName=STACK)
    s3.delete_bucket(Bucket="half-way-full")


def test_names_of_roles_are_one_for_all_regions(aws: Aws, stacks: Any) -> None:
    elsewhere = replace(aws, env={**aws.env, "AWS_DEFAULT_REGION": "eu-west-1"})
    other = elsewhere.client("cloudformation")
    stacks.create_stack(StackName=STACK, TemplateBody=template(role="half-way"))
    other.create_stack(StackName=STACK, TemplateBody=template(bucket="half-way-other", role="half-way"))
    assert status(other) == "ROLLBACK_COMPLETE"
    other.delete_stack(StackName=STACK)


@pytest.mark.parametrize("policy", ["RetainExceptOnCreate", "Retain"])
def test_a_stack_that_is_deleted_keeps_its_bucket(stacks: Any, s3: Any, policy: str) -> None:
    stacks.create_stack(StackName=STACK, TemplateBody=template(policy))
    stacks.delete_stack(StackName=STACK)
    assert buckets(s3) == ["half-way-bucket"]
    s3.delete_bucket(Bucket="half-way-bucket")


def test_a_change_set_that_makes_a_stack_is_rolled_back_too(stacks: Any, s3: Any) -> None:
    change_set = {"StackName": STACK, "ChangeSetName": "deploy"}
    stacks.create_change_set(
        **change_set, ChangeSetType="CREATE", TemplateBody=template("RetainExceptOnCreate"), Tags=failing("Role")
    )
    stacks.execute_change_set(**change_set)
    assert (status(stacks), buckets(s3)) == ("ROLLBACK_COMPLETE", [])
    stacks.delete_stack(StackName=STACK)


def test_a_policys_update_is_a_new_version_of_it(aws: Aws, stacks: Any) -> None:
    def body(action: str) -> str:
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [statement]}
        properties = {"ManagedPolicyName": "half-way", "PolicyDocument": document}
        return json.dumps({"Resources": {"Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}}})

    iam = aws.client("iam")
    stacks.create_stack(StackName=STACK, TemplateBody=body("s3:GetObject"))
    stacks.update_stack(StackName=STACK, TemplateBody=body("s3:PutObject"))
    arn = "arn:aws:iam::123456789012:policy/half-way"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    assert (version, document["Statement"][0]["Action"]) == ("v2", "s3:PutObject")
    stacks.delete_stack(StackName=STACK)
