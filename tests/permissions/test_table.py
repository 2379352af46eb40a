"""The table of permissions equals the policy in the docs."""

from __future__ import annotations

import re

from sandbox.environment import PROJECT
from tests.permissions.policy import DOCUMENT, grants

#: The table's names of the policy's resources.
RESOURCES = {
    "queue": {"${QUEUE_ARN}"},
    "both buckets": {"arn:${PARTITION}:s3:::${SOURCE_BUCKET}", "arn:${PARTITION}:s3:::${FINAL_BUCKET}"},
    "source bucket `/*`": {"arn:${PARTITION}:s3:::${SOURCE_BUCKET}/*"},
    "final bucket `/*`": {"arn:${PARTITION}:s3:::${FINAL_BUCKET}/*"},
    "final bucket `/rejected/*`": {"arn:${PARTITION}:s3:::${FINAL_BUCKET}/rejected/*"},
    "`*`": {"*"},
    "project": {"${PROJECT_ARN}"},
    "model": {"${MODEL_ARN}"},
    "schedules `label-detection-*`": {"arn:${PARTITION}:scheduler:*:*:schedule/default/label-detection-*"},
    "the switch's role": {"${SWITCH_ROLE_ARN}"},
    "endpoints `label-detection-*`": {"arn:${PARTITION}:sagemaker:*:*:endpoint/label-detection-*"},
    "key": {"${KMS_KEY_ARN}"},
    "topic": {"${TOPIC_ARN}"},
}


def test_the_table_lists_what_the_policy_allows() -> None:
    rows = re.findall(
        r"^\| `([a-z0-9]+:[A-Za-z]+)` \| ([^|]+) \|", (PROJECT / "docs" / "permissions.md").read_text(), re.MULTILINE
    )
    listed = [(action, resource) for action, where in rows for resource in RESOURCES[where.strip()]]
    assert sorted(listed) == sorted((grant.action, grant.resource) for grant in grants())


def test_the_docs_explain_each_placeholder() -> None:
    section = (PROJECT / "docs" / "permissions.md").read_text()
    used = {name for grant in grants() for name in re.findall(r"\$\{\w+\}", grant.resource)}
    assert {name for name in used if f"`{name}`" not in section} == set()


def test_optional_grants_have_their_own_statements() -> None:
    optional = {statement["Sid"] for statement in DOCUMENT["Statement"] if statement["Sid"].startswith("Optional")}
    assert optional == {
        "OptionalDeadMansSwitch",
        "OptionalDeadMansSwitchRole",
        "OptionalNotifications",
        "OptionalBackfill",
        "OptionalKey",
        "OptionalPages",
    }
