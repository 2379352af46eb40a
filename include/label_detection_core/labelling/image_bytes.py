"""Reads an image from S3, for models that receive the bytes, and checks it before it is sent."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from mmap import mmap
from typing import IO, TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError
from PIL import Image

from label_detection_core import aws_errors
from label_detection_core.labelling.labeller import ImageRefusedError, ImageUnreadableError
from label_detection_core.labelling.labels import Error
from label_detection_core.queue.messages import ImageRef

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

_CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg"}  # MPO: several JPEG images in one file
_ORIENTATION = 0x0112
_LYING = {5, 6, 7, 8}  # EXIF: rotated by 90 or 270 degrees
#: AWS: the object is archived, or encrypted with a key that only the uploader has.
_NEVER_READ = {"InvalidObjectState", "InvalidRequest"}
_IHDR_ENDS = 33
_CHUNK = 64 * 1024
#: Limits against PNG files that are made to keep a reader busy. EXIF was designed for JPEG, where it has at most 64 KB.
_LONGEST_EXIF = 1024 * 1024
_MOST_CHUNKS = 100_000
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ImageBytes:
    """A PNG or JPEG image.

    :param content: the file, open at its beginning.
    :param width: in pixels, after the EXIF rotation; `height` as well.
    """

    content: mmap
    content_type: str
    width: int
    height: int


def read_image(
    s3: S3Client, image: ImageRef, max_bytes: int, make_room: Callable[[int], None] = lambda _: None
) -> ImageBytes:
    """Read the version of the image that the event names.

    :param make_room: called with the size in bytes before the image is read.
    :raises ImageRefusedError: when the file is not PNG or JPEG, or larger than `max_bytes`.
    :raises ImageUnreadableError: when the object was deleted or overwritten, or S3 refuses it to every caller.
    """
    match: Any = {"IfMatch": f'"{image.etag}"'} if image.etag else {}
    try:
        answer = s3.get_object(Bucket=image.bucket, Key=image.key, **match)
    except ClientError as error:
        if aws_errors.status(error) in {404, 412} or aws_errors.code(error) in _NEVER_READ:
            raise ImageUnreadableError(Error(aws_errors.code(error), aws_errors.message(error))) from error
        raise
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] > max_bytes:
            size = f"the picture has {answer['ContentLength']:,} bytes; the model accepts at most {max_bytes:,}"
            raise ImageRefusedError(Error("ImageTooLargeException", size))
        make_room(answer["ContentLength"])
        content = _read(body, answer["ContentLength"])
    found = _look_at(content)
    content.seek(0)
    return found


def _read(body: StreamingBody, size: int) -> mmap:
    """Read the bytes into memory outside the heap: with many threads, the heap keeps several times the needed size."""
    content = mmap(-1, max(size, 1))
    for chunk in body.iter_chunks(_CHUNK):
        content.write(chunk)
    return content


def _look_at(content: mmap) -> ImageBytes:
    """Read the header only. The model finds out whether the pixels are valid."""
    try:
        content.seek(0)
        with Image.open(cast("IO[bytes]", content), formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            content_type = _CONTENT_TYPES[str(picture.format)]
            is_png = picture.format == "PNG"
            orientation = _png_orientation(content) if is_png else picture.getexif().get(_ORIENTATION)
    except Exception as error:  # Pillow raises many types for files that it cannot read
        size = _png_size(content)  # Pillow also refuses a PNG for chunks other than its pixels
        if not size:
            why = f"the file is not a readable PNG or JPEG: {error}"
            raise ImageRefusedError(Error("InvalidImageFormatException", why)) from error
        (width, height), content_type, orientation = size, "image/png", _png_orientation(content)
    return ImageBytes(content, content_type, *((height, width) if orientation in _LYING else (width, height)))


def _png_orientation(content: mmap) -> int | None:
    """Return the EXIF orientation of a PNG, 1-8; None if it has none, or none that can be read.

    The EXIF chunk may be before or after the pixels (PNG 3rd edition, 11.3.4.5). Pillow reads chunks after the pixels
    only once it has decoded all pixels.
    """
    for kind, data in _png_chunks(content):
        if kind == b"eXIf":
            exif = Image.Exif()
            try:
                exif.load(bytes(data[:_LONGEST_EXIF]))
                return exif.get(_ORIENTATION)
            except Exception:  # noqa: BLE001  # as above; an image is not refused for its EXIF data
                return None
    return None


def _png_chunks(content: mmap) -> Iterator[tuple[bytes, memoryview]]:
    """Yield name and data of each chunk, not decoded."""
    whole, at = memoryview(content), len(_PNG)
    for _ in range(_MOST_CHUNKS):
        length, kind = int.from_bytes(whole[at : at + 4]), bytes(whole[at + 4 : at + 8])
        data, end = whole[at + 8 : at + 8 + length], at + 12 + length
        if end > len(whole) or kind == b"IEND":
            return
        yield kind, data
        at = end


def _png_size(content: mmap) -> tuple[int, int] | None:
    """Return width and height of a PNG; None if it is not a PNG, or has more pixels than Pillow accepts."""
    if content[: len(_PNG)] != _PNG or content[12:16] != b"IHDR" or len(content) < _IHDR_ENDS:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return (width, height) if 0 < width * height <= (Image.MAX_IMAGE_PIXELS or 0) else None
