"""All worker slots are taken by tasks that end, on the LocalExecutor.

With as many slots in the default pool as the executor has, stop_model gets the first free slot.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from demo.pictures import examples
from sandbox.postgres import postgres
from sandbox.world import ODDITIES, World, WorldOptions
from tests.system.conftest import START_SECONDS, STOP_SECONDS
from tests.system.faults import foreign, results
from tests.system.faults.breaking import copy_dags
from tests.system.faults.slots import run_beside_foreign_tasks
from tests.system.faults.watching import WatchedPipeline
from tests.system.pipeline import DAG_ID

SLOTS = 3
#: Seconds from the end of the analysis to the start of stop_model.
FIRST = foreign.SECONDS + 5


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedPipeline]:
    folder = tmp_path_factory.mktemp("slots")
    dags = copy_dags(folder / "dags")
    foreign.write_foreign(dags)
    examples(folder / "examples")
    with postgres(folder / "logs") as url:
        options = WorldOptions(
            dags_folder=dags,
            sql_alchemy_conn=url,
            environment={"AIRFLOW__CORE__PARALLELISM": str(SLOTS)},
            settings={"schedule": "", "wait_minutes": "0", "watchdog_grace_minutes": "0"},
            aws={
                "examples": str(folder / "examples"),
                "start-seconds": str(START_SECONDS),
                "stop-seconds": str(STOP_SECONDS),
                "rate": "2",
                "latency": "0.1",
                **ODDITIES,
            },
        )
        with World(folder, options) as world:
            for dag_id in (DAG_ID, foreign.FOREIGN):
                world.api.wait_for_dag(dag_id, check=world.check)
            # The LocalExecutor takes more tasks than it can start, so parallelism does not keep them waiting in the
            # scheduler, which chooses by priority. A pool does.
            world.api.call("PATCH", "/pools/default_pool", {"slots": SLOTS}, update_mask="slots")
            yield WatchedPipeline(world, world.s3, world.sqs)


def test_stop_model_gets_the_first_slot_that_foreign_tasks_leave(
    pipeline: WatchedPipeline, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = f"foreign tasks of {foreign.SECONDS} s take all slots; the default pool has as many slots"
    found = run_beside_foreign_tasks(pipeline, picture, SLOTS, fault, extra=foreign.SECONDS)
    results.add(found.row)
    with capsys.disabled():
        Console(width=160).print(f"\nstop_model started {found.waited:.1f} s after the analysis")
    assert found.row.is_kept, found
    assert found.waited <= FIRST
