"""The README says what is true: its options are the settings', its commands run, its permissions the calls made."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from label_detection import metrics
from label_detection_core.config import pipelines
from label_detection_core.config.settings import options_table
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text()
GATE = (PROJECT / ".ci" / "run").read_text()

#: IAM's names for what our clients call; the others' actions are named like the call.
ACTIONS = {
    "head_bucket": {"s3:ListBucket"},
    "get_bucket_request_payment": set(),  # where it is allowed; the run goes on without an answer
    "head_object": {"s3:GetObject", "s3:ListBucket"},
    "get_object": {"s3:GetObject", "kms:Decrypt"},
    "generate_presigned_url": {"s3:GetObject"},  # of a picture, for a browser
    "list_objects_v2": {"s3:ListBucket"},
    "put_object": {"s3:PutObject", "kms:GenerateDataKey"},
    "delete_object": {"s3:DeleteObject"},
    "copy_object": {
        *("s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectAnnotation"),
        *("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAnnotation"),
    },
    "get_queue_attributes": {"sqs:GetQueueAttributes"},
    "receive_message": {"sqs:ReceiveMessage"},
    "delete_message_batch": {"sqs:DeleteMessage"},
    "send_message_batch": {"sqs:SendMessage"},
    "change_message_visibility_batch": {"sqs:ChangeMessageVisibility"},
    "describe_projects": {"rekognition:DescribeProjects"},
    "describe_project_versions": {"rekognition:DescribeProjectVersions"},
    "start_project_version": {"rekognition:StartProjectVersion"},
    "stop_project_version": {"rekognition:StopProjectVersion"},
    "detect_custom_labels": {"rekognition:DetectCustomLabels"},
    "describe_endpoint": {"sagemaker:DescribeEndpoint"},
    "describe_endpoint_config": {"sagemaker:DescribeEndpointConfig"},
    "create_endpoint": {"sagemaker:CreateEndpoint"},
    "delete_endpoint": {"sagemaker:DeleteEndpoint"},
    "invoke_endpoint": {"sagemaker:InvokeEndpoint"},
    "describe_model": {"lookoutvision:DescribeModel"},
    "start_model": {"lookoutvision:StartModel"},
    "stop_model": {"lookoutvision:StopModel"},
    "detect_anomalies": {"lookoutvision:DetectAnomalies"},
    "create_schedule": {"scheduler:CreateSchedule", "iam:PassRole"},
    "update_schedule": {"scheduler:UpdateSchedule", "iam:PassRole"},
    "delete_schedule": {"scheduler:DeleteSchedule"},
    "publish": {"sns:Publish"},
    "get_metric_statistics": {"cloudwatch:GetMetricStatistics"},
}
CLIENTS = {"s3", "_s3", "sqs", "_sqs", "sns", "cloudwatch", "scheduler", "api", "runtime"}


def between(start: str, end: str) -> str:
    return README.split(start, 1)[1].split(end, 1)[0]


def calls(path: Path) -> set[str]:
    """The methods of boto3 clients that a file calls."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = getattr(owner, "attr", getattr(owner, "id", getattr(getattr(owner, "func", None), "id", "")))
            if name in {*CLIENTS, "s3_client"}:
                found.add(node.func.attr)
            if node.func.attr == "get_paginator":
                found.add(str(getattr(node.args[0], "value", "")))
    return found - {"get_paginator"}


def test_the_configuration_table_is_the_settings() -> None:
    written = between(
        "<!-- options: written by label_detection_core.config.settings.options_table -->\n", "\n<!-- end of options -->"
    )
    assert written == options_table(), (
        "run: python -c 'from label_detection_core.config.settings import *; print(options_table())'"
    )


def test_the_example_of_several_pipelines_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", between("### Several pipelines", "\n### "), re.DOTALL)
    (tmp_path / "pipelines.yaml").write_text(example)
    leaves, parts = pipelines.read("pipelines.yaml", [tmp_path], {}.get)
    assert (leaves.dag_id, leaves.settings().schedule) == ("label_detection__leaves", "@hourly")
    assert (parts.dag_id, parts.settings().min_confidence) == ("label_detection__parts", 85)


def test_the_table_of_metrics_is_what_is_sent() -> None:
    written = between("<!-- metrics: written by label_detection.metrics.table -->\n", "\n<!-- end of metrics -->")
    assert written == metrics.table()


def test_every_command_is_run_by_the_gate() -> None:
    commands = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    assert len(commands) > 5
    assert [command for command in commands if command not in GATE.splitlines()] == []


def test_the_permissions_are_those_of_the_calls_that_are_made() -> None:
    files = [*(PROJECT / "include").rglob("*.py"), *(PROJECT / "plugins").rglob("*.py")]
    made = {call for path in files for call in calls(path)}
    assert made == set(ACTIONS), "a call has come or gone: mend ACTIONS, and the README's table of permissions"
    listed = set(re.findall(r"^\| `([a-z0-9]+:[A-Za-z]+)` \|", README, re.MULTILINE))
    assert listed == set().union(*ACTIONS.values())


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (PROJECT / link).exists()


def test_the_watchdog_has_its_place() -> None:
    dag = (PROJECT / "plugins/label_detection/dags/watchdog.py").read_text()
    (task,) = re.findall(r'task_id="(\w+)"', dag)
    for heading in ("## What a run does", "## When it is red"):
        assert f"`{task}`" in between(heading, "\n## ")


def test_every_task_has_its_rows() -> None:
    files = ("xcom.py", "dags/labelling.py", "../../include/label_detection_core/model/at_work.py")
    dag = "".join((PROJECT / "plugins/label_detection" / file).read_text() for file in files)
    tasks = set(re.findall(r'(?:_TASK = |task_id=)"(\w+)"', dag))
    assert len(tasks) == 7
    for heading in ("## What a run does", "## When it is red"):
        section = between(heading, "\n## ")
        assert [task for task in sorted(tasks) if f"`{task}`" not in section] == []
