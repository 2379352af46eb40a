"""Which seeds everything at once is tried with: 20 fixed ones in the whole suite, two new ones in each gate."""

from __future__ import annotations

from collections.abc import Mapping

from tests.seed import SEED

FIRST_SEED = "LABEL_DETECTION_FIRST_SEED"
SEED_COUNT = "LABEL_DETECTION_SEEDS"
_WHOLE_SUITE, _GATE = 20, 2


def seeds(environment: Mapping[str, str], *, is_whole_suite: bool) -> range:
    """The seeds, as the variables say. Else the first is 1, in the gate that of the embedded AWS, which is random."""
    first = int(environment.get(FIRST_SEED, "1" if is_whole_suite else str(SEED)))
    return range(first, first + int(environment.get(SEED_COUNT, str(_WHOLE_SUITE if is_whole_suite else _GATE))))
