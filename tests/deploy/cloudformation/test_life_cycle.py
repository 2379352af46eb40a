"""No life-cycle rule of the template may ever delete a picture or its document, for any name of the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from label_detection_core.labelling.keys import REJECTED, document_key, final_key
from label_detection_core.queue.messages import ImageRef
from sandbox.environment import PROJECT

TEMPLATE = PROJECT / "deploy" / "cloudformation" / "template.yaml"
#: Source keys that begin with a folder of the final bucket, or look similar.
HOSTILE = [
    *(f"{folder}/x.png" for folder in ("runs", "rejected", "reviews", "exports", "_", "messages")),
    "runs/manual__1/report.json.png",
    "runs/manual__1/images/0.jsonl.png",
    "rejected/messages/x.png",
    "rejected/runs/x.png",
    "_/runs/x.png",
    "_/_/runs/x.png",
    "/runs/x.png",
    "runs//x.png",
    "runs/",
    "runs",
    "x.png",
    f"runs/{'x' * 1019}",
]


def expiring_prefixes(template: Path) -> list[str]:
    """Prefixes of the rules that delete current objects; rules for old versions are left out."""
    resources: Any = cfn_yaml.load(str(template))["Resources"]
    rules: list[Any] = []

    def collect(node: Any) -> None:
        if isinstance(node, dict) and "Status" in node and "Id" in node:
            rules.append(node)
        elif isinstance(node, dict | list):
            for child in node.values() if isinstance(node, dict) else node:
                collect(child)

    for resource in resources.values():
        if resource["Type"] == "AWS::S3::Bucket":
            collect(resource["Properties"].get("LifecycleConfiguration", {}))
    assert rules
    expiring = [rule for rule in rules if {"ExpirationInDays", "ExpirationDate", "Transitions"} & set(rule)]
    return [str(rule.get("Prefix", "")) for rule in expiring]


def test_there_are_rules_and_each_is_for_one_folder() -> None:
    prefixes = expiring_prefixes(TEMPLATE)
    assert prefixes
    assert all(prefix.endswith("/") for prefix in prefixes)


@pytest.mark.parametrize("prefix", ["", REJECTED], ids=["labelled", "rejected"])
@pytest.mark.parametrize("key", HOSTILE, ids=lambda key: key[:40])
def test_no_rule_matches_a_picture_or_its_document(key: str, prefix: str) -> None:
    final = final_key(ImageRef("pictures-in", key, "1f0c9a7be2"), prefix)
    for stored in (final, document_key(final)):
        assert [rule for rule in expiring_prefixes(TEMPLATE) if stored.startswith(rule)] == []
