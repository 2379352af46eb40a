"""boto3 clients of an embedded AWS, made from its environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


def s3_client(environment: Mapping[str, str]) -> S3Client:
    """A client of S3."""
    found: S3Client = client(environment, "s3")
    return found


def sqs_client(environment: Mapping[str, str]) -> SQSClient:
    """A client of SQS."""
    found: SQSClient = client(environment, "sqs")
    return found


def rekognition_client(environment: Mapping[str, str]) -> RekognitionClient:
    """A client of Rekognition."""
    found: RekognitionClient = client(environment, "rekognition")
    return found


def client(environment: Mapping[str, str], service: str) -> Any:
    """A client of any service, by boto3's name for it."""
    session = boto3.session.Session(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    return session.client(  # type: ignore[call-overload]
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )
