"""Airflow on Celery as docker-compose.yaml has it, with Redis and Postgres, beside a DAG of somebody else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.release import env_file
from sandbox.aws_clients import s3_client, sqs_client
from sandbox.waiting import wait_until
from tests.system.compose import compose_file, image
from tests.system.compose.conftest import OPTION, Compose
from tests.system.compose.containers import Containers, missing
from tests.system.conftest import START_SECONDS, STOP_SECONDS
from tests.system.faults.breaking import copy_dags
from tests.system.faults.foreign import FOREIGN, write_foreign
from tests.system.faults.kind import kind
from tests.system.faults.watching import WatchedPipeline
from tests.system.pipeline import DAG_ID

#: Tasks at the same time on the worker of the default queue.
SLOTS = 2
_SCALE = {"WORKERS": "1", "WORKER_CONCURRENCY": str(SLOTS)}
_OPTIONS = {"SCHEDULE": "", "WAIT_MINUTES": "0", "WATCHDOG_GRACE_MINUTES": "0"}
#: Seconds that a task may be queued until Airflow hands it out again, and how often Airflow looks.
_QUEUED, _LOOK = 8, 4
QUEUED = {
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(_QUEUED),
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": str(_LOOK),
}
#: How often Airflow hands it out again before it fails the task. Airflow's default is 2.
RETRIES = "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES"
#: Seconds after which Airflow would have failed it by default.
GIVEN_UP_AFTER = 3.0 * (_QUEUED + _LOOK) + 5
#: Images per second: the analysis outlasts the start of the other tasks.
RATE = 2

#: Starts the services with these variables in `.env`, and returns the pipeline. They end with the module.
Start = Callable[..., WatchedPipeline]


@pytest.fixture(scope="session")
def programs() -> Iterator[dict[str, str]]:
    """The image of docker-compose.yaml."""
    if kind() != "rekognition":
        pytest.skip("docker-compose.yaml's embedded AWS has a model of Rekognition")
    if missing():
        pytest.skip(f"needs {', '.join(missing())}")
    with image.built() as variables:
        yield variables


@pytest.fixture(scope="module")
def start(programs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    numbers = itertools.count()
    with ExitStack() as stack:

        def start(**variables: str) -> WatchedPipeline:
            folder = tmp_path_factory.mktemp(f"celery-{next(numbers)}")
            return stack.enter_context(_running(folder, programs, variables))

        yield start


@contextmanager
def _running(folder: Path, programs: dict[str, str], variables: dict[str, str]) -> Iterator[WatchedPipeline]:
    compose_file.write_project(folder)
    (folder / "dags").unlink()
    write_foreign(copy_dags(folder / "dags"))
    options = {f"{OPTION}{name}": value for name, value in _OPTIONS.items()}
    env_file.replace(folder / env_file.FILE, _SCALE | options | variables)
    with Containers(folder, compose_file.services(folder, "local"), programs) as containers:
        containers.up()
        compose = Compose(folder, containers)
        wait_until(compose.api.health, 180, "Airflow's API")
        for dag_id in (DAG_ID, FOREIGN):
            compose.api.wait_for_dag(dag_id, check=compose.check)
        speed = {"rate": RATE, "start_seconds": START_SECONDS, "stop_seconds": STOP_SECONDS}
        compose.control("model", "PUT", speed)
        clients = s3_client(compose.aws_environment), sqs_client(compose.aws_environment)
        yield WatchedPipeline(compose, *clients)  # type: ignore[arg-type]
