"""Size and grey pixels of PNG and JPEG images; the content decides the format."""

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})

Gray = NDArray[np.uint8]


class UnreadableError(ValueError):
    """The content is neither PNG nor JPEG, or it cannot be decoded."""


@dataclass(frozen=True)
class DecodedImage:
    """A decoded, upright image: its grey pixels, perhaps scaled down, and its full size in pixels."""

    gray: Gray
    width: int
    height: int


def decode(content: bytes, matching_side: int) -> DecodedImage:
    """Decode an image, scaled down while its longer side keeps at least ``matching_side`` pixels.

    Raises UnreadableError.
    """
    width, height = size_in_pixels(content)
    gray = decode_gray(content, max(width, height) // matching_side)
    if gray is None:
        raise UnreadableError
    if (gray.shape[0] > gray.shape[1]) != (height > width) and width != height:
        width, height = height, width  # the EXIF orientation turned the image
    return DecodedImage(gray, width, height)


def decode_gray(content: bytes, shrink: int = 1) -> Gray | None:
    """The image's grey pixels, or None if it cannot be decoded.

    ``shrink`` of at least 2, 4 or 8 scales the image to 1/2, 1/4 or 1/8 of its size.
    """
    flag = cv2.IMREAD_GRAYSCALE
    for factor, reduced in (
        (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
        (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
        (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    ):
        if shrink >= factor:
            flag = reduced
            break
    try:
        gray = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error:
        return None
    return None if gray is None else gray.astype(np.uint8, copy=False)


def size_in_pixels(content: bytes) -> tuple[int, int]:
    """Width and height from the header, so that a huge image need not be decoded. Raises UnreadableError."""
    size = None
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and len(content) >= 24:
        size = struct.unpack(">II", content[16:24])
    elif content.startswith(_JPEG):
        size = _jpeg_size(content)
    if size is None or 0 in size:
        raise UnreadableError
    return int(size[0]), int(size[1])


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(content):
        if content[position] != 0xFF:
            return None
        marker = content[position + 1]
        if marker == 0xFF or marker in _JPEG_BARE_MARKERS:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_SIZE_MARKERS:
            height, width = struct.unpack(">HH", content[position + 5 : position + 9])
            return width, height
        (length,) = struct.unpack(">H", content[position + 2 : position + 4])
        position += 2 + length
    return None
