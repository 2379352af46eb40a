"""Whether a run that holds a model is at work."""

from __future__ import annotations

import pytest
from airflow.utils.state import DagRunState, State, TaskInstanceState

from label_detection_core.model.at_work import has_ended, is_at_work, is_over

#: Of each state of Airflow's: whether a task in it is at work, and whether a teardown in it is over for good.
TASKS: dict[str | None, tuple[bool, bool]] = {
    None: (False, False),
    "scheduled": (True, False),
    "queued": (True, False),
    "running": (True, False),
    "restarting": (True, False),
    "deferred": (True, False),
    "up_for_reschedule": (True, False),
    "up_for_retry": (False, False),
    "awaiting_input": (False, False),
    "success": (False, True),
    "failed": (False, True),
    "upstream_failed": (False, True),
    "skipped": (False, True),
    "removed": (False, True),
}
#: Of each state of Airflow's: whether a run in it has ended.
RUNS = {"queued": False, "running": False, "success": True, "failed": True}


@pytest.mark.parametrize(("state", "at_work"), [(state, one[0]) for state, one in TASKS.items()], ids=str)
def test_a_task_in_this_state_is_at_work_or_is_not(state: str | None, at_work: bool) -> None:
    assert is_at_work([state]) is at_work
    assert is_at_work(["success", state, None]) is at_work, "one is enough"


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("stop", "is_final"), [(state, one[1]) for state, one in TASKS.items()], ids=str)
def test_a_run_is_over_when_it_and_its_teardown_have_ended(run: str, stop: str | None, is_final: bool) -> None:
    assert has_ended(run) is RUNS[run]
    assert is_over(run, stop) is (RUNS[run] and is_final)


def test_a_run_without_tasks_or_that_is_gone_is_neither_at_work_nor_over() -> None:
    assert not is_at_work([])
    assert not is_over(None, "success")


def test_the_tables_have_every_state_that_the_installed_airflow_has() -> None:
    assert {state and state.value for state in State.task_states} <= TASKS.keys()
    assert {state.value for state in DagRunState} == RUNS.keys()


def test_an_enum_of_airflows_counts_as_its_text() -> None:
    assert is_at_work([TaskInstanceState.RUNNING])
    assert is_over(DagRunState.FAILED, TaskInstanceState.SKIPPED)
