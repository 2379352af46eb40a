"""The documentation matches the code: its options are the settings', its permissions are those of the calls."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from deploy.release import reference
from label_detection_core.config import pipelines
from sandbox.environment import PROJECT

DOCS = PROJECT / "docs"

#: IAM's names for our calls; all other actions have the call's name.
ACTIONS = {
    "head_bucket": {"s3:ListBucket"},
    "get_bucket_request_payment": set(),  # where it is allowed; a run works without an answer
    "head_object": {"s3:GetObject", "s3:ListBucket"},
    "get_object": {"s3:GetObject", "kms:Decrypt"},
    "generate_presigned_url": {"s3:GetObject"},  # the browser's GET of a picture
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


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


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


WRITTEN = [
    pytest.param(text, now, id=f"{page.name}: {name}")
    for page in sorted(DOCS.glob("*.md"))
    for name, text, now in reference.parts(page)
]


@pytest.mark.parametrize(("text", "now"), WRITTEN)
def test_what_is_written_from_the_code_is_up_to_date(text: str, now: str) -> None:
    assert text == now, "run: PYTHONPATH=plugins:include .venv/bin/python -m deploy.release.reference"


def test_options_metrics_commands_and_files_are_written_from_the_code() -> None:
    assert len(WRITTEN) > 9


def test_every_field_of_a_file_has_a_meaning() -> None:
    assert re.findall(r"^\| `\S+` \|.*\|  \|$", page("files"), re.MULTILINE) == []


def test_the_example_of_several_pipelines_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", page("several-pipelines"), re.DOTALL)
    (tmp_path / "pipelines.yaml").write_text(example)
    leaves, parts = pipelines.read("pipelines.yaml", [tmp_path], lambda _: None)
    assert (leaves.dag_id, leaves.settings().schedule) == ("label_detection__leaves", "@hourly")
    assert (parts.dag_id, parts.settings().min_confidence) == ("label_detection__parts", 85)


def test_the_permissions_are_those_of_the_calls_that_are_made() -> None:
    files = [*(PROJECT / "include").rglob("*.py"), *(PROJECT / "plugins").rglob("*.py")]
    made = {call for path in files for call in calls(path)}
    assert made == set(ACTIONS), "a call was added or removed: correct ACTIONS and docs/permissions.md"
    listed = set(re.findall(r"^\| `([a-z0-9]+:[A-Za-z]+)` \|", page("permissions"), re.MULTILINE))
    assert listed == set().union(*ACTIONS.values())


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    found = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
LINKS = [
    (path, link)
    for path in PAGES
    for link in sorted(set(re.findall(r"\]\(([^)\s]+)\)", path.read_text())))
    if ":" not in link
]


@pytest.mark.parametrize(("path", "link"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_every_link_leads_somewhere(path: Path, link: str) -> None:
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path
    assert target.exists()
    assert not anchor or target.suffix != ".md" or anchor in headings(target)


def test_the_docs_have_a_place_for_the_watchdog() -> None:
    dag = (PROJECT / "plugins/label_detection/dags/watchdog.py").read_text()
    (task,) = re.findall(r'task_id="(\w+)"', dag)
    for name in ("what-a-run-does", "when-it-is-red"):
        assert f"`{task}`" in page(name)


def test_every_task_has_its_rows_in_the_docs() -> None:
    files = ("xcom.py", "dags/labelling.py", "../../include/label_detection_core/model/at_work.py")
    dag = "".join((PROJECT / "plugins/label_detection" / file).read_text() for file in files)
    tasks = set(re.findall(r'(?:_TASK = |task_id=)"(\w+)"', dag))
    assert len(tasks) == 7
    for name in ("what-a-run-does", "when-it-is-red"):
        assert [task for task in sorted(tasks) if f"`{task}`" not in page(name)] == []
