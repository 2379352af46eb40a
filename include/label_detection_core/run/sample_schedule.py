"""What the same images would cost on the schedule of the AWS sample that this project grew out of.

Its state machine starts the model, looks every 900 seconds whether it runs, then keeps it on in steps of 3,540 seconds
until the queue is empty.
"""

from __future__ import annotations

import math

LOOK_SECONDS = 900
HOLD_SECONDS = 3540


def sample_model_seconds(images: int, images_per_second: float, start_seconds: float) -> float:
    """How long it has the model on, from the start request until it asks for its end."""
    looks = max(math.ceil(start_seconds / LOOK_SECONDS), 1)
    holds = max(math.ceil(images / images_per_second / HOLD_SECONDS), 1)
    return float(looks * LOOK_SECONDS + holds * HOLD_SECONDS)
