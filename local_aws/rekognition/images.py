"""Rekognition's limits on images: PNG or JPEG by content, size in bytes, size in pixels."""

from local_aws.decoded_image import DecodedImage, UnreadableError, decode, size_in_pixels
from local_aws.rekognition.exceptions import ImageTooLarge, InvalidImageFormat, InvalidParameter

# https://docs.aws.amazon.com/rekognition/latest/customlabels-dg/limits.html
MAX_BYTES_FROM_S3 = 15 * 1024 * 1024
MAX_BYTES_IN_REQUEST = 4 * 1024 * 1024
MIN_SIDE = 64
MAX_SIDE = 4096
MAX_ASPECT = 20


def read_image(content: bytes, max_bytes: int, matching_side: int) -> DecodedImage:
    """Check and decode an image.

    ``matching_side``: the image is scaled down while its longer side keeps at least this number of pixels.
    Raises ImageTooLarge, InvalidImageFormat, or InvalidParameter for the size in pixels.
    """
    if len(content) > max_bytes:
        raise ImageTooLarge(f"Image size of {len(content)} bytes is larger than the maximum of {max_bytes} bytes")
    try:
        _check_size(*size_in_pixels(content))
        return decode(content, matching_side)
    except UnreadableError as error:
        raise InvalidImageFormat() from error


def _check_size(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise InvalidParameter(
            f"Image dimensions of {width} x {height} pixels are not supported: "
            f"each side must have from {MIN_SIDE} to {MAX_SIDE} pixels"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InvalidParameter(
            f"Image dimensions of {width} x {height} pixels are not supported: "
            f"the longer side must be at most {MAX_ASPECT} times the shorter"
        )
