"""The checks of two pipelines as a pair. The gate runs the demo with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from demo.kinds import Kind
from demo.pipeline import Pipeline
from demo.two_pipelines import dag_problems, seconds_together
from sandbox.airflow_api import AirflowApi

PIPELINES = (Pipeline("parts", Kind.SAGEMAKER, {}), Pipeline("surfaces", Kind.LOOKOUT_VISION, {}))
RIGHT = [
    "label_detection__parts",
    "label_detection__surfaces",
    "label_detection_backfill__parts",
    "label_detection_backfill__surfaces",
    "label_detection_watchdog",
]


class Dags(AirflowApi):
    """An Airflow with these DAGs."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__("http://nowhere")
        self._ids = ids

    def call(self, method: str, path: str, body: object = None, **params: object) -> Any:
        return {"dags": [{"dag_id": dag_id} for dag_id in self._ids]}


def test_a_dag_and_a_backfill_per_pipeline_and_one_watchdog_is_right() -> None:
    assert list(dag_problems(Dags(RIGHT), PIPELINES)) == []


@pytest.mark.parametrize(
    "ids", [RIGHT[:-1], RIGHT[1:], [*RIGHT, "label_detection"]], ids=["no watchdog", "one", "more"]
)
def test_other_dags_are_named(ids: list[str]) -> None:
    (problem,) = dag_problems(Dags(ids), PIPELINES)
    assert ", ".join(sorted(ids)) in problem


def model(*changes: tuple[str, int]) -> dict[str, Any]:
    history = [{"status": status, "at": f"2026-11-22T06:00:{second:02}+00:00"} for status, second in changes]
    return {"history": [{"status": "TRAINING_COMPLETED", "at": "2026-11-22T05:00:00+00:00"}, *history]}


ON = model(("STARTING", 10), ("RUNNING", 18), ("STOPPING", 30), ("STOPPED", 33))


@pytest.mark.parametrize(
    ("other", "seconds"),
    [
        pytest.param(ON, 23, id="the same"),
        pytest.param(model(("STARTING", 20), ("RUNNING", 28), ("STOPPED", 50)), 13, id="later"),
        pytest.param(model(("STARTING", 40), ("STOPPED", 50)), 0, id="one after the other"),
        pytest.param(model(), 0, id="never on"),
        pytest.param(model(("STARTING", 12)), 0, id="still on"),
    ],
)
def test_how_long_two_models_were_on_together(other: dict[str, Any], seconds: float) -> None:
    assert seconds_together([ON, other]) == seconds
