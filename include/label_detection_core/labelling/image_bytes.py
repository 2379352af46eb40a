"""An image's bytes, for models that are sent them: read from S3, and looked at before they are sent."""

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

_CONTENT_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg"}  # MPO: several JPEGs in one file
_ORIENTATION = 0x0112
_LYING = {5, 6, 7, 8}  # EXIF: turned by a quarter
#: AWS: archived; encrypted with a key that only its owner has.
_NEVER_READ = {"InvalidObjectState", "InvalidRequest"}
_IHDR_ENDS = 33
_CHUNK = 64 * 1024
#: EXIF data is for JPEGs at first, where 64 KB are the most. A PNG with more chunks is made to keep a reader busy.
_LONGEST_EXIF = 1024 * 1024
_MOST_CHUNKS = 100_000
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ImageBytes:
    """A PNG or a JPEG. `content`: as an open file, at its beginning.

    `width` and `height`: pixels, as it is looked at, turned as its EXIF data says.
    """

    content: mmap
    content_type: str
    width: int
    height: int


def read_image(
    s3: S3Client, image: ImageRef, max_bytes: int, make_room: Callable[[int], None] = lambda _: None
) -> ImageBytes:
    """The very version that the event named.

    :param make_room: called with its size in bytes before it is read.
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
    with closing(answer["Body"]) as body:
        if answer["ContentLength"] > max_bytes:
            size = f"{answer['ContentLength']:,} bytes; the model takes at most {max_bytes:,}"
            raise ImageRefusedError(Error("ImageTooLargeException", size))
        make_room(answer["ContentLength"])
        content = _read(body, answer["ContentLength"])
    found = _look_at(content)
    content.seek(0)
    return found


def _read(body: StreamingBody, size: int) -> mmap:
    """The bytes, in memory outside the heap: that of a process with many threads keeps several times what they need."""
    content = mmap(-1, max(size, 1))
    for chunk in body.iter_chunks(_CHUNK):
        content.write(chunk)
    return content


def _look_at(content: mmap) -> ImageBytes:
    """Its header alone: what is wrong with its pixels the model finds out."""
    try:
        content.seek(0)
        with Image.open(cast("IO[bytes]", content), formats=("PNG", "JPEG")) as picture:
            width, height = picture.size
            content_type = _CONTENT_TYPES[str(picture.format)]
            is_png = picture.format == "PNG"
            orientation = _png_orientation(content) if is_png else picture.getexif().get(_ORIENTATION)
    except Exception as error:  # whatever it is: Pillow says in many ways that it cannot make sense of a file
        size = _png_size(content)  # it is strict about what a PNG may have beside its pixels
        if not size:
            said = f"no PNG or JPEG to be read: {error}"
            raise ImageRefusedError(Error("InvalidImageFormatException", said)) from error
        (width, height), content_type, orientation = size, "image/png", _png_orientation(content)
    return ImageBytes(content, content_type, *((height, width) if orientation in _LYING else (width, height)))


def _png_orientation(content: mmap) -> int | None:
    """What a PNG's EXIF data says of how it is looked at, 1-8; None: nothing that can be read.

    The chunk may stand before the pixels or after them (PNG 3rd edition, 11.3.4.5). Pillow looks behind the pixels only
    after it has decoded them all.
    """
    for kind, data in _png_chunks(content):
        if kind == b"eXIf":
            exif = Image.Exif()
            try:
                exif.load(bytes(data[:_LONGEST_EXIF]))
                return exif.get(_ORIENTATION)
            except Exception:  # noqa: BLE001  # as above; an image is not refused for what stands beside its pixels
                return None
    return None


def _png_chunks(content: mmap) -> Iterator[tuple[bytes, memoryview]]:
    """Name and data of each chunk, without decoding any."""
    whole, at = memoryview(content), len(_PNG)
    for _ in range(_MOST_CHUNKS):
        length, kind = int.from_bytes(whole[at : at + 4]), bytes(whole[at + 4 : at + 8])
        data, end = whole[at + 8 : at + 8 + length], at + 12 + length
        if end > len(whole) or kind == b"IEND":
            return
        yield kind, data
        at = end


def _png_size(content: mmap) -> tuple[int, int] | None:
    """What a PNG's header says; None: it is none, or of more pixels than Pillow takes."""
    if content[: len(_PNG)] != _PNG or content[12:16] != b"IHDR" or len(content) < _IHDR_ENDS:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return (width, height) if 0 < width * height <= (Image.MAX_IMAGE_PIXELS or 0) else None
