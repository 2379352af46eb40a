"""`make aws-check`, on the embedded AWS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from label_detection_core.config.settings import environment_name
from sandbox.environment import PROJECT, PYTHONPATH
from tests.conftest import Aws

STEPS = [
    *("the account", "both buckets", "the queue", "the source bucket sends", "the model can be used"),
    *("upload", "its event", "write to the final bucket", "start the model", "label the picture"),
]


def check(aws: Aws, folder: Path, *arguments: str, **options: str) -> tuple[int, list[str]]:
    """Run the check; return its exit status and the lines that it prints."""
    names = ("queue_url", "source_bucket", "final_bucket", "model_arn")
    given = {name: str(getattr(aws.settings, name)) for name in names} | options
    (folder / "options.env").write_text("".join(f"{environment_name(name)}={given[name]}\n" for name in given))
    both = {**os.environ, **aws.environment, "PYTHONPATH": f"{PYTHONPATH}:{PROJECT / 'plugins'}"}
    environment = {name: value for name, value in both.items() if not name.startswith("AIRFLOW")}
    command = [sys.executable, "-m", "deploy.check", "--env", str(folder / "options.env"), *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def left(aws: Aws) -> tuple[int, int, int, str]:
    """The remaining objects of both buckets and messages of the queue, and the model's state."""
    found = [
        aws.s3.list_objects_v2(Bucket=bucket)["KeyCount"]
        for bucket in (aws.settings.source_bucket, aws.settings.final_bucket)
    ]
    attributes: Any = {"QueueUrl": aws.settings.queue_url, "AttributeNames": ["All"]}
    counts = aws.sqs.get_queue_attributes(**attributes)["Attributes"]
    messages = int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])
    return found[0], found[1], messages, aws.model()["status"]


def test_without_a_picture_the_check_only_reads(aws: Aws, tmp_path: Path) -> None:
    before = left(aws)
    status, lines = check(aws, tmp_path)
    assert status == 0, lines
    assert [line.split(". ")[0] for line in lines if line[:1].isdigit()] == ["1", "2", "3", "4", "5"]
    assert left(aws) == before


def test_a_picture_is_labelled_and_all_of_it_is_undone(aws: Aws, tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    aws.exactly_once()
    status, lines = check(aws, tmp_path, "--picture", str(tmp_path / "a.png"), "--yes")
    assert status == 0, lines
    for number, step in enumerate(STEPS, 1):
        assert any(line.startswith(f"{number}. {step}") and "FAILED" not in line for line in lines), step
    assert left(aws) == (0, 0, 0, "STOPPED")
    assert [change["status"] for change in aws.model()["history"]][-4:] == [
        "STARTING",
        "RUNNING",
        "STOPPING",
        "STOPPED",
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"queue_url": ""}, "queue_url is missing"),
        ({"source_bucket": "not-there"}, "2. both buckets exist in the model's Region: FAILED: .*does not exist"),
        ({"final_bucket": "not-there"}, "2. both buckets exist in the model's Region: FAILED: .*does not exist"),
    ],
    ids=["no queue", "no source bucket", "no final bucket"],
)
def test_a_missing_resource_is_named_and_nothing_is_started(
    aws: Aws, tmp_path: Path, picture: bytes, options: dict[str, str], says: str
) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    before = left(aws)
    status, lines = check(aws, tmp_path, "--picture", str(tmp_path / "a.png"), "--yes", **options)
    assert status == 1
    assert re.search(says, "\n".join(lines)), lines
    assert left(aws) == before


def test_a_step_that_fails_is_undone_with_all_before(aws: Aws, tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    aws.exactly_once()
    aws.fail("rekognition", "DetectCustomLabels", status=403, code="AccessDeniedException")
    status, lines = check(aws, tmp_path, "--picture", str(tmp_path / "a.png"), "--yes")
    assert status == 1
    assert any("label the picture: FAILED" in line and "AccessDenied" in line for line in lines), lines
    assert left(aws) == (0, 0, 0, "STOPPED")
