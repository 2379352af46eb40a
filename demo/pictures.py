"""What the demo uploads: pictures with and without objects, files no model takes, and keys that are easily mangled.

The same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from demo.photographs import (
    BACKGROUNDS,
    LABELS,
    Pixels,
    Truth,
    background,
    cut_out,
    encode,
    lay_on,
    second_view,
    weathered,
)

WIDTH, HEIGHT = 640, 480
#: AWS: 15 MB at most for an image in S3 (Rekognition, guidelines and quotas).
_TOO_MANY_BYTES = 15 * 1024 * 1024 + 1
#: Complete, of one pixel.
_GIF = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")


class Refusal(StrEnum):
    """Rekognition's error codes for a file it does not take."""

    FORMAT = "InvalidImageFormatException"
    TOO_LARGE = "ImageTooLargeException"
    PARAMETER = "InvalidParameterException"


@dataclass(frozen=True)
class Picture:
    """A file to upload, and what must come of it.

    `truths`: the objects in it; `refusal`: the code it is rejected with, None for a good picture; `uploads`: how
    often it is put under its key, each time an event.
    """

    key: str
    body: bytes = field(repr=False)
    content_type: str
    truths: tuple[Truth, ...] = ()
    refusal: Refusal | None = None
    uploads: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether it is an image that a model takes."""
        return self.refusal is None


#: Keys that are easily mangled on the way through events, URLs, pages and file names.
HARD_KEYS = (
    "line 3/part 001.png",
    "line 3/1+1=2 + 3.png",
    "100% sharp/%41%2B already encoded.jpg",
    "café/crème brûlée é.jpg",
    "猫/猫の写真.png",
    'quotes/it\'s "quoted" & `ticked`.jpg',
    "<script>alert(1)</script>.png",
    "a/b/c/d/e/nested.jpg",
    "UPPER CASE/PART.JPG",
    "query?a=b;c#fragment.png",
    " a space at each end .png",
    "two.dots.and.a.dash-0123456789.png",
    "emoji/🏍️ out of the garage.jpg",
    f"long/{'x' * 991}.png",  # 1,000 bytes
    f"longest/{'猫' * 337}.jpeg",  # 1,024 bytes, S3's limit: cut before the id
)


def examples(folder: Path) -> None:
    """Write an example picture of each object, one folder a label: what the embedded model learns from."""
    for label in LABELS:
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{label}.png").write_bytes(encode(cut_out(label), ".png"))


def pictures(seed: int = 3) -> list[Picture]:
    """All pictures of the demo, good ones first."""
    return [*_with_objects(seed), *_without_objects(seed), *_bad(seed)]


def _with_objects(seed: int) -> Iterator[Picture]:
    """One object for each hard key, two pictures with two, and a real second photograph; two share their bytes."""
    laid = [_laid(seed, number, (LABELS[number % len(LABELS)],), key) for number, key in enumerate(HARD_KEYS)]
    first, *rest = laid
    yield Picture(**{**vars(first), "metadata": {"camera": "line 3", "shot": "1"}, "tags": {"shift": "night 1"}})
    yield from rest
    for number, pair in enumerate((("cup", "motorcycle"), ("astronaut", "cat"))):
        yield _laid(seed, len(HARD_KEYS) + number, pair, f"pairs/{pair[0]} and {pair[1]}.png")
    pixels, truth = second_view()
    yield Picture("garage/second view.jpg", encode(pixels, ".jpg"), "image/jpeg", (truth,))
    copied = rest[0]
    yield Picture("line 4/the very same picture.png", copied.body, copied.content_type, copied.truths)
    yield Picture(**{**vars(rest[2]), "key": "line 4/uploaded twice.jpg", "uploads": 2})


def _laid(seed: int, number: int, labels: tuple[str, ...], key: str) -> Picture:
    """Objects side by side on a photograph, as a PNG or a JPEG by the key."""
    rng = np.random.default_rng([seed, number])
    width = WIDTH * len(labels)
    pixels = background(BACKGROUNDS[number % len(BACKGROUNDS)], width, HEIGHT)
    truths = []
    for place, label in enumerate(labels):
        pixels, truth = lay_on(pixels, label, (WIDTH * place, 0, WIDTH * (place + 1), HEIGHT), rng)
        truths.append(truth)
    return _picture(key, weathered(pixels, rng), tuple(truths))


def _picture(key: str, pixels: Pixels, truths: tuple[Truth, ...] = ()) -> Picture:
    is_jpeg = key.lower().endswith((".jpg", ".jpeg"))
    suffix, content_type = (".jpg", "image/jpeg") if is_jpeg else (".png", "image/png")
    return Picture(key, encode(pixels, suffix), content_type, truths)


def _without_objects(seed: int) -> Iterator[Picture]:
    """Photographs that show none of the objects: no label must be found."""
    for number, name in enumerate(("brick.png", "gravel.png", "hubble_deep_field.jpg", "rocket.jpg", "coins.png")):
        rng = np.random.default_rng([seed, 1000 + number])
        yield _picture(f"empty/{name}", weathered(background(name, WIDTH, HEIGHT), rng))


def _bad(seed: int) -> Iterator[Picture]:
    """Files that no model takes; each must be kept and explained, and none may hold up the others."""
    rng = np.random.default_rng([seed, 2000])
    noise = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    jpeg = encode(np.asarray(cv2.GaussianBlur(noise, (31, 31), 0), dtype=np.uint8), ".jpg")
    small = rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    yield Picture("bad/words.png", b"This is not a picture.\n", "image/png", refusal=Refusal.FORMAT)
    yield Picture("bad/nothing.jpg", b"", "image/jpeg", refusal=Refusal.FORMAT)
    yield Picture("bad/a gif.png", _GIF, "image/png", refusal=Refusal.FORMAT)
    yield Picture(
        "bad/far too large.jpg",
        jpeg + bytes(_TOO_MANY_BYTES - len(jpeg)),
        "image/jpeg",
        refusal=Refusal.TOO_LARGE,
    )
    yield Picture(
        "bad/thumbnail.png",
        encode(small, ".png"),
        "image/png",
        refusal=Refusal.PARAMETER,
    )
