"""The seeds of the tests that combine all faults: 20 fixed seeds in the whole suite, two new ones in each gate."""

from __future__ import annotations

from collections.abc import Mapping

from tests.seed import SEED

FIRST_SEED = "LABEL_DETECTION_FIRST_SEED"
SEED_COUNT = "LABEL_DETECTION_SEEDS"
_WHOLE_SUITE, _GATE = 20, 2


def seeds(environment: Mapping[str, str], *, is_whole_suite: bool) -> range:
    """The seeds that the variables set. Default: from 1; in the gate, from the embedded AWS's random seed."""
    first = int(environment.get(FIRST_SEED, "1" if is_whole_suite else str(SEED)))
    return range(first, first + int(environment.get(SEED_COUNT, str(_WHOLE_SUITE if is_whole_suite else _GATE))))
