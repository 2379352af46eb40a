"""The sources of Rekognition's pictures: the S3 of this process, or another S3 over HTTP."""

import threading
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.s3.exceptions import S3ClientError
from moto.s3.models import s3_backends
from moto.utilities.utils import get_partition

from local_aws.rekognition.exceptions import InvalidS3Object
from local_aws.s3.models import LocalS3Backend
from local_aws.s3.troubles import RefusedError, check_read, is_archived


@dataclass(frozen=True)
class S3Object:
    """The address of an object: bucket, key and, optionally, version."""

    bucket: str
    key: str
    version_id: str | None = None


class PictureStore(Protocol):
    """An S3 that Rekognition reads pictures from."""

    def read(self, place: S3Object) -> bytes:
        """The object's bytes. Raises InvalidS3Object if it does not exist, is in another Region or cannot be read."""
        ...


class OwnS3:
    """The S3 of this process."""

    def __init__(self, region: str, account_id: str):
        self._region = region
        self._account_id = account_id

    def read(self, place: S3Object) -> bytes:
        """The object's bytes, from memory. Raises InvalidS3Object."""
        backend = s3_backends[self._account_id][get_partition(self._region)]
        try:
            with LocalS3Backend.lock:
                if backend.get_bucket(place.bucket).region_name != self._region:
                    raise InvalidS3Object()
                stored = backend.get_object(place.bucket, place.key, version_id=place.version_id)
                if stored is None or is_archived(stored):
                    raise InvalidS3Object()
                check_read(stored, LocalS3Backend.troubles, None)
                content: bytes = stored.value
        except (S3ClientError, RefusedError) as error:
            raise InvalidS3Object() from error
        return content


class OtherS3:
    """Another S3, such as LocalStack's, over HTTP."""

    def __init__(self, endpoint: str, region: str):
        self._region = region
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106
            config=Config(s3={"addressing_style": "path"}, max_pool_connections=50, read_timeout=20),
        )
        self._regions: dict[str, str] = {}
        self._lock = threading.Lock()

    def read(self, place: S3Object) -> bytes:
        """The object's bytes, by GetObject. Raises InvalidS3Object."""
        version = {} if place.version_id is None else {"VersionId": place.version_id}
        try:
            if self._region_of(place.bucket) != self._region:
                raise InvalidS3Object()
            content: bytes = self._client.get_object(Bucket=place.bucket, Key=place.key, **version)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise InvalidS3Object() from error
        return content

    def _region_of(self, bucket: str) -> str:
        """A bucket's Region; each bucket is requested once and then remembered."""
        with self._lock:
            if bucket not in self._regions:
                self._regions[bucket] = self._client.head_bucket(Bucket=bucket).get("BucketRegion", self._region)
            return self._regions[bucket]
