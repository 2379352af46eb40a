"""Whether a run that holds the model still works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.utils.state import DagRunState, State, TaskInstanceState

from label_detection_core.model.at_work import IDLE, STILL, Seen, seen_still, why_left

ACTIVE, WITH_THE_EXECUTOR, WAITS, NOT_BEGUN, OVER = "active", "with the executor", "waits", "not begun", "over"
#: By state in Airflow: what a task in it does.
TASKS: dict[str | None, str] = {
    None: NOT_BEGUN,
    "scheduled": WAITS,
    "queued": WITH_THE_EXECUTOR,
    "running": ACTIVE,
    "restarting": ACTIVE,
    "deferred": ACTIVE,
    "up_for_reschedule": ACTIVE,
    "awaiting_input": ACTIVE,
    "up_for_retry": WAITS,
    "success": OVER,
    "failed": OVER,
    "upstream_failed": OVER,
    "skipped": OVER,
    "removed": OVER,
}
#: By state in Airflow: whether a run in it has ended.
RUNS = {"queued": False, "running": False, "success": True, "failed": True}
NOT_IDLE = timedelta(0)
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
JUST_NOT_IDLE = IDLE - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("is_paused", "idle_for", "at_work"),
    [
        pytest.param(False, JUST_NOT_IDLE, {*TASKS.values()}, id="just now"),
        pytest.param(True, JUST_NOT_IDLE, {*TASKS.values()}, id="just now, paused"),
        pytest.param(False, IDLE, {ACTIVE, WITH_THE_EXECUTOR, WAITS}, id="two minutes"),
        pytest.param(True, IDLE, {ACTIVE, WITH_THE_EXECUTOR}, id="two minutes, paused"),
        pytest.param(False, STILL, {ACTIVE}, id="twenty minutes"),
        pytest.param(True, STILL, {ACTIVE}, id="twenty minutes, paused"),
    ],
)
@pytest.mark.parametrize("state", TASKS, ids=str)
def test_a_running_run_is_left_once_no_task_of_it_will_go_on(
    state: str | None, is_paused: bool, idle_for: timedelta, at_work: set[str]
) -> None:
    tasks = {"plan_run": "success", "analyse_images_0": state, "stop_model": None}
    found = why_left("running", tasks, idle_for, is_paused=is_paused)
    assert bool(found) is (TASKS[state] not in at_work), found


@pytest.mark.parametrize(
    ("stop", "other", "left"),
    [
        ("scheduled", "success", True),
        ("queued", "success", True),
        ("up_for_retry", "success", False),
        ("running", "success", False),
        ("scheduled", "scheduled", False),
        ("scheduled", "up_for_retry", False),
        ("queued", "running", False),
    ],
)
@pytest.mark.parametrize("stop_task", ["stop_model", "group.stop_model"])
def test_a_stop_that_alone_is_left_and_gets_no_worker_for_two_minutes_does_not_come(
    stop_task: str, stop: str, other: str, left: bool
) -> None:
    found = why_left("running", {"analyse_images_0": other, stop_task: stop}, IDLE)
    assert bool(found) is left
    assert not left or found == (
        f"{stop_task} has been {stop} for 120 seconds: its DAG file is broken, or no worker is free"
    )


@pytest.mark.parametrize("idle_for", [NOT_IDLE, IDLE], ids=["just now", "long ago"])
@pytest.mark.parametrize("run", [run for run, ended in RUNS.items() if ended])
@pytest.mark.parametrize(("stop", "is_final"), [(state, does == OVER) for state, does in TASKS.items()], ids=str)
@pytest.mark.parametrize("stop_task", ["stop_model", "group.stop_model", "switch_it_off"])
def test_an_ended_run_is_over_when_its_stop_has_ended(
    run: str, stop: str | None, is_final: bool, stop_task: str, idle_for: timedelta
) -> None:
    assert bool(why_left(run, {"plan_run": "success", stop_task: stop}, idle_for)) is is_final


@pytest.mark.parametrize("run", ["success", "failed"])
@pytest.mark.parametrize("stop", TASKS, ids=str)
def test_the_stop_of_an_ended_run_does_not_come_while_the_dag_is_paused(run: str, stop: str | None) -> None:
    left = TASKS[stop] != ACTIVE
    tasks = {"analyse_images_0": "queued", "stop_model": stop}
    assert bool(why_left(run, tasks, IDLE, is_paused=True)) is left


@pytest.mark.parametrize(
    ("looks", "since"),
    [
        pytest.param([("r", {"a": "scheduled"}), ("r", {"a": "scheduled"})], 0, id="the same"),
        pytest.param([("r", {"a": "scheduled"}), ("r", {"a": "up_for_retry"})], 1, id="a task has moved"),
        pytest.param([("r", {"a": "scheduled"}), ("s", {"a": "scheduled"})], 1, id="another run"),
        pytest.param([("r", {"a": "scheduled"}), ("r", {"a": "running"})], None, id="a task is active"),
        pytest.param([("r", {"a": "scheduled"}), ("r", {"a": "success", "b": None})], None, id="none waits"),
        pytest.param([("r", {"a": "queued", "b": "running"})] * 2, None, id="one of them is active"),
        pytest.param(
            [("r", {"a": TaskInstanceState.QUEUED, "b": None}), ("r", {"a": "queued", "b": None})], 0, id="enums"
        ),
    ],
)
def test_what_waits_without_any_change_is_remembered_from_the_first_look(
    looks: list[tuple[str, dict[str, str | None]]], since: int | None
) -> None:
    seen = None
    for minute, (run_id, tasks) in enumerate(looks):
        seen = seen_still(seen, run_id, tasks, NOW + timedelta(minutes=minute))
        seen = seen and Seen.parse(seen.model_dump_json().encode())
    assert (seen.since if seen else None) == (None if since is None else NOW + timedelta(minutes=since))


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
