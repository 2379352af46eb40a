"""The policy in the docs: as pairs of action and resource, and with a test's names instead of its placeholders."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from label_detection_core.config.model_types import MODEL_TYPES, model_of
from sandbox.environment import PROJECT

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

DOCUMENT: dict[str, Any] = json.loads((PROJECT / "docs" / "iam-policy.json").read_text())
SWITCH_ROLE = "arn:aws:iam::123456789012:role/dead-man-switch"
#: The KMS key of the test's buckets and queue.
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True)
class Grant:
    """One action on one resource; the resource has placeholders."""

    sid: str
    action: str
    resource: str
    condition: str = "{}"

    def __str__(self) -> str:
        return f"{self.action} on {self.resource.removeprefix('arn:${PARTITION}:s3:::')}"


def grants(service: str | None = None) -> list[Grant]:
    """Every pair that the policy allows. Includes one of the services that run models, not the others."""
    others = {kind.name for kind in MODEL_TYPES} - {service} if service else set()
    return [
        Grant(statement["Sid"], action, resource, json.dumps(statement.get("Condition", {})))
        for statement in DOCUMENT["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
        if action.split(":")[0] not in others
    ]


def policy_for(aws: Aws, topic: Topic, project_arn: str | None, without: Grant | None = None) -> dict[str, Any]:
    """The policy for a test's buckets, queue, model and topic; `without`: a grant to leave out."""
    settings = aws.settings
    names = {
        "PARTITION": "aws",
        "KMS_KEY_ARN": KMS_KEY,
        "QUEUE_ARN": f"arn:aws:sqs:us-east-1:123456789012:{settings.queue_url.rpartition('/')[2]}",
        "SOURCE_BUCKET": settings.source_bucket,
        "FINAL_BUCKET": settings.final_bucket,
        "MODEL_ARN": settings.model_arn,
        "PROJECT_ARN": project_arn or "",
        "SWITCH_ROLE_ARN": SWITCH_ROLE,
        "TOPIC_ARN": topic.arn,
    }
    statements = [
        {
            "Effect": "Allow",
            "Action": grant.action,
            "Resource": re.sub(r"\$\{(\w+)\}", lambda name: names[name[1]], grant.resource),
            "Condition": json.loads(grant.condition),
        }
        for grant in grants(model_of(settings.model_arn).type.name)
        if grant != without
    ]
    return {"Version": DOCUMENT["Version"], "Statement": statements}


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
