"""Which hook a model has: its ARN says so."""

from __future__ import annotations

from botocore.config import Config

from include.settings import MODEL_ARN, Settings
from label_detection.hooks.clients import client_config
from label_detection.hooks.model import ModelHook
from label_detection.hooks.rekognition import RekognitionModelHook


def hook_for(model_arn: str, aws_conn_id: str, config: Config) -> ModelHook:
    """The hook for a model. :raises ValueError: when the ARN is no model's."""
    match = MODEL_ARN.fullmatch(model_arn)
    if not match:
        raise ValueError(f"{model_arn!r} is not the ARN of a model")
    return RekognitionModelHook(model_arn, aws_conn_id=aws_conn_id, region_name=match["region"], config=config)


def model_hook(settings: Settings, workers: int = 1) -> ModelHook:
    """The hook for the settings' model. `workers`: how many threads will call it at once."""
    return hook_for(settings.model_arn, settings.aws_conn_id, client_config(workers))
