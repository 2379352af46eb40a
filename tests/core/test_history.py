"""What earlier runs have measured of a model, and how often a starting model is looked at."""

from __future__ import annotations

import pytest

from label_detection_core.model.history import History, seconds_to_next_look


def test_the_last_ten_starts_are_kept() -> None:
    history = History()
    for seconds in range(12):
        history = history.learn(float(seconds), None)
    assert history.start_seconds == tuple(float(seconds) for seconds in range(2, 12))
    assert history.start_range == (2.0, 11.0)


def test_values_that_a_run_has_not_measured_stay() -> None:
    history = History(start_seconds=(300.0,), seconds_per_image=0.4)
    assert history.learn(None, None) == history
    assert history.learn(None, 0.5).seconds_per_image == 0.5


def looks(takes: float, usual: tuple[float, float] | None) -> tuple[int, float]:
    """Number of looks at a model that needs `seconds` to start, and the delay until it is seen running."""
    elapsed, count = 0.0, 1
    while elapsed < takes:
        elapsed += seconds_to_next_look(elapsed, usual)
        count += 1
    return count, elapsed - takes


@pytest.mark.parametrize(
    ("takes", "usual", "most_looks", "latest"),
    [
        pytest.param(8, None, 10, 1, id="first time, seconds"),
        pytest.param(600, None, 170, 5, id="first time, ten minutes"),
        pytest.param(600, (590, 640), 130, 1, id="as usual"),
        pytest.param(540, (590, 640), 65, 1, id="a little early"),
        pytest.param(400, (590, 640), 50, 10, id="far too early"),
        pytest.param(900, (590, 640), 350, 5, id="late"),
        pytest.param(8, (8.2, 8.5), 5, 1, id="the embedded model"),
    ],
)
def test_a_start_is_seen_soon_with_few_looks(
    takes: float, usual: tuple[float, float] | None, most_looks: int, latest: float
) -> None:
    count, late = looks(takes, usual)
    assert count <= most_looks
    assert late <= latest
