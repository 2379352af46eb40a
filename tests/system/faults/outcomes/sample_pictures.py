"""Pictures for the fault suite: few pixels, objects that the embedded model finds, no two with the same bytes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from demo.photographs import BACKGROUNDS, LABELS, background, encode, lay_on

_WIDTH, _HEIGHT = 320, 240
_VIEWS = 3  # of each object
#: What no model takes.
TEXT = b"This is not a picture: "


@cache
def scenes() -> dict[str, bytes]:
    """JPEGs by name: each object in a few places, and one picture without any."""
    made = {}
    for number in range(_VIEWS * len(LABELS)):
        rng = np.random.default_rng([11, number])
        label = LABELS[number % len(LABELS)]
        pixels, _ = lay_on(_ground(number), label, (0, 0, _WIDTH, _HEIGHT), rng)
        made[f"{label} {number // len(LABELS)}"] = encode(pixels, ".jpg")
    return made | {"empty": encode(_ground(1), ".jpg")}


def _ground(number: int) -> Any:
    return background(BACKGROUNDS[number % len(BACKGROUNDS)], _WIDTH, _HEIGHT)


def with_own_bytes(body: bytes, mark: str) -> bytes:
    """The same picture with other bytes: a decoder does not read what stands behind it."""
    return body + mark.encode()
