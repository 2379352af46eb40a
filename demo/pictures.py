"""What the demo uploads: pictures with and without objects, files no model takes, and keys that are easily mangled.

What must come of each depends on the kind of the model. The same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from demo.kinds import Kind
from demo.photographs import (
    BACKGROUNDS,
    DEFECT,
    LABELS,
    Box,
    Pixels,
    Truth,
    background,
    blotted,
    cut_out,
    encode,
    lay_on,
    scratched,
    second_view,
    weathered,
)

WIDTH, HEIGHT = 640, 480
#: More than any service takes. AWS: 15 MB for an image in S3 (Rekognition), 25 MB to a SageMaker endpoint.
_TOO_MANY_BYTES = 25 * 1024 * 1024 + 1
#: Complete, of one pixel.
_GIF = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")


class Refusal(StrEnum):
    """Error codes for a file that is not taken.

    The first two are Rekognition's, and the pipeline's own for a model that is sent bytes.
    """

    FORMAT = "InvalidImageFormatException"
    TOO_LARGE = "ImageTooLargeException"
    PARAMETER = "InvalidParameterException"  # Rekognition's
    MODEL = "ModelError"  # SageMaker's: the container's own
    VALIDATION = "ValidationException"  # Lookout for Vision's


#: What refuses a picture of too few pixels, where anything does.
_TOO_SMALL = {Kind.REKOGNITION: Refusal.PARAMETER, Kind.LOOKOUT_VISION: Refusal.VALIDATION}
#: What refuses half a picture, whose head is in order: only who decodes it finds out.
_CUT_OFF = {Kind.SAGEMAKER: Refusal.MODEL, Kind.LOOKOUT_VISION: Refusal.VALIDATION}


@dataclass(frozen=True)
class Picture:
    """A file to upload, and what must come of it.

    `truths`: what the model must find in it; `refusal`: the code it is rejected with, None for a good picture;
    `uploads`: how often it is put under its key, each time an event. `anomalous`: what a model that looks for anomalies
    must say of it, None for any other; `where_known`: whether `truths` has all that it may find.
    """

    key: str
    body: bytes = field(repr=False)
    content_type: str
    truths: tuple[Truth, ...] = ()
    refusal: Refusal | None = None
    uploads: int = 1
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    anomalous: bool | None = None
    where_known: bool = True

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


_SECOND_VIEW = "garage/second view.jpg"
#: Of a picture that shows none of the things: it is all a defect.
_EVERYWHERE = Truth(DEFECT, Box(0, 0, 1, 1))
_SPOILED = (
    *((label, blotted, "blot") for label in LABELS),
    *((label, scratched, "scratch") for label in ("cup", "astronaut")),
)


def examples(folder: Path) -> None:
    """Write an example picture of each object, one folder a label: what the embedded model learns from."""
    for label in LABELS:
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{label}.png").write_bytes(encode(cut_out(label), ".png"))


def pictures(kind: Kind = Kind.REKOGNITION, seed: int = 3) -> list[Picture]:
    """All pictures of the demo, good ones first, with what a model of this kind must make of them."""
    things, others = [*_with_objects(seed)], [*_without_objects(seed)]
    if kind is Kind.LOOKOUT_VISION:
        things = [_judged(picture) for picture in things]
        others = [*_spoiled(seed), *(replace(p, anomalous=True, truths=(_EVERYWHERE,)) for p in others)]
    if kind is Kind.SAGEMAKER:
        others.append(Picture("empty/thumbnail.png", _thumbnail(seed), "image/png"))
    return [*things, *others, *_bad(seed, kind)]


def _judged(picture: Picture) -> Picture:
    """A picture of things for a model that looks for anomalies: normal, but for the view that is no example's.

    Where that one differs is not known: it is all a little different.
    """
    is_other_view = picture.key == _SECOND_VIEW
    return replace(picture, truths=(), anomalous=is_other_view, where_known=not is_other_view)


def _spoiled(seed: int) -> Iterator[Picture]:
    """Each thing with a blot, and some with a scratch: the truth is where that was painted."""
    for number, (label, spoil, name) in enumerate(_SPOILED):
        rng = np.random.default_rng([seed, 3000 + number])
        scene = background(BACKGROUNDS[(2 * number + 1) % len(BACKGROUNDS)], WIDTH, HEIGHT)
        pixels, thing = lay_on(scene, label, (0, 0, WIDTH, HEIGHT), rng)
        pixels, defect = spoil(pixels, thing.box)
        yield replace(_picture(f"spoiled/{label} with a {name}.jpg", weathered(pixels, rng), (defect,)), anomalous=True)


def _with_objects(seed: int) -> Iterator[Picture]:
    """One object for each hard key, two pictures with two, and a real second photograph; two share their bytes."""
    laid = [_laid(seed, number, (LABELS[number % len(LABELS)],), key) for number, key in enumerate(HARD_KEYS)]
    first, *rest = laid
    yield Picture(**{**vars(first), "metadata": {"camera": "line 3", "shot": "1"}, "tags": {"shift": "night 1"}})
    yield from rest
    for number, pair in enumerate((("cup", "motorcycle"), ("astronaut", "cat"))):
        yield _laid(seed, len(HARD_KEYS) + number, pair, f"pairs/{pair[0]} and {pair[1]}.png")
    pixels, truth = second_view()
    yield Picture(_SECOND_VIEW, encode(pixels, ".jpg"), "image/jpeg", (truth,))
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


def _thumbnail(seed: int) -> bytes:
    """A good PNG of fewer pixels than Rekognition and Lookout for Vision take; SageMaker has no such limit."""
    small = np.random.default_rng([seed, 2001]).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    return encode(small, ".png")


def _bad(seed: int, kind: Kind) -> Iterator[Picture]:
    """Files that no model takes; each must be kept and explained, and none may hold up the others."""
    rng = np.random.default_rng([seed, 2000])
    noise = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    jpeg = encode(np.asarray(cv2.GaussianBlur(noise, (31, 31), 0), dtype=np.uint8), ".jpg")
    yield Picture("bad/words.png", b"This is not a picture.\n", "image/png", refusal=Refusal.FORMAT)
    yield Picture("bad/nothing.jpg", b"", "image/jpeg", refusal=Refusal.FORMAT)
    yield Picture("bad/a gif.png", _GIF, "image/png", refusal=Refusal.FORMAT)
    yield Picture(
        "bad/far too large.jpg",
        jpeg + bytes(_TOO_MANY_BYTES - len(jpeg)),
        "image/jpeg",
        refusal=Refusal.TOO_LARGE,
    )
    if small := _TOO_SMALL.get(kind):
        yield Picture("bad/thumbnail.png", _thumbnail(seed), "image/png", refusal=small)
    if broken := _CUT_OFF.get(kind):
        yield Picture("bad/cut off.jpg", jpeg[: len(jpeg) // 2], "image/jpeg", refusal=broken)
