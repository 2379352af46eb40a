"""The template of the cloud side, deployed into the embedded AWS; its options, its policy, and what it keeps."""

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

from demo.environment import PROJECT
from include.settings import Settings
from release.configure import ConfigureError, options_of, write
from tests.conftest import Aws
from tests.include.queues import receive
from tests.permissions.policy import grants

TEMPLATE = PROJECT / "include" / "cloudformation" / "template.yaml"
BOTH = (TEMPLATE, TEMPLATE.with_name("mwaa.yaml"))
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Stack:
    """A stack that was made."""

    name: str
    options: dict[str, str]

    def resources(self) -> dict[str, str]:
        """Physical ids by logical ones; those that were not made are not there."""
        found = boto3.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if "LogicalResourceId" in one}


Deploy = Callable[..., Stack]
#: A model of each service that the template is for; None: the tests' own.
MODELS = {"rekognition": None, "sagemaker": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/parts"}


@pytest.fixture
def deploy(aws: Aws) -> Iterator[Deploy]:
    """Deploy the template, with other parameters than the usual."""
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
    """The keys that were announced since the last look; a message that SQS delivers twice is one."""
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
def test_the_linter_has_nothing_to_say(template: Path) -> None:
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


def test_its_outputs_are_options_by_their_names(deploy: Deploy) -> None:
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
def test_buckets_are_encrypted_closed_and_want_tls(deploy: Deploy, bucket: str) -> None:
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


def test_reports_go_after_their_time_and_labels_stay(deploy: Deploy) -> None:
    rules = boto3.client("s3").get_bucket_lifecycle_configuration(
        Bucket=deploy(DaysOfRuns="90").options["final_bucket"]
    )["Rules"]
    assert [(rule["Filter"], rule["Expiration"]) for rule in rules] == [({"Prefix": "runs/"}, {"Days": 90})]


@pytest.mark.parametrize("versioning", ["yes", "no"])
def test_versions_are_kept_where_that_is_wanted(deploy: Deploy, versioning: str) -> None:
    options, s3 = deploy(Versioning=versioning).options, boto3.client("s3")
    for bucket in ("source_bucket", "final_bucket"):
        status = s3.get_bucket_versioning(Bucket=options[bucket]).get("Status")
        assert status == ("Enabled" if versioning == "yes" else None)


@pytest.mark.parametrize(("service", "model_arn"), MODELS.items(), ids=MODELS)
def test_the_tasks_may_do_what_the_documents_policy_says(deploy: Deploy, service: str, model_arn: str | None) -> None:
    stack, iam = deploy(**({"ModelArn": model_arn, "ProjectArn": ""} if model_arn else {})), boto3.client("iam")
    options = stack.options
    names = {
        "QUEUE_ARN": f"arn:aws:sqs:us-east-1:123456789012:{options['queue_url'].rpartition('/')[2]}",
        "SOURCE_BUCKET": options["source_bucket"],
        "FINAL_BUCKET": options["final_bucket"],
        "MODEL_ARN": options["model_arn"],
        "PROJECT_ARN": boto3.client("rekognition").describe_projects()["ProjectDescriptions"][0]["ProjectArn"],
        "SWITCH_ROLE_ARN": options["dead_man_switch_role_arn"],
        "TOPIC_ARN": options["sns_topic_arn"],
    }
    arn = stack.resources()["TaskPolicy"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    assert version
    document: Any = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    found = {
        (statement["Sid"], action, resource)
        for statement in document["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
    }
    wanted = {(grant.sid, grant.action, _named(grant.resource, names)) for grant in grants(service)}
    assert found == wanted
    assert len(document["Statement"]) == len({grant.sid for grant in grants(service)})


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
    role: Any = iam.get_role(RoleName=f"{stack.name}-switch")["Role"]
    assert role["Arn"] == stack.options["dead_man_switch_role_arn"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    policy: Any = iam.get_role_policy(RoleName=f"{stack.name}-switch", PolicyName="stop-the-model")["PolicyDocument"]
    policy = ast.literal_eval(policy) if isinstance(policy, str) else policy  # moto keeps it as Python prints it
    assert policy["Statement"] == [
        {"Effect": "Allow", "Action": action, "Resource": resource or stack.options["model_arn"]}
    ]


def test_its_alarms_are_heard_on_the_topic(deploy: Deploy) -> None:
    stack = deploy(AlarmEmail="team@example.com", AlarmMinutesOn="90")
    alarms = boto3.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{stack.name}-")["MetricAlarms"]
    assert {alarm["AlarmName"].removeprefix(f"{stack.name}-") for alarm in alarms} == {
        "pictures-wait",
        "dead-letters",
        "model-on-too-long",
    }
    assert all(alarm["AlarmActions"] == [stack.options["sns_topic_arn"]] for alarm in alarms)
    (on,) = [alarm for alarm in alarms if alarm["AlarmName"].endswith("on-too-long")]
    assert (on["MetricName"], on["EvaluationPeriods"], on["Period"]) == ("InServiceInferenceUnits", 90, 60)
    assert {one["Name"]: one["Value"] for one in on["Dimensions"]} == {
        "ProjectName": "label-detection",
        "VersionName": "1",
    }
    (heard,) = boto3.client("sns").list_subscriptions_by_topic(TopicArn=stack.options["sns_topic_arn"])["Subscriptions"]
    assert (heard["Protocol"], heard["Endpoint"]) == ("email", "team@example.com")


def test_what_is_there_already_is_taken_and_not_touched(aws: Aws, deploy: Deploy) -> None:
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


def test_a_stacks_outputs_are_written_as_environment_and_for_mwaa(deploy: Deploy, tmp_path: Path) -> None:
    options = deploy().options
    environment = tmp_path / ".env"
    environment.write_text("MINE=1\nAIRFLOW__LABEL_DETECTION__QUEUE_URL=old\n")
    for _ in range(2):
        write(options, tmp_path)
    lines = environment.read_text().splitlines()
    assert lines[0] == "MINE=1"
    assert f"AIRFLOW__LABEL_DETECTION__QUEUE_URL={options['queue_url']}" in lines
    assert len(lines) == 1 + len(options)
    mwaa = json.loads((tmp_path / "dist" / "mwaa-options.json").read_text())
    assert mwaa["label_detection.model_arn"] == options["model_arn"]


def test_no_such_stack_is_one_clear_error(aws: Aws) -> None:
    with pytest.raises(ConfigureError, match=r"the stack 'nothing' cannot be read: .*does not exist"):
        options_of("nothing")


def test_a_stack_of_something_else_is_told_what_is_missing(aws: Aws) -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "other"}}}}
    boto3.client("cloudformation").create_stack(StackName="other", TemplateBody=json.dumps(template))
    with pytest.raises(ConfigureError, match=r"not the pipeline's options:\n\[label_detection\] queue_url is missing"):
        options_of("other")


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _named(resource: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        resource = resource.replace(f"${{{name}}}", value)
    return resource
