"""AWS clients, in the model's Region, with their settings for retries, timeouts and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from botocore.config import Config

from label_detection.hooks.redacting import RedactingAwsHook
from label_detection_core.config.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


RetryMode = Literal["adaptive", "standard"]
#: Attempts of one call. They bridge a minute or two of errors.
_ATTEMPTS = 10
#: Attempts of an S3 call for an image: half a minute at most, because the model costs money during the retries.
IMAGE_ATTEMPTS = 6
#: Attempts for a caller that repeats its calls in a loop, and that must notice a stop request within seconds.
FEW_ATTEMPTS = 2


def client_config(workers: int = 1, attempts: int = _ATTEMPTS, mode: RetryMode = "adaptive") -> Config:
    """A configuration for clients that `workers` threads share; `attempts` includes the first one.

    In the mode `adaptive`, botocore itself sends fewer calls when a service throttles.
    """
    return Config(
        retries={"mode": mode, "total_max_attempts": attempts},
        max_pool_connections=workers + 2,
        connect_timeout=10,
        read_timeout=30,
        tcp_keepalive=True,
    )


def brief_config(workers: int = 1) -> Config:
    """Two attempts, half a minute at most: for calls that are not essential to a run, or that the caller repeats."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=workers + 2,
        connect_timeout=5,
        read_timeout=10,
        tcp_keepalive=True,
    )


def s3_client(settings: Settings, workers: int = 1, attempts: int = _ATTEMPTS) -> S3Client:
    """An S3 client for both buckets."""
    client: S3Client = _client(settings, "s3", client_config(workers, attempts))
    return client


def sqs_client(settings: Settings, workers: int = 1, attempts: int = _ATTEMPTS) -> SQSClient:
    """An SQS client for the queue."""
    client: SQSClient = _client(settings, "sqs", client_config(workers, attempts))
    return client


def aws_hook(service: str, aws_conn_id: str | None, region_name: str | None, **more: Any) -> RedactingAwsHook:
    """A hook whose `conn` is a client of the service. `more`: `config` and `verify` of the Amazon provider's hook."""
    return RedactingAwsHook(aws_conn_id=aws_conn_id, region_name=region_name, client_type=service, **more)


def _client(settings: Settings, service: str, config: Config) -> Any:
    return aws_hook(service, settings.aws_conn_id, settings.region, config=config).conn
