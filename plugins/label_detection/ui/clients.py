"""AWS clients of the API server. They are kept for some minutes, because making a client takes longer than a call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException
from botocore.config import Config
from fastapi import HTTPException

from label_detection.hooks.clients import aws_hook, brief_config
from label_detection.hooks.model import hook_for
from label_detection.ui.request_limit import AT_ONCE
from label_detection_core.config.settings import Settings
from label_detection_core.redaction import shown

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from label_detection.hooks.model import ModelHook

#: Seconds that a client is kept; after that, a change of the Airflow connection takes effect.
_KEPT_SECONDS = 300.0
#: Short time-outs, because a browser is waiting. AWS: a bucket with a KMS key accepts only signature version 4.
_CONFIG = brief_config().merge(Config(max_pool_connections=AT_ONCE, signature_version="s3v4"))
#: For links that a browser follows: the host of the bucket in its Region. By default botocore signs for the global host
#: of S3. Outside us-east-1, the global host redirects (307) to a host for which the signature is not valid, and it does
#: not know Regions that opened after 2019. A bucket name with dots does not fit S3's certificate, so botocore leaves it
#: in the path.
_LINK_CONFIG = _CONFIG.merge(Config(s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"}))
#: Errors that the provider's hook raises when the extras of a connection are wrong.
_ODD_EXTRAS = (KeyError, NotImplementedError, TypeError, ValueError)
#: Seconds that a request waits while another request makes a client of the same connection. AssumeRole can
#: take minutes to fail, and waiting requests must not use all threads of the pages.
_WAIT_SECONDS = 5.0
_kept: dict[tuple[str, str, str], tuple[float, Any]] = {}
#: One lock per connection, held while a client is made. `_lock` is only held for the access to a dictionary.
_making: dict[str, threading.Lock] = {}
_lock = threading.Lock()


def s3_client(settings: Settings) -> S3Client:
    """A client for the final bucket."""
    client: S3Client = _client(settings, "s3")
    return client


def link_client(settings: Settings) -> S3Client:
    """A client that signs links to the final bucket, for browsers."""
    client: S3Client = _client(settings, "s3", _LINK_CONFIG, "links")
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
        hook: Any = hook_for(settings.model, settings.aws_conn_id, brief_config())
        _ = hook.conn  # makes the client now, under the lock; two requests at once would make two
        return hook

    hook: ModelHook = _keep(settings, settings.model_arn, make)
    return hook


def _client(settings: Settings, service: str, config: Config = _CONFIG, what: str | None = None) -> Any:
    def make() -> Any:
        return aws_hook(service, settings.aws_conn_id, settings.region, config=config).conn

    return _keep(settings, what or service, make)


def _keep(settings: Settings, what: str, make: Callable[[], Any]) -> Any:
    """A kept client, or a new one. Only requests for the same connection wait while it is made.

    :raises HTTPException: 503 when the connection is wrong, or takes too long to log in.
    """
    name = settings.aws_conn_id, settings.region, what
    if found := _look(name):
        return found
    with _lock:
        making = _making.setdefault(settings.aws_conn_id, threading.Lock())
    if not making.acquire(timeout=_WAIT_SECONDS):
        words = (
            f"The connection {settings.aws_conn_id} takes too long to log in to AWS. Load this page again in a minute."
        )
        raise HTTPException(503, words)
    try:
        return _look(name) or _remember(name, make())
    except (AirflowException, *_ODD_EXTRAS) as error:
        words = f"The connection {settings.aws_conn_id} cannot be used on the API server: {shown(error)}"
        raise HTTPException(503, words) from error
    finally:
        making.release()


def _look(name: tuple[str, str, str]) -> Any:
    with _lock:
        until, made = _kept.get(name, (0.0, None))
    return made if time.monotonic() < until else None


def _remember(name: tuple[str, str, str], made: Any) -> Any:
    with _lock:
        _kept[name] = time.monotonic() + _KEPT_SECONDS, made
    return made
