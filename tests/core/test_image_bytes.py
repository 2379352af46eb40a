"""Images whose bytes are sent to a model: the exact version, and the checks before the call."""

from __future__ import annotations

import struct
import time
import zlib
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from label_detection_core.labelling.image_bytes import read_image
from label_detection_core.labelling.labeller import ImageRefusedError, ImageUnreadableError
from tests.conftest import Aws
from tests.core.conftest import client
from tests.core.images import GIF, TEXT, upload

LIMIT = 20_000
_ORIENTATION = 0x0112


def picture(kind: str, orientation: int | None = None) -> bytes:
    body, exif = BytesIO(), Image.Exif()
    if orientation:
        exif[_ORIENTATION] = orientation
    Image.new("RGB", (120, 80)).save(body, kind, exif=exif)
    return body.getvalue()


def chunks_of(body: bytes) -> list[bytes]:
    """A PNG's chunks, each with its length and checksum."""
    found, at = [], 8
    while at < len(body):
        end = at + 12 + int.from_bytes(body[at : at + 4])
        found.append(body[at:end])
        at = end
    return found


def with_exif_after_the_pixels(orientation: int, more: bytes = b"", exif: bytes = b"") -> bytes:
    """A PNG with its EXIF chunk after the pixels, as PNG allows. `more`: a chunk before it; `exif`: other data."""
    chunks = chunks_of(picture("PNG", orientation))
    own = next(chunk for chunk in chunks if chunk[4:8] == b"eXIf")
    others = [chunk for chunk in chunks if chunk != own]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*others[:-1], more, exif or own, others[-1]])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb() -> bytes:
    """A small PNG whose header declares a huge size."""
    body = picture("PNG")
    header = b"IHDR" + struct.pack(">II", 50_000, 50_000) + body[24:29]
    return body[:12] + header + struct.pack(">I", zlib.crc32(header)) + body[33:]


@pytest.mark.parametrize(
    ("body", "content_type", "size"),
    [
        pytest.param(picture("PNG"), "image/png", (120, 80), id="PNG"),
        pytest.param(picture("JPEG"), "image/jpeg", (120, 80), id="JPEG"),
        pytest.param(picture("MPO"), "image/jpeg", (120, 80), id="JPEGs in one file"),
        pytest.param(picture("JPEG", orientation=3), "image/jpeg", (120, 80), id="JPEG upside down"),
        pytest.param(picture("JPEG", orientation=6), "image/jpeg", (80, 120), id="JPEG on its side"),
        pytest.param(picture("PNG", orientation=8), "image/png", (80, 120), id="PNG on its side"),
        pytest.param(with_exif_after_the_pixels(6), "image/png", (80, 120), id="PNG on its side, EXIF at its end"),
        pytest.param(with_exif_after_the_pixels(3), "image/png", (120, 80), id="PNG upside down, EXIF at its end"),
        pytest.param(
            with_exif_after_the_pixels(6, more=chunk(b"tEXt", b"Comment\0fine")),
            "image/png",
            (80, 120),
            id="PNG on its side, EXIF after a text",
        ),
        pytest.param(
            with_exif_after_the_pixels(6, exif=chunk(b"eXIf", b"not EXIF at all")),
            "image/png",
            (120, 80),
            id="PNG with invalid EXIF data at its end",
        ),
        pytest.param(
            with_exif_after_the_pixels(6, more=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000)))),
            "image/png",
            (80, 120),
            id="PNG on its side with megabytes of text",
        ),
        pytest.param(with_exif_after_the_pixels(6)[:-30], "image/png", (120, 80), id="PNG cut off in its EXIF data"),
        pytest.param(picture("PNG") + chunk(b"eXIf", b"x" * 20), "image/png", (120, 80), id="EXIF data after the end"),
    ],
)
def test_an_images_bytes_are_unchanged_and_its_size_is_that_after_exif(
    aws: Aws, body: bytes, content_type: str, size: tuple[int, int]
) -> None:
    image = upload(aws, "line 3/é+part.bin", body)
    read = read_image(client("s3"), image, LIMIT)
    assert (read.content.read(), read.content_type, (read.width, read.height)) == (body, content_type, size)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(GIF, "InvalidImageFormatException", id="GIF"),
        pytest.param(TEXT, "InvalidImageFormatException", id="text"),
        pytest.param(b"", "InvalidImageFormatException", id="no bytes"),
        pytest.param(picture("PNG")[:20], "InvalidImageFormatException", id="a PNG's beginning"),
        pytest.param(bomb(), "InvalidImageFormatException", id="too many pixels"),
        pytest.param(picture("PNG") + bytes(LIMIT), "ImageTooLargeException", id="too large"),
    ],
)
def test_a_file_that_no_model_accepts_is_refused_before_it_is_sent(aws: Aws, body: bytes, code: str) -> None:
    image = upload(aws, "part.png", body)
    limit = max(LIMIT, len(body) if code.startswith("Invalid") else 0)
    with pytest.raises(ImageRefusedError) as refusal:
        read_image(client("s3"), image, limit)
    assert refusal.value.error.code == code


def with_chunk(kind: bytes, data: bytes, wrong: int = 0) -> bytes:
    """A PNG with one more chunk before its pixels; `wrong`: the error in its checksum."""
    body = picture("PNG")
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", (zlib.crc32(kind + data) + wrong) % 2**32)
    return body[:33] + chunk + body[33:]


def test_a_png_of_a_million_chunks_is_looked_at_in_no_time(aws: Aws) -> None:
    body = with_exif_after_the_pixels(6, more=chunk(b"teSt", b"") * 1_000_000)
    image = upload(aws, "part.png", body)
    started = time.process_time()
    read = read_image(client("s3"), image, len(body))
    assert (read.width, read.height) == (120, 80), "EXIF data behind this many chunks must be ignored"
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(with_chunk(b"tEXt", b"Comment\0fine", wrong=1), id="a text with a wrong checksum"),
        pytest.param(with_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))), id="megabytes of text"),
        pytest.param(with_chunk(b"eXIf", b"not EXIF at all"), id="invalid EXIF"),
    ],
)
def test_other_chunks_do_not_make_a_png_refused(aws: Aws, body: bytes) -> None:
    read = read_image(client("s3"), upload(aws, "part.png", body), LIMIT)
    assert (read.content_type, read.width, read.height) == ("image/png", 120, 80)


def test_an_archived_image_does_not_count_as_a_refused_call(aws: Aws) -> None:
    image = upload(aws, "part.png", picture("PNG"), StorageClass="GLACIER")
    with pytest.raises(ImageUnreadableError):
        read_image(client("s3"), image, LIMIT)


def test_an_image_of_exactly_the_maximum_size_is_accepted(aws: Aws) -> None:
    body = picture("PNG") + bytes(100)
    assert read_image(client("s3"), upload(aws, "part.png", body), len(body)).content.read() == body


@pytest.mark.parametrize(
    "change",
    [{"key": "gone.png"}, {"etag": "0" * 32}, {"bucket": "no-such-bucket-anywhere"}],
    ids=["gone", "overwritten", "no bucket"],
)
def test_another_version_or_a_missing_object_is_not_used(aws: Aws, change: dict[str, str]) -> None:
    image = upload(aws, "part.png", picture("PNG"))
    with pytest.raises(ImageUnreadableError):
        read_image(client("s3"), replace(image, **change), LIMIT)  # type: ignore[arg-type]


def test_an_image_without_an_etag_is_read_in_its_present_version(aws: Aws) -> None:
    image = replace(upload(aws, "part.png", picture("PNG")), etag=None)
    assert read_image(client("s3"), image, LIMIT).content_type == "image/png"
