"""Whether a run that holds the model still works."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.utils.state import DagRunState, State, TaskInstanceState

from label_detection_core.model.at_work import IDLE, why_left

#: By state in Airflow: whether a task in it is at work, and whether a teardown in it has ended for good.
TASKS: dict[str | None, tuple[bool, bool]] = {
    None: (False, False),
    "scheduled": (True, False),
    "queued": (True, False),
    "running": (True, False),
    "restarting": (True, False),
    "deferred": (True, False),
    "up_for_reschedule": (True, False),
    "awaiting_input": (True, False),
    "up_for_retry": (False, False),
    "success": (False, True),
    "failed": (False, True),
    "upstream_failed": (False, True),
    "skipped": (False, True),
    "removed": (False, True),
}
#: By state in Airflow: whether a run in it has ended.
RUNS = {"queued": False, "running": False, "success": True, "failed": True}
NOT_IDLE = timedelta(0)


@pytest.mark.parametrize(("state", "at_work"), [(state, one[0]) for state, one in TASKS.items()], ids=str)
def test_a_running_run_is_left_once_no_task_has_been_at_work_for_two_minutes(state: str | None, at_work: bool) -> None:
    tasks = {"plan_run": "success", "analyse_images_0": state, "stop_model": None}
    assert bool(why_left("running", tasks, IDLE)) is not at_work
    assert why_left("running", tasks, IDLE - timedelta(seconds=1)) is None


@pytest.mark.parametrize("idle_for", [NOT_IDLE, IDLE], ids=["just now", "long ago"])
@pytest.mark.parametrize("run", [run for run, ended in RUNS.items() if ended])
@pytest.mark.parametrize(("stop", "is_final"), [(state, one[1]) for state, one in TASKS.items()], ids=str)
@pytest.mark.parametrize("stop_task", ["stop_model", "group.stop_model", "switch_it_off"])
def test_an_ended_run_is_over_when_its_stop_has_ended(
    run: str, stop: str | None, is_final: bool, stop_task: str, idle_for: timedelta
) -> None:
    assert bool(why_left(run, {"plan_run": "success", stop_task: stop}, idle_for)) is is_final


def test_unfinished_tasks_other_than_the_stop_do_not_keep_the_model_on() -> None:
    assert why_left("failed", {"plan_run": None, "stop_model": "failed"}, NOT_IDLE)


def test_a_run_that_waits_to_be_scheduled_is_not_left() -> None:
    assert why_left("queued", {"plan_run": None}, IDLE) is None


def test_a_run_that_was_deleted_is_left() -> None:
    assert why_left(None, {}, NOT_IDLE) == "the run was deleted"


def test_the_tables_have_every_state_that_the_installed_airflow_has() -> None:
    assert {state and state.value for state in State.task_states} <= TASKS.keys()
    assert {state.value for state in DagRunState} == RUNS.keys()


def test_an_airflow_enum_counts_as_its_text() -> None:
    assert why_left(DagRunState.RUNNING, {"a": TaskInstanceState.RUNNING}, IDLE) is None
    said = why_left(DagRunState.FAILED, {"stop_model": TaskInstanceState.SKIPPED}, NOT_IDLE)
    assert said == "the run is over: it is failed, stop_model skipped"
