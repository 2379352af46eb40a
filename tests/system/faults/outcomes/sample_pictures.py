"""Small pictures for the fault suite, with objects that the embedded model finds. No two have the same bytes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from demo.photographs import BACKGROUNDS, LABELS, Box, background, encode, lay_on
from tests.system.faults.kind import kind

_WIDTH, _HEIGHT = 320, 240
_VIEWS = 3  # views per object
#: A text that every model refuses.
TEXT = b"This is not a picture: "


@cache
def scenes() -> dict[str, bytes]:
    """JPEGs by name: each object in several places, and one empty picture. The model answers each differently."""
    made = {}
    for number in range(_VIEWS * len(LABELS)):
        rng = np.random.default_rng([11, number])
        label = LABELS[number % len(LABELS)]
        pixels, truth = lay_on(_ground(number), label, (0, 0, _WIDTH, _HEIGHT), rng)
        if kind() == "lookoutvision" and number >= len(LABELS):  # to this model, all undamaged objects are equal
            _spoil(pixels, truth.box, rng)
        made[f"{label} {number // len(LABELS)}"] = encode(pixels, ".jpg")
    return made | {"empty": encode(_ground(1), ".jpg")}


def _spoil(pixels: Any, box: Box, rng: np.random.Generator) -> None:
    """Damage an object: paint over a quarter of its height and width at a random place."""
    x, y = rng.uniform(0.2, 0.55, 2)
    left, top = int((box.left + box.width * x) * _WIDTH), int((box.top + box.height * y) * _HEIGHT)
    pixels[top : top + int(box.height * _HEIGHT / 4), left : left + int(box.width * _WIDTH / 4)] = 0


def _ground(number: int) -> Any:
    return background(BACKGROUNDS[number % len(BACKGROUNDS)], _WIDTH, _HEIGHT)


def with_own_bytes(body: bytes, mark: str) -> bytes:
    """The picture with `mark` appended: other bytes, but decoders ignore bytes after the end of the picture."""
    return body + mark.encode()
