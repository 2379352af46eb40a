"""Reads images for services that need their bytes in the request, with the permissions of the model's connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from label_detection.hooks.clients import aws_hook
from label_detection.hooks.redacting import RedactingAwsHook
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.byte_budget import ByteBudget, NoRoomError
from label_detection_core.labelling.image_bytes import ImageBytes, read_image
from label_detection_core.labelling.labeller import TryAgainError
from label_detection_core.labelling.labels import Error
from label_detection_core.queue.messages import ImageRef

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Largest size of all images in a task's memory together. On Amazon MWAA, the smallest worker has 2 GB for five tasks.
#: A task needs about 200 MB without images, so 200 MB are left for its images.
MEMORY_BYTES = 128 * 1024 * 1024


class SendsImages(RedactingAwsHook):
    """Base class of the hooks for such services."""

    #: The largest image that the service accepts, in bytes.
    max_bytes: int

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pace: Pace | None = None
        self._memory = ByteBudget(MEMORY_BYTES)

    @cached_property
    def _s3(self) -> S3Client:
        hook = aws_hook("s3", self.aws_conn_id, self.region_name, verify=self.verify, config=self.config)
        client: S3Client = hook.conn
        return client

    def _paced(self, pace: Pace) -> None:
        self._pace = pace
        _ = self._s3  # created here, once, instead of in each thread

    def _told_to_end(self) -> bool:
        return self._pace is not None and self._pace.ended

    @contextmanager
    def picture(self, image: ImageRef) -> Iterator[ImageBytes]:
        """An image's bytes, valid inside the `with` block. Other errors are those of `image_bytes.read_image`.

        Waits while images of other threads fill the memory.

        :raises TryAgainError: when the task must stop while it waits for memory.
        """
        announced = min(image.size if image.size is not None else self.max_bytes, self.max_bytes)
        try:
            with self._memory.room(announced, self._told_to_end) as room:
                picture = read_image(self._s3, image, self.max_bytes, room.resize)
                with closing(picture.content):  # before another image may use the memory
                    yield picture
        except NoRoomError:
            said = "the task had to stop before there was enough memory for the image"
            raise TryAgainError(Error("NoRoom", said), throttled=True) from None
