"""A DAG of somebody else, whose tasks take all worker slots."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sandbox.airflow_api import ApiError
from sandbox.waiting import wait_until
from tests.system.pipeline import Pipeline

FOREIGN = "foreign"
#: Seconds of each of its tasks.
SECONDS = 30
_TASKS = 24
_FILE = f"""
from airflow.sdk import dag, task
import time

@dag(schedule=None, is_paused_upon_creation=False, max_active_tasks=64)
def {FOREIGN}():
    @task
    def sleep(number):
        time.sleep({SECONDS})
    sleep.expand(number=list(range({_TASKS})))
{FOREIGN}()
"""


def write_foreign(dags: Path) -> None:
    """Write the DAG into a dags folder."""
    (dags / "foreign.py").write_text(_FILE)


def take_all_slots(pipeline: Pipeline, slots: int) -> str:
    """Start its tasks; wait until they run in all of these slots and more of them wait. Returns the run's id."""
    run_id = pipeline.world.api.trigger(FOREIGN)

    def are_taken() -> bool:
        found = pipeline.world.api.task_states(FOREIGN, run_id).get("sleep", [])
        return found.count("running") == slots and bool({"queued", "scheduled"} & set(found))

    wait_until(are_taken, 60, "foreign tasks in all slots", pipeline.world.check)
    return run_id


def is_waiting(pipeline: Pipeline, run_id: str) -> bool:
    """Whether some of its tasks wait for a slot."""
    return bool({"queued", "scheduled"} & set(pipeline.world.api.task_states(FOREIGN, run_id)["sleep"]))


def end(pipeline: Pipeline, run_id: str) -> None:
    """End its tasks."""
    with suppress(ApiError):
        pipeline.world.api.set_run_state(FOREIGN, run_id, "failed")

    def are_over() -> bool:
        found = pipeline.world.api.task_states(FOREIGN, run_id)["sleep"]
        return not {"running", "queued", "scheduled", "restarting"} & set(found)

    wait_until(are_over, 90, "the end of the foreign tasks", pipeline.world.check)
