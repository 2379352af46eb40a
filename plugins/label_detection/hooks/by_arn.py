"""Which hook a model has: its ARN says so."""

from __future__ import annotations

from typing import Any, cast

from airflow.providers.common.compat.module_loading import import_string
from botocore.config import Config

from label_detection.hooks.clients import client_config
from label_detection.hooks.model import ModelHook
from label_detection_core.config.model_kinds import model_of
from label_detection_core.config.settings import Settings
from label_detection_core.drain.pace import Pace


def hook_class(model_arn: str) -> Any:
    """The class of a model's hook. :raises UnknownModelError: when the ARN is no model's."""
    return import_string(model_of(model_arn).kind.hook)


def hook_for(model_arn: str, aws_conn_id: str | None, config: Config | dict[str, Any] | None, **more: Any) -> ModelHook:
    """The hook for a model, in its Region. :raises UnknownModelError: when the ARN is no model's."""
    region = model_of(model_arn).region
    hook = hook_class(model_arn)(model_arn, aws_conn_id=aws_conn_id, region_name=region, config=config, **more)
    return cast(ModelHook, hook)


def model_hook(settings: Settings) -> ModelHook:
    """The hook for the settings' model."""
    return hook_for(settings.model_arn, settings.aws_conn_id, client_config())


def paced_model_hook(settings: Settings, workers: int, pace: Pace) -> ModelHook:
    """The same for `workers` threads, whose detections keep a pace."""
    # Two that slow down at once would be one too many: the pace does what `adaptive` is for.
    hook = hook_for(settings.model_arn, settings.aws_conn_id, client_config(workers, mode="standard"))
    hook.keep_pace(pace)
    return hook
