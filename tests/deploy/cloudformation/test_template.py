"""The template of the cloud side, deployed into the embedded AWS: its options, its policy, and what it keeps."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.release.configure import options_of
from label_detection_core.config.settings import Settings
from sandbox.environment import PROJECT
from tests.conftest import Aws
from tests.core.queues import receive
from tests.permissions.policy import KMS_KEY, grants

TEMPLATE = PROJECT / "deploy" / "cloudformation" / "template.yaml"
BOTH = (TEMPLATE, TEMPLATE.with_name("mwaa.yaml"))
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Stack:
    """A created stack."""

    name: str
    options: dict[str, str]

    def resources(self) -> dict[str, str]:
        """Physical ids by logical id; resources that were not created are missing."""
        found = boto3.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if "LogicalResourceId" in one}

    def outputs(self) -> dict[str, str]:
        """Output values by name."""
        (found,) = boto3.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}


Deploy = Callable[..., Stack]
#: A model of each service that the template supports; None: the tests' own.
MODELS = {"rekognition": None, "sagemaker": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/parts"}


@pytest.fixture
def deploy(aws: Aws) -> Iterator[Deploy]:
    """Deploys the template; arguments replace the usual parameters."""
    rekognition, stacks = boto3.client("rekognition"), boto3.client("cloudformation")
    (project,) = rekognition.describe_projects()["ProjectDescriptions"]
    made: list[str] = []

    def deploy(**parameters: str) -> Stack:
        name = f"stack-{next(_NUMBERS)}"
        given = {"ModelArn": aws.settings.model_arn, "ProjectArn": project["ProjectArn"], **parameters}
        stacks.create_stack(
            StackName=name,
            TemplateBody=TEMPLATE.read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        made.append(name)
        return Stack(name, options_of(name))

    yield deploy
    for name in made:
        stacks.delete_stack(StackName=name)


def announced(queue_url: str) -> list[str]:
    """The keys announced since the last call. A message that SQS delivers twice counts once."""
    sqs = boto3.client("sqs")
    bodies = {}
    while messages := sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
        "Messages"
    ):
        for message in messages:
            bodies[message["MessageId"]] = json.loads(message["Body"])
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return sorted(record["s3"]["object"]["key"] for body in bodies.values() for record in body.get("Records", []))


@pytest.mark.parametrize("template", BOTH, ids=lambda path: path.name)
def test_the_linter_has_no_finding(template: Path) -> None:
    command = [str(Path(sys.executable).parent / "cfn-lint"), str(template)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("template", BOTH, ids=lambda path: path.name)
def test_every_resource_has_its_reason_before_it(template: Path) -> None:
    lines = template.read_text().split("\nResources:\n")[1].split("\nOutputs:\n")[0].splitlines()
    without = [
        line for before, line in itertools.pairwise(["", *lines]) if re.match(r"  \w", line) and "  # " not in before
    ]
    assert without == []


def test_the_stacks_outputs_are_named_as_options(deploy: Deploy) -> None:
    options = deploy().options
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert options.keys() == required | {"sns_topic_arn", "dead_man_switch_role_arn"}


def test_pictures_are_announced_and_nothing_else(deploy: Deploy) -> None:
    options, s3 = deploy().options, boto3.client("s3")
    pictures = [f"a.{suffix}" for suffix in ("png", "jpg", "jpeg", "PNG", "JPG", "JPEG")]
    for key in [*pictures, "a.txt", "a.png.json"]:
        s3.put_object(Bucket=options["source_bucket"], Key=key, Body=b"1")
        s3.put_object(Bucket=options["final_bucket"], Key=key, Body=b"1")
    assert announced(options["queue_url"]) == sorted(pictures)


@pytest.mark.parametrize("bucket", ["source_bucket", "final_bucket"])
def test_buckets_are_encrypted_private_and_require_tls(deploy: Deploy, bucket: str) -> None:
    name, s3 = deploy().options[bucket], boto3.client("s3")
    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert set(statement["Resource"]) == {f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"}


def test_s3_may_send_for_that_one_bucket(deploy: Deploy) -> None:
    options, names = deploy().options, ["All"]
    attributes = boto3.client("sqs").get_queue_attributes(
        QueueUrl=options["queue_url"],
        AttributeNames=names,  # type: ignore[arg-type]
    )["Attributes"]
    allow, deny = json.loads(attributes["Policy"])["Statement"]
    assert (allow["Principal"], allow["Action"]) == ({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
    assert allow["Condition"]["ArnEquals"] == {"aws:SourceArn": f"arn:aws:s3:::{options['source_bucket']}"}
    assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    redrive = json.loads(attributes["RedrivePolicy"])
    assert redrive["maxReceiveCount"] > 10 * Settings.model_fields["max_receives"].default


def test_a_dead_letter_is_kept_for_days_after_its_message_ran_out_of_deliveries(deploy: Deploy) -> None:
    stack, sqs = deploy(), boto3.client("sqs")
    queue, dead_letters = (
        int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["MessageRetentionPeriod"])
        for url in (stack.options["queue_url"], stack.resources()["DeadLetters"])
    )
    days = 86400  # both times count from when a message was first sent
    assert dead_letters - queue >= 7 * days


def test_the_queues_policy_names_the_bucket_that_is_there_already(aws: Aws, deploy: Deploy) -> None:
    url = deploy(ExistingSourceBucket=aws.settings.source_bucket).options["queue_url"]
    policy = boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    assert f"arn:aws:s3:::{aws.settings.source_bucket}" in policy


def test_reports_go_after_their_time_and_labels_stay(deploy: Deploy) -> None:
    rules = boto3.client("s3").get_bucket_lifecycle_configuration(
        Bucket=deploy(DaysOfRuns="90").options["final_bucket"]
    )["Rules"]
    assert [(rule["Filter"], rule["Expiration"]) for rule in rules] == [({"Prefix": "runs/"}, {"Days": 90})]


@pytest.mark.parametrize("versioning", ["yes", "no"])
def test_old_versions_are_kept_on_request(deploy: Deploy, versioning: str) -> None:
    options, s3 = deploy(Versioning=versioning).options, boto3.client("s3")
    for bucket in ("source_bucket", "final_bucket"):
        status = s3.get_bucket_versioning(Bucket=options[bucket]).get("Status")
        assert status == ("Enabled" if versioning == "yes" else None)


@pytest.mark.parametrize("key", ["", KMS_KEY], ids=["without a key", "with a key"])
@pytest.mark.parametrize(("service", "model_arn"), MODELS.items(), ids=MODELS)
def test_the_tasks_policy_equals_the_one_in_the_docs(
    deploy: Deploy, service: str, model_arn: str | None, key: str
) -> None:
    model = {"ModelArn": model_arn, "ProjectArn": ""} if model_arn else {}
    stack, iam = deploy(KmsKeyArns=key, **model), boto3.client("iam")
    options = stack.options
    names = {
        "PARTITION": "aws",
        "KMS_KEY_ARN": key,
        "QUEUE_ARN": f"arn:aws:sqs:us-east-1:123456789012:{options['queue_url'].rpartition('/')[2]}",
        "SOURCE_BUCKET": options["source_bucket"],
        "FINAL_BUCKET": options["final_bucket"],
        "MODEL_ARN": options["model_arn"],
        "PROJECT_ARN": boto3.client("rekognition").describe_projects()["ProjectDescriptions"][0]["ProjectArn"],
        "SWITCH_ROLE_ARN": options["dead_man_switch_role_arn"],
        "TOPIC_ARN": options["sns_topic_arn"],
    }
    arn = stack.resources()["TaskPolicy"]
    assert stack.outputs()["TaskPolicyArn"] == arn
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    assert version
    document: Any = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    found = {
        (statement["Sid"], action, resource, json.dumps(statement.get("Condition", {})))
        for statement in document["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
    }
    asked = [grant for grant in grants(service) if key or grant.sid != "OptionalKey"]
    wanted = {(grant.sid, grant.action, _named(grant.resource, names), grant.condition) for grant in asked}
    assert found == wanted
    assert len(document["Statement"]) == len({grant.sid for grant in asked})


@pytest.mark.parametrize(
    ("model_arn", "action", "resource"),
    [
        (None, "rekognition:StopProjectVersion", None),
        (MODELS["sagemaker"], "sagemaker:DeleteEndpoint", "arn:aws:sagemaker:*:*:endpoint/label-detection-*"),
    ],
    ids=MODELS,
)
def test_the_switchs_role_is_schedulers_and_stops_such_a_model_alone(
    deploy: Deploy, model_arn: str | None, action: str, resource: str | None
) -> None:
    stack, iam = deploy(**({"ModelArn": model_arn, "ProjectArn": ""} if model_arn else {})), boto3.client("iam")
    name = stack.resources()["SwitchRole"]
    role: Any = iam.get_role(RoleName=name)["Role"]
    assert role["Arn"] == stack.options["dead_man_switch_role_arn"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    policy: Any = iam.get_role_policy(RoleName=name, PolicyName="stop-the-model")["PolicyDocument"]
    policy = ast.literal_eval(policy) if isinstance(policy, str) else policy  # moto stores it in Python's format
    assert policy["Statement"] == [
        {"Effect": "Allow", "Action": action, "Resource": resource or stack.options["model_arn"]}
    ]


def test_the_alarms_publish_to_the_topic(deploy: Deploy) -> None:
    stack = deploy(AlarmEmail="team@example.com", AlarmMinutesOn="90", EndpointName="label-detection-parts-1f0c9a7b")
    alarms = boto3.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{stack.name}-")["MetricAlarms"]
    assert {alarm["AlarmName"].removeprefix(f"{stack.name}-") for alarm in alarms} == {
        "pictures-wait",
        "dead-letters",
        "model-on-too-long",
        "endpoint-on-too-long",
        "switch-fails",
    }
    assert all(alarm["AlarmActions"] == [stack.options["sns_topic_arn"]] for alarm in alarms)
    (on,) = [alarm for alarm in alarms if alarm["AlarmName"].endswith("model-on-too-long")]
    assert (on["MetricName"], on["EvaluationPeriods"], on["Period"]) == ("InServiceInferenceUnits", 90, 60)
    assert {one["Name"]: one["Value"] for one in on["Dimensions"]} == {
        "ProjectName": "label-detection",
        "VersionName": "1",
    }
    (heard,) = boto3.client("sns").list_subscriptions_by_topic(TopicArn=stack.options["sns_topic_arn"])["Subscriptions"]
    assert (heard["Protocol"], heard["Endpoint"]) == ("email", "team@example.com")


def test_existing_resources_are_used_and_not_changed(aws: Aws, deploy: Deploy) -> None:
    there = aws.settings
    queue = there.queue_url.rpartition("/")[2]
    stack = deploy(
        ExistingSourceBucket=there.source_bucket, ExistingFinalBucket=there.final_bucket, ExistingQueue=queue
    )
    assert {"SourceBucket", "FinalBucket", "Queue", "QueuePolicy", "DeadLetters"}.isdisjoint(stack.resources())
    assert (stack.options["source_bucket"], stack.options["final_bucket"]) == (there.source_bucket, there.final_bucket)
    assert stack.options["queue_url"].endswith(f"/123456789012/{queue}")
    aws.upload("a.png", b"1")
    assert len(receive(aws)) == 1


def test_buckets_stay_when_the_stack_goes(deploy: Deploy) -> None:
    stack, s3 = deploy(), boto3.client("s3")
    s3.put_object(Bucket=stack.options["source_bucket"], Key="a.png", Body=b"1")
    boto3.client("cloudformation").delete_stack(StackName=stack.name)
    assert s3.get_object(Bucket=stack.options["source_bucket"], Key="a.png")["Body"].read() == b"1"
    s3.head_bucket(Bucket=stack.options["final_bucket"])


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _named(resource: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        resource = resource.replace(f"${{{name}}}", value)
    return resource
