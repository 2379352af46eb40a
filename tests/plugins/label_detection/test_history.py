"""The history of a model's starts, kept for later runs. Its failures fail no run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from label_detection import history
from label_detection.history import read_history, write_history
from label_detection.operators.run import PlanRunOperator
from label_detection.xcom import pull_plan
from label_detection_core.model.history import History
from tests.plugins.conftest import Run, Variables
from tests.plugins.label_detection.operators.test_write_report import REQUESTED_AT, done, write

if TYPE_CHECKING:
    from tests.conftest import Aws

__all__ = ["done"]
ARN = "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/1/1690000000000"
SEEN = History(start_seconds=(300.0, 310.0), seconds_per_image=0.4)


def test_the_history_is_kept_per_model(variables: Variables) -> None:
    write_history(ARN, SEEN)
    assert read_history(ARN) == SEEN
    assert read_history(ARN.replace("parts", "leaves")) == History()
    assert list(variables.values) == ["label_detection_experience.project.parts.version.1.1690000000000"]


@pytest.mark.parametrize(
    "value", ["what somebody typed", '{"start_seconds": [-1]}', "[]", '{"seconds_per_image": Infinity}']
)
def test_an_edited_variable_counts_as_no_history(variables: Variables, value: str) -> None:
    write_history(ARN, SEEN)
    (name,) = variables.values
    variables.values[name] = value
    assert read_history(ARN) == History()


def test_an_airflow_that_does_not_answer_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def __getattr__(self, _: str) -> Any:
            raise RuntimeError("no answer")

    monkeypatch.setattr(history, "Variable", Silent())
    write_history(ARN, SEEN)
    assert read_history(ARN) == History()


def test_a_run_learns_how_long_the_start_took(aws: Aws, done: Run) -> None:
    write(done)
    assert read_history(aws.settings.model_arn).start_seconds == (600.0,)


def test_an_adopted_model_adds_no_start_time(aws: Aws, done: Run) -> None:
    done.xcoms["start_model", "return_value"]["adopted"] = True
    write(done)
    assert read_history(aws.settings.model_arn).start_seconds == ()


def test_the_time_at_which_the_trigger_saw_the_model_run_is_read(aws: Aws, done: Run) -> None:
    seen_at = (REQUESTED_AT + timedelta(minutes=5)).isoformat()
    done.xcoms["wait_for_model", "return_value"] = f'"{seen_at}"'  # Airflow encodes a trigger's XComs twice
    assert datetime.fromisoformat(write(done)["model"]["running_at"]) == REQUESTED_AT + timedelta(minutes=5)


def test_the_time_of_a_cleared_runs_first_attempt_does_not_count_for_this_one(aws: Aws, done: Run) -> None:
    again = REQUESTED_AT + timedelta(hours=3)
    done.started(again, again + timedelta(hours=1))
    assert write(done)["model"]["running_at"] is None
    assert read_history(aws.settings.model_arn).start_seconds == ()


def test_the_next_plan_uses_the_history(aws: Aws, run: Run) -> None:
    write_history(aws.settings.model_arn, SEEN)
    run.execute(PlanRunOperator(task_id="plan_run"))
    plan = pull_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert plan is not None
    assert (plan.seconds_per_image, plan.start_seconds) == (0.4, (300.0, 310.0))
