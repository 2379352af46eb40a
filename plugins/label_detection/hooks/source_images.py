"""Images for services that are sent their bytes, read with the rights of the model's own connection."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from include.image_bytes import ImageBytes, read_image
from include.messages import ImageRef
from label_detection.hooks.redacting import RedactingAwsHook

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class SendsImages(RedactingAwsHook):
    """A hook of such a service."""

    #: The largest image that it takes, in bytes.
    max_bytes: int

    @cached_property
    def _s3(self) -> S3Client:
        hook = RedactingAwsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.config,
            client_type="s3",
        )
        client: S3Client = hook.conn
        return client

    def read(self, image: ImageRef) -> ImageBytes:
        """An image's bytes; its errors are those of `include.image_bytes.read_image`."""
        return read_image(self._s3, image, self.max_bytes)
