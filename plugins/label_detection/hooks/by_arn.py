"""Which hook a model has: its ARN says so."""

from __future__ import annotations

from botocore.config import Config

from include.pace import Pace
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


def model_hook(settings: Settings) -> ModelHook:
    """The hook for the settings' model."""
    return hook_for(settings.model_arn, settings.aws_conn_id, client_config())


def paced_model_hook(settings: Settings, workers: int, pace: Pace) -> ModelHook:
    """The same for `workers` threads, whose detections keep a pace."""
    # Two that slow down at once would be one too many: the pace does what `adaptive` is for.
    hook = hook_for(settings.model_arn, settings.aws_conn_id, client_config(workers, mode="standard"))
    hook.keep_pace(pace)
    return hook
