"""The model type that the suite uses: `make faults MODEL=sagemaker`. Its tests set LABEL_DETECTION_MODEL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from botocore.config import Config

from label_detection.hooks.model import ModelHook, hook_for
from label_detection_core.config.model_types import endpoint_name, model_of
from label_detection_core.labelling.labeller import Detect
from label_detection_core.labelling.naming import naming
from tests.model_calls import CALLS, KINDS, ModelCalls

_CLASS_NAMES = "AIRFLOW__LABEL_DETECTION__CLASS_NAMES"
_MODEL_ARN = "AIRFLOW__LABEL_DETECTION__MODEL_ARN"


def kind() -> str:
    """The name of the model type. An unknown name ends the session."""
    chosen = os.environ.get("LABEL_DETECTION_MODEL") or "rekognition"
    if chosen not in KINDS:
        pytest.exit(f"make faults: MODEL must be one of {', '.join(KINDS)}, not {chosen}", pytest.ExitCode.USAGE_ERROR)
    return chosen


def calls() -> ModelCalls:
    """The API calls of the model type."""
    return CALLS[kind()]


@contextmanager
def hook_of(aws: Mapping[str, str]) -> Iterator[ModelHook]:
    """The hook for the model of an embedded AWS. `aws`: the variables of that AWS."""
    with patch.dict(os.environ, dict(aws)):
        yield hook_for(model_of(aws[_MODEL_ARN]), None, Config(retries={"mode": "standard", "total_max_attempts": 10}))


def named_as_configured(detect: Detect, aws: Mapping[str, str]) -> Detect:
    """Make a detect function use the class names that the embedded AWS configures."""
    return naming(detect, [name for name in aws.get(_CLASS_NAMES, "").split(",") if name])


def name_the_endpoint(sagemaker: Any, model_arn: str) -> None:
    """Create the pipeline's endpoint: control pages that start an endpoint use the name of the newest one."""
    if kind() == "sagemaker":
        config = model_of(model_arn).parts["config"]
        sagemaker.create_endpoint(EndpointName=endpoint_name(model_of(model_arn)), EndpointConfigName=config)
