"""The size of a run: inference units and tasks."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection_core.config.settings import Settings
from label_detection_core.model.history import History
from label_detection_core.run.plan import make_plan
from tests.core.test_settings import RIGHT


@pytest.mark.parametrize(
    ("backlog", "options", "units", "tasks"),
    [
        pytest.param(1, {}, 1, 1, id="one image"),
        pytest.param(0, {}, 1, 1, id="none left"),
        pytest.param(30, {}, 1, 2, id="thirty"),
        pytest.param(1_000_000, {}, 1, 2, id="a million with the defaults: two tasks, as one may be lost"),
        pytest.param(9_000, {"max_inference_units": 5}, 1, 2, id="exactly one unit's images within the target"),
        pytest.param(9_001, {"max_inference_units": 5}, 2, 2, id="one image more: another unit"),
        pytest.param(9_001, {"max_inference_units": 5, "target_minutes": 10}, 4, 2, id="a shorter target: more units"),
        pytest.param(9_000, {"max_inference_units": 5, "max_model_minutes": 15}, 2, 2, id="the deadline comes first"),
        pytest.param(1_000_000, {"max_inference_units": 5}, 5, 2, id="never more than allowed"),
        pytest.param(
            10**6,
            {"max_inference_units": 30, "target_minutes": 1},
            30,
            4,
            id="more tasks than two for more than they do",
        ),
        pytest.param(
            1000,
            {"min_inference_units": 100, "max_inference_units": 100, "max_tasks": 50},
            100,
            16,
            id="the largest size",
        ),
        pytest.param(1, {"min_inference_units": 3, "max_inference_units": 5}, 3, 1, id="never fewer than allowed"),
        pytest.param(1_000_000, {"max_tasks": 1}, 1, 1, id="one task"),
    ],
)
def test_the_size_follows_the_backlog_within_the_options(
    backlog: int, options: dict[str, Any], units: int, tasks: int
) -> None:
    plan = make_plan(Settings(**RIGHT, **options), backlog)
    assert (plan.units, plan.tasks) == (units, tasks)
    assert str(backlog) in plan.reason


def test_slow_answers_ask_for_more_tasks_since_a_tasks_threads_are_bounded() -> None:
    settings = Settings(**RIGHT, min_inference_units=5, max_inference_units=5)
    assert make_plan(settings, 10_000, History(seconds_per_image=0.3)).tasks == 2
    assert make_plan(settings, 10_000, History(seconds_per_image=3.0)).tasks == 3


@pytest.mark.parametrize(
    ("start_seconds", "units"),
    [((), 2), ((600.0, 1800.0), 3), ((7200.0,), 5)],
    ids=["not known", "the slowest of late counts", "longer than there is time: a quarter of it is left"],
)
def test_the_time_of_the_start_is_not_available_for_images(start_seconds: tuple[float, ...], units: int) -> None:
    settings = Settings(**RIGHT, max_inference_units=9, target_minutes=60, max_model_minutes=60)
    plan = make_plan(settings, 18_001, History(start_seconds=start_seconds))
    assert plan.units == units


def test_a_model_with_fixed_units_is_planned_with_those() -> None:
    plan = make_plan(Settings(**RIGHT, max_inference_units=9), 1_000_000, fixed_units=3)
    assert (plan.units, plan.max_units) == (3, None)
    assert "the model has 3" in plan.reason


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, None), ({"max_inference_units": 1}, 1), ({"max_inference_units": 7}, 7)],
    ids=["not set", "set to what is the default", "set"],
)
def test_aws_may_add_units_only_if_the_maximum_is_set(options: dict[str, Any], most: int | None) -> None:
    assert make_plan(Settings(**RIGHT, **options), 1).max_units == most
