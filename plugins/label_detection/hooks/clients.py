"""Every client of AWS: in the model's Region, and for the pipeline with adaptive retries and for several threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from botocore.config import Config

from label_detection.hooks.redacting import RedactingAwsHook
from label_detection_core.config.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


RetryMode = Literal["adaptive", "standard"]
#: Sends of one call: a minute or two of trouble.
_ATTEMPTS = 10
#: The same for an image's calls to S3: half a minute at most, because the model is on while they are sent again.
IMAGE_ATTEMPTS = 6
#: For a caller that goes round a loop of its own and must hear in seconds that it is to stop.
FEW_ATTEMPTS = 2


def client_config(workers: int = 1, attempts: int = _ATTEMPTS, mode: RetryMode = "adaptive") -> Config:
    """`adaptive`: botocore slows down by itself when a service throttles."""
    return Config(
        retries={"mode": mode, "total_max_attempts": attempts},
        max_pool_connections=workers + 2,
        connect_timeout=10,
        read_timeout=30,
        tcp_keepalive=True,
    )


def brief_config() -> Config:
    """Two sends, half a minute at most: for calls beside a run, or that their caller repeats."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=5, read_timeout=10, tcp_keepalive=True
    )


def s3_client(settings: Settings, workers: int = 1, attempts: int = _ATTEMPTS) -> S3Client:
    """A client for both buckets."""
    client: S3Client = _client(settings, "s3", client_config(workers, attempts))
    return client


def sqs_client(settings: Settings, workers: int = 1, attempts: int = _ATTEMPTS) -> SQSClient:
    """A client for the queue."""
    client: SQSClient = _client(settings, "sqs", client_config(workers, attempts))
    return client


def aws_hook(service: str, aws_conn_id: str | None, region_name: str | None, **more: Any) -> RedactingAwsHook:
    """The hook whose `conn` is a client of a service; `config` and `verify` as the provider's hook takes them."""
    return RedactingAwsHook(aws_conn_id=aws_conn_id, region_name=region_name, client_type=service, **more)


def _client(settings: Settings, service: str, config: Config) -> Any:
    return aws_hook(service, settings.aws_conn_id, settings.region, config=config).conn
