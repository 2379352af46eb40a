"""No deployed file, policy or command names one AWS partition: China and GovCloud have their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.environment import PROJECT

_COMMANDS = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: An example's whole ARN, which the reader replaces: a model's, after `MODEL_ARN=`.
_EXAMPLE = re.compile(r"^MODEL_ARN=arn:aws:.*$", re.MULTILINE)
#: In an ARN pattern for people: what the ARN must look like.
_SHAPE = re.compile(r"arn:aws:[\w-]+:(<region>)?:<account>[^\s\"']*|arn:aws:\w+:<region>[^\s\"']*")


def texts() -> dict[str, str]:
    """The checked texts, by name."""
    found = {str(path.relative_to(PROJECT)): path.read_text() for path in files("deploy/cloudformation", "*.yaml")}
    found |= {str(path.relative_to(PROJECT)): path.read_text() for path in files("docs", "*.json")}
    for path in files("docs", "*.md"):
        blocks = "\n".join(_COMMANDS.findall(path.read_text()))
        found[str(path.relative_to(PROJECT))] = _EXAMPLE.sub("", blocks)
    for folder in ("include", "plugins", "deploy"):
        for path in files(folder, "**/*.py"):
            # Excluded: the embedded AWS is one account in one partition, and the template's mappings are by Region.
            if path.name != "env_file.py":
                found[str(path.relative_to(PROJECT))] = _SHAPE.sub("", path.read_text())
    return found


def files(folder: str, pattern: str) -> list[Path]:
    return sorted((PROJECT / folder).glob(pattern))


@pytest.mark.parametrize("name", sorted(texts()))
def test_no_arn_names_the_partition(name: str) -> None:
    assert re.findall(r".*arn:aws:.*", texts()[name]) == []


def test_the_policies_in_the_docs_have_a_placeholder_instead() -> None:
    for name in ("docs/iam-policy.json", "docs/iam-policy-pages.json"):
        assert "arn:${PARTITION}:s3:::" in texts()[name]
