"""Model time on the schedule of the AWS sample that this project grew out of, for a comparison in the report.

The sample's state machine starts the model, checks every 900 seconds whether it is running, and then keeps it on in
steps of 3,540 seconds until the queue is empty.
"""

from __future__ import annotations

import math

LOOK_SECONDS = 900
HOLD_SECONDS = 3540


def sample_model_seconds(images: int, images_per_second: float, start_seconds: float) -> float:
    """Seconds from the start request to the stop request, on the sample's schedule."""
    looks = max(math.ceil(start_seconds / LOOK_SECONDS), 1)
    holds = max(math.ceil(images / images_per_second / HOLD_SECONDS), 1)
    return float(looks * LOOK_SECONDS + holds * HOLD_SECONDS)
