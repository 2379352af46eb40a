"""Which hook a model has: its ARN says so."""

from __future__ import annotations

from include.settings import Settings
from label_detection.hooks.clients import client_config
from label_detection.hooks.model import ModelHook
from label_detection.hooks.rekognition import RekognitionModelHook


def model_hook(settings: Settings, workers: int = 1) -> ModelHook:
    """The hook for the settings' model. `workers`: how many threads will call it at once."""
    return RekognitionModelHook(
        settings.model_arn,
        aws_conn_id=settings.aws_conn_id,
        region_name=settings.region,
        config=client_config(workers),
    )
