"""The API server's clients of AWS: kept for some minutes, since making one takes longer than asking it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException
from botocore.config import Config
from fastapi import HTTPException

from include.redaction import shown
from include.settings import Settings
from label_detection.hooks.brief import brief_config
from label_detection.hooks.by_arn import hook_for
from label_detection.hooks.redacting import RedactingAwsHook
from label_detection.ui.few_at_once import AT_ONCE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from label_detection.hooks.model import ModelHook

#: Seconds until a connection that was changed is read again.
_KEPT_SECONDS = 300.0
#: A browser is waiting. AWS: a bucket with a KMS key takes signatures of version 4 alone.
_CONFIG = brief_config().merge(Config(max_pool_connections=AT_ONCE, signature_version="s3v4"))
#: What the provider's hook raises of a connection whose extras are not what it takes.
_ODD_EXTRAS = (KeyError, NotImplementedError, TypeError, ValueError)
_kept: dict[tuple[str, str, str], tuple[float, Any]] = {}
_lock = threading.Lock()


def s3_client(settings: Settings) -> S3Client:
    """A client for the final bucket."""
    client: S3Client = _client(settings, "s3")
    return client


def sqs_client(settings: Settings) -> SQSClient:
    """A client for the queue."""
    client: SQSClient = _client(settings, "sqs")
    return client


def cloudwatch_client(settings: Settings) -> Any:
    """A client for the queue's metrics."""
    return _client(settings, "cloudwatch")


def model_hook(settings: Settings) -> ModelHook:
    """The hook for the model, with its client."""

    def make() -> Any:
        hook: Any = hook_for(settings.model_arn, settings.aws_conn_id, brief_config())
        _ = hook.conn  # made here, and not by two requests at once
        return hook

    hook: ModelHook = _keep(settings, settings.model_arn, make)
    return hook


def _client(settings: Settings, service: str) -> Any:
    def make() -> Any:
        return RedactingAwsHook(
            aws_conn_id=settings.aws_conn_id, region_name=settings.region, client_type=service, config=_CONFIG
        ).conn

    return _keep(settings, service, make)


def _keep(settings: Settings, what: str, make: Callable[[], Any]) -> Any:
    name = settings.aws_conn_id, settings.region, what
    with _lock:
        until, made = _kept.get(name, (0.0, None))
        if time.monotonic() < until:
            return made
        try:
            made = make()
        except (AirflowException, *_ODD_EXTRAS) as error:
            words = f"The connection {settings.aws_conn_id} cannot be used on the API server: {shown(error)}"
            raise HTTPException(503, words) from error
        _kept[name] = time.monotonic() + _KEPT_SECONDS, made
        return made
