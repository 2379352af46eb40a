"""An image's bytes, for models that are sent them: read from S3, and looked at before they are sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from PIL import Image

from include import aws_errors
from include.labeller import ImageRefusedError, ImageUnreadableError
from include.labels import Error
from include.messages import ImageRef

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg"}  # MPO: several JPEGs in one file
_ORIENTATION = 0x0112
_LYING = {5, 6, 7, 8}  # EXIF: turned by a quarter
#: AWS: archived; encrypted with a key that only its owner has.
_NEVER_READ = {"InvalidObjectState", "InvalidRequest"}
_IHDR_ENDS = 33
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ImageBytes:
    """A PNG or a JPEG. `width` and `height`: pixels, as it is looked at, turned as its EXIF data says."""

    content: bytes
    content_type: str
    width: int
    height: int


def read_image(s3: S3Client, image: ImageRef, max_bytes: int) -> ImageBytes:
    """The very version that the event named.

    :raises ImageRefusedError: when it is no PNG or JPEG, or larger than `max_bytes`.
    :raises ImageUnreadableError: when it is gone, another version lies there, or S3 will not give this one.
    """
    match: Any = {"IfMatch": f'"{image.etag}"'} if image.etag else {}
    try:
        answer = s3.get_object(Bucket=image.bucket, Key=image.key, **match)
    except ClientError as error:
        if aws_errors.status(error) in {404, 412} or aws_errors.code(error) in _NEVER_READ:
            raise ImageUnreadableError(Error(aws_errors.code(error), aws_errors.message(error))) from error
        raise
    with answer["Body"] as body:
        if answer["ContentLength"] > max_bytes:
            size = f"{answer['ContentLength']:,} bytes; the model takes {max_bytes:,} at the most"
            raise ImageRefusedError(Error("ImageTooLargeException", size))
        return _look_at(body.read())


def _look_at(content: bytes) -> ImageBytes:
    """Its header alone: what is wrong with its pixels the model finds out."""
    try:
        with Image.open(BytesIO(content), formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            # Of a PNG, only what stands before its pixels: to look behind them, Pillow decodes them all.
            has_exif = picture.format != "PNG" or "exif" in picture.info
            lying = has_exif and picture.getexif().get(_ORIENTATION) in _LYING
            content_type = _CONTENT_TYPES[str(picture.format)]
    except Exception as error:  # whatever it is: Pillow says in many ways that it cannot make sense of a file
        if size := _png_size(content):  # it is strict about what a PNG may have beside its pixels
            return ImageBytes(content, "image/png", *size)
        raise ImageRefusedError(Error("InvalidImageFormatException", f"no PNG or JPEG to be read: {error}")) from error
    return ImageBytes(content, content_type, *((height, width) if lying else (width, height)))


def _png_size(content: bytes) -> tuple[int, int] | None:
    """What a PNG's header says; None: it is none, or of more pixels than Pillow takes."""
    if not content.startswith(_PNG) or content[12:16] != b"IHDR" or len(content) < _IHDR_ENDS:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return (width, height) if 0 < width * height <= (Image.MAX_IMAGE_PIXELS or 0) else None
