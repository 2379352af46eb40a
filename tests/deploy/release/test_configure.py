"""A stack's outputs as options: which states of the stack are accepted, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from deploy.release.configure import AIRFLOW, ConfigureError, options_of, write
from sandbox.environment import PROJECT
from tests.conftest import Aws

OPTIONS = {
    "queue_url": "https://sqs.us-east-1.amazonaws.com/123456789012/pictures",
    "source_bucket": "pictures-in",
    "final_bucket": "pictures-out",
    "model_arn": "arn:aws:rekognition:us-east-1:123456789012:project/parts/version/1/1767225600000",
}


class Stacks:
    """A CloudFormation client with one stack, in any state, whose outputs are these options and the policy."""

    def __init__(self, status: str):
        self.status = status

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        outputs = {name.title().replace("_", ""): value for name, value in OPTIONS.items()}
        outputs["TaskPolicyArn"] = "arn:aws:iam::123456789012:policy/a"
        found = [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()]
        return {"Stacks": [{"StackStatus": self.status, "Outputs": found}]}


@pytest.mark.parametrize(
    "status",
    [
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    ],
)
def test_a_healthy_stacks_outputs_are_options_and_others_are_left_out(status: str) -> None:
    assert options_of("label-detection", Stacks(status)) == OPTIONS


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("CREATE_IN_PROGRESS", "wait until the operation has ended"),
        ("UPDATE_IN_PROGRESS", "wait until the operation has ended"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "wait until the operation has ended"),
        ("REVIEW_IN_PROGRESS", "wait until the operation has ended"),
        ("CREATE_FAILED", "delete it and create it again"),
        ("ROLLBACK_COMPLETE", "delete it and create it again"),
        ("ROLLBACK_FAILED", "delete it and create it again"),
        ("DELETE_FAILED", "delete it and create it again"),
        ("DELETE_IN_PROGRESS", "it is being deleted"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
    ],
)
def test_a_stack_in_another_state_is_refused_with_the_cure(status: str, said: str) -> None:
    with pytest.raises(ConfigureError, match=f"the stack 'label-detection' is in {status}: .*{said}"):
        options_of("label-detection", Stacks(status))


def test_the_options_are_written_as_environment_and_for_mwaa(tmp_path: Path) -> None:
    environment = tmp_path / ".env"
    environment.write_text("MINE=1\nAIRFLOW__LABEL_DETECTION__QUEUE_URL=old\n")
    for _ in range(2):
        write(OPTIONS, tmp_path)
    lines = environment.read_text().splitlines()
    assert lines[0] == "MINE=1"
    assert f"AIRFLOW__LABEL_DETECTION__QUEUE_URL={OPTIONS['queue_url']}" in lines
    assert len(lines) == 1 + len(OPTIONS)
    mwaa = json.loads((tmp_path / "dist" / "mwaa-options.json").read_text())
    assert mwaa == {f"label_detection.{name}": value for name, value in OPTIONS.items()} | AIRFLOW


def test_airflows_own_options_are_what_the_other_ways_to_run_it_set() -> None:
    helm = yaml.safe_load((PROJECT / "deploy" / "helm" / "values.yaml").read_text())["config"]["scheduler"]
    compose = (PROJECT / "docker-compose.yaml").read_text()
    for name, value in AIRFLOW.items():
        section, option = name.split(".")
        assert str(helm[option]) == value
        assert f'AIRFLOW__{section.upper()}__{option.upper()}: "{value}"' in compose


def test_no_such_stack_is_one_clear_error(aws: Aws) -> None:
    with pytest.raises(ConfigureError, match=r"the stack 'nothing' cannot be read: .*does not exist"):
        options_of("nothing")


def test_a_stack_of_another_template_is_refused_with_the_missing_outputs(aws: Aws) -> None:
    template = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "other"}}}}
    boto3.client("cloudformation").create_stack(StackName="other", TemplateBody=json.dumps(template))
    with pytest.raises(
        ConfigureError, match=r"not valid options of the pipeline:\n\[label_detection\] queue_url is missing"
    ):
        options_of("other")
