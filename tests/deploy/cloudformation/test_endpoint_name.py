"""The command of docs/setup.md that prints a SageMaker model's endpoint, for the stack's alarm."""

from __future__ import annotations

import re
import subprocess

import pytest

from label_detection_core.config.model_types import endpoint_name, model_of
from sandbox.environment import PROJECT


@pytest.mark.parametrize(
    "config", ["parts", "a-configuration-whose-name-is-longer-than-an-endpoints", "x" * 37 + "--y"]
)
def test_the_command_prints_the_name_that_the_pipeline_makes(config: str) -> None:
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{config}"
    (line,) = re.findall(r"^ENDPOINT=.*$", (PROJECT / "docs" / "setup.md").read_text(), re.MULTILINE)
    command = f'MODEL_ARN={arn}; {line}; printf %s "$ENDPOINT"'
    printed = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert printed == endpoint_name(model_of(arn))
