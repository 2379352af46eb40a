"""The demo's uploads: pictures with and without objects, files that no model accepts, and difficult keys.

The expected outcome of each depends on the model type. Equal seeds give equal bytes.
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
#: More than any service accepts. AWS: 15 MB for an image in S3 (Rekognition), 25 MB to a SageMaker endpoint.
_TOO_MANY_BYTES = 25 * 1024 * 1024 + 1
#: A complete GIF of one pixel.
_GIF = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")


class Refusal(StrEnum):
    """Error codes of rejected files.

    The first two are Rekognition's. The pipeline also uses them itself for a model that gets the bytes of an image.
    """

    FORMAT = "InvalidImageFormatException"
    TOO_LARGE = "ImageTooLargeException"
    PARAMETER = "InvalidParameterException"  # Rekognition's
    MODEL = "ModelError"  # SageMaker's, for an error of the container
    VALIDATION = "ValidationException"  # Lookout for Vision's


#: The error code for a picture with too few pixels, by model type; SageMaker has no such limit.
_TOO_SMALL = {Kind.REKOGNITION: Refusal.PARAMETER, Kind.LOOKOUT_VISION: Refusal.VALIDATION}
#: The error code for half a picture. Its header is valid, so only a decoder notices that the rest is missing.
_CUT_OFF = {Kind.SAGEMAKER: Refusal.MODEL, Kind.LOOKOUT_VISION: Refusal.VALIDATION}


@dataclass(frozen=True)
class Picture:
    """A file to upload, and its expected outcome.

    `truths`: the objects that the model must find; `refusal`: the error code of its rejection, None for a good picture;
    `uploads`: the number of uploads with this key, each of which sends an event; `anomalous`: the judgement that a
    model must give that detects anomalies, None for any other model; `where_known`: whether `truths` is complete.
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
        """Whether it is a picture that the model accepts."""
        return self.refusal is None


#: Keys with characters that need care in events, URLs, pages and file names.
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
    f"longest/{'猫' * 337}.jpeg",  # 1,024 bytes, S3's limit: the final key must be cut to make room for the id
)


_SECOND_VIEW = "garage/second view.jpg"
#: The truth of a picture without any of the objects: the whole picture is a defect.
_EVERYWHERE = Truth(DEFECT, Box(0, 0, 1, 1))
_SPOILED = (
    *((label, blotted, "blot") for label in LABELS),
    *((label, scratched, "scratch") for label in ("cup", "astronaut")),
)


def examples(folder: Path) -> None:
    """Write an example picture of each object for the embedded model, one folder per label."""
    for label in LABELS:
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{label}.png").write_bytes(encode(cut_out(label), ".png"))


def pictures(kind: Kind = Kind.REKOGNITION, seed: int = 3) -> list[Picture]:
    """All pictures of the demo, good ones first, with the outcome that a model of this type must give."""
    things, others = [*_with_objects(seed)], [*_without_objects(seed)]
    if kind is Kind.LOOKOUT_VISION:
        things = [_judged(picture) for picture in things]
        others = [*_spoiled(seed), *(replace(p, anomalous=True, truths=(_EVERYWHERE,)) for p in others)]
    if kind is Kind.SAGEMAKER:
        others.append(Picture("empty/thumbnail.png", _thumbnail(seed), "image/png"))
    return [*things, *others, *_bad(seed, kind)]


def _judged(picture: Picture) -> Picture:
    """A picture of objects, for a model that detects anomalies: normal, except for the second view.

    No example shows the second view, and it differs a little everywhere, so the place of its anomaly is not known.
    """
    is_other_view = picture.key == _SECOND_VIEW
    return replace(picture, truths=(), anomalous=is_other_view, where_known=not is_other_view)


def _spoiled(seed: int) -> Iterator[Picture]:
    """Each object with a blot, and some with a scratch; the truth is the painted place."""
    for number, (label, spoil, name) in enumerate(_SPOILED):
        rng = np.random.default_rng([seed, 3000 + number])
        scene = background(BACKGROUNDS[(2 * number + 1) % len(BACKGROUNDS)], WIDTH, HEIGHT)
        pixels, thing = lay_on(scene, label, (0, 0, WIDTH, HEIGHT), rng)
        pixels, defect = spoil(pixels, thing.box)
        yield replace(_picture(f"spoiled/{label} with a {name}.jpg", weathered(pixels, rng), (defect,)), anomalous=True)


def _with_objects(seed: int) -> Iterator[Picture]:
    """Pictures with objects: one object for each difficult key, two objects in a pair, and the second photograph.

    Two pictures have equal bytes, and one is uploaded twice.
    """
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
    """Objects side by side on a photograph; the key's suffix decides between PNG and JPEG."""
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
    """Photographs without any of the objects: the model must find no label."""
    for number, name in enumerate(("brick.png", "gravel.png", "hubble_deep_field.jpg", "rocket.jpg", "coins.png")):
        rng = np.random.default_rng([seed, 1000 + number])
        yield _picture(f"empty/{name}", weathered(background(name, WIDTH, HEIGHT), rng))


def _thumbnail(seed: int) -> bytes:
    """A valid PNG with fewer pixels than Rekognition and Lookout for Vision accept; SageMaker has no such limit."""
    small = np.random.default_rng([seed, 2001]).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    return encode(small, ".png")


def _bad(seed: int, kind: Kind) -> Iterator[Picture]:
    """Files that no model accepts; each must be kept with its reason, and none may delay the other pictures."""
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
