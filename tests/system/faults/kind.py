"""The kind of model that the suite runs with: `make faults MODEL=sagemaker`; LABEL_DETECTION_MODEL, for its tests."""

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
    """Its name; the session ends when there is no such kind."""
    chosen = os.environ.get("LABEL_DETECTION_MODEL") or "rekognition"
    if chosen not in KINDS:
        pytest.exit(f"make faults: MODEL must be one of {', '.join(KINDS)}, not {chosen}", pytest.ExitCode.USAGE_ERROR)
    return chosen


def calls() -> ModelCalls:
    """What it is asked."""
    return CALLS[kind()]


@contextmanager
def hook_of(aws: Mapping[str, str]) -> Iterator[ModelHook]:
    """A hook for the model of an embedded AWS, whose variables are given, from here."""
    with patch.dict(os.environ, dict(aws)):
        yield hook_for(model_of(aws[_MODEL_ARN]), None, Config(retries={"mode": "standard", "total_max_attempts": 10}))


def named_as_configured(detect: Detect, aws: Mapping[str, str]) -> Detect:
    """With the names of classes that the embedded AWS gives."""
    return naming(detect, [name for name in aws.get(_CLASS_NAMES, "").split(",") if name])


def name_the_endpoint(sagemaker: Any, model_arn: str) -> None:
    """An endpoint that a control page puts there has the name of the last one: from now on that of the pipeline's."""
    if kind() == "sagemaker":
        config = model_of(model_arn).parts["config"]
        sagemaker.create_endpoint(EndpointName=endpoint_name(model_of(model_arn)), EndpointConfigName=config)
