"""boto3 clients as the pipeline needs them: in the model's Region, with adaptive retries, for several threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config

from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def client_config(workers: int = 1) -> Config:
    """Adaptive: botocore slows down by itself when a service throttles. Ten sends: a minute or two of trouble."""
    return Config(
        retries={"mode": "adaptive", "total_max_attempts": 10},
        max_pool_connections=workers + 2,
        connect_timeout=10,
        read_timeout=30,
        tcp_keepalive=True,
    )


def s3_client(settings: Settings, workers: int = 1) -> S3Client:
    """A client for both buckets."""
    client: S3Client = _client(settings, "s3", workers)
    return client


def sqs_client(settings: Settings, workers: int = 1) -> SQSClient:
    """A client for the queue."""
    client: SQSClient = _client(settings, "sqs", workers)
    return client


def _client(settings: Settings, service: str, workers: int) -> Any:
    hook = AwsBaseHook(
        aws_conn_id=settings.aws_conn_id,
        region_name=settings.region,
        client_type=service,
        config=client_config(workers),
    )
    return hook.conn
