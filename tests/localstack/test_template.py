"""The template of the cloud side, deployed into LocalStack; its resources work together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from label_detection_core.queue.messages import read
from sandbox.waiting import wait_until
from tests.localstack.server import Aws
from tests.localstack.stack import Stack, make

ROLE = "label-detection-workers"
_NUMBERS = itertools.count()
VARIANTS = {
    "as it is": {},
    "all names given": {"SourceBucketName": "own-source", "FinalBucketName": "own-final", "QueueName": "own-queue"},
    "old versions, mail, the workers' role": {
        "Versioning": "yes",
        "AlarmEmail": "me@example.com",
        "TaskRoleName": ROLE,
    },
    "a SageMaker model": {"ModelArn": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/parts"},
}
Deploy = Callable[..., Stack]


@pytest.fixture
def deploy(localstack: Aws) -> Iterator[Deploy]:
    """Makes stacks of the template. They are deleted after the test."""
    iam = localstack.client("iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    made: list[Stack] = []

    def deploy(**parameters: str) -> Stack:
        made.append(make(localstack, f"stack-{next(_NUMBERS)}", **parameters))
        return made[-1]

    yield deploy
    for stack in made:
        if stack.status():
            stack.delete()
    iam.delete_role(RoleName=ROLE)


@pytest.mark.parametrize("parameters", VARIANTS.values(), ids=VARIANTS)
def test_a_stack_is_created_and_its_outputs_are_the_options(deploy: Deploy, parameters: dict[str, str]) -> None:
    stack = deploy(**parameters)
    assert stack.status() == "CREATE_COMPLETE"
    options = stack.options()
    assert options["model_arn"] == parameters.get("ModelArn", stack.aws.model_arn)
    assert ("ModelOnTooLong" in stack.resources()) == ("ModelArn" not in parameters)
    for bucket in (options["source_bucket"], options["final_bucket"]):
        stack.aws.s3.head_bucket(Bucket=bucket)


def test_its_source_bucket_announces_pictures_and_nothing_else(deploy: Deploy) -> None:
    stack = deploy()
    assert stack.status() == "CREATE_COMPLETE"
    bucket, queue = stack.options()["source_bucket"], stack.options()["queue_url"]
    for key in ("a.png", "notes.txt", "line 3/b+é.JPG", "c.jpeg", "d.tiff"):
        stack.aws.s3.put_object(Bucket=bucket, Key=key, Body=b"a picture")
    announced: set[str] = set()

    def receive() -> bool:
        for message in stack.aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            announced.update(image.key for image in read(message["Body"]).images)
        return len(announced) >= 3

    wait_until(receive, 30, "three announcements")
    assert announced == {"a.png", "line 3/b+é.JPG", "c.jpeg"}


def test_the_role_of_the_workers_gets_the_policy_of_the_tasks(deploy: Deploy) -> None:
    stack = deploy(TaskRoleName=ROLE)
    assert stack.status() == "CREATE_COMPLETE"
    attached = stack.aws.client("iam").list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [stack.resources()["TaskPolicy"]]


def test_a_stack_that_was_deleted_can_be_made_again(deploy: Deploy, localstack: Aws) -> None:
    stack = deploy()
    assert stack.status() == "CREATE_COMPLETE"
    stack.delete()
    again = make(localstack, stack.name)
    assert again.status() == "CREATE_COMPLETE"
    assert again.options() == stack.options()
