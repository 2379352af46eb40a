"""How large a run is."""

from __future__ import annotations

from typing import Any

import pytest

from include.plan import make_plan
from include.settings import Settings
from tests.include.test_settings import RIGHT


@pytest.mark.parametrize(
    ("backlog", "options", "units", "tasks"),
    [
        pytest.param(1, {}, 1, 1, id="one image"),
        pytest.param(0, {}, 1, 1, id="none left by now"),
        pytest.param(30, {}, 1, 2, id="thirty"),
        pytest.param(1_000_000, {}, 1, 4, id="a million within the defaults"),
        pytest.param(10_000, {"max_inference_units": 5}, 2, 4, id="more units as the backlog asks"),
        pytest.param(1_000_000, {"max_inference_units": 5}, 5, 4, id="never more than allowed"),
        pytest.param(1, {"min_inference_units": 3, "max_inference_units": 5}, 3, 1, id="never fewer than allowed"),
        pytest.param(1_000_000, {"max_tasks": 1}, 1, 1, id="one task"),
    ],
)
def test_the_size_follows_the_backlog_within_the_options(
    backlog: int, options: dict[str, Any], units: int, tasks: int
) -> None:
    plan = make_plan(Settings(**RIGHT, **options), backlog)
    assert (plan.units, plan.tasks) == (units, tasks)
    assert 2 <= plan.workers <= 32
    assert str(backlog) in plan.reason


def test_a_run_of_the_greatest_size_keeps_its_threads_bounded() -> None:
    options = {"min_inference_units": 100, "max_inference_units": 100, "images_per_second_per_unit": 1000}
    assert make_plan(Settings(**RIGHT, **options), 10**9).workers == 32
