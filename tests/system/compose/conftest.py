"""The services of docker-compose.yaml with all profiles and two workers, started once for all tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.release import env_file
from sandbox.airflow_api import AirflowApi
from sandbox.aws_clients import s3_client, sqs_client
from sandbox.waiting import wait_until
from sandbox.world import call_control_page
from tests.system.compose import compose_file, image
from tests.system.compose.containers import Containers, missing
from tests.system.pipeline import DAG_ID, Pipeline

OPTION = "AIRFLOW__LABEL_DETECTION__"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.compose)
            item.add_marker(pytest.mark.system)


class Compose:
    """The running services. Has the attributes of `World` that `Pipeline` uses, and `containers`."""

    def __init__(self, folder: Path, containers: Containers) -> None:
        self.folder = folder
        self.containers = containers
        self._variables = variables = env_file.read(folder / env_file.FILE)
        self._aws = f"http://{containers.address('local-aws')}:5000"
        self.url = f"http://{containers.address('airflow-apiserver')}:8080"
        self.password = variables["ADMIN_PASSWORD"]
        self.api = AirflowApi(self.url, ("admin", self.password))

    @property
    def aws_environment(self) -> dict[str, str]:
        return self._variables | {"AWS_ENDPOINT_URL": self._aws}

    def setting(self, name: str) -> str:
        return self._variables[OPTION + name.upper()].replace("http://local-aws:5000", self._aws)

    def check(self) -> None:
        self.containers.check()

    def control(self, path: str, method: str = "GET", body: object = None) -> Any:
        return call_control_page(self._aws, path, method, body)

    def model(self) -> dict[str, Any]:
        found: dict[str, Any] = self.control("model")
        return found


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    if missing():
        pytest.exit(f"make compose: needs {', '.join(missing())}", returncode=pytest.ExitCode.USAGE_ERROR)
    folder = tmp_path_factory.mktemp("compose")
    # One task per worker, so that two tasks use both workers; the password looks like a command-line option.
    variables = {"WORKER_CONCURRENCY": "1", "WORKERS": "2", "ADMIN_PASSWORD": "-dashed-and-dotted."}
    options = {f"{OPTION}SCHEDULE": "", f"{OPTION}WAIT_MINUTES": "0"}
    compose_file.write_project(folder, **variables, **options)
    services = compose_file.services(folder, "local", "flower")
    with image.built() as variables, Containers(folder, services, variables) as containers:
        containers.up()
        compose = Compose(folder, containers)
        wait_until(compose.api.health, 180, "Airflow's API")
        compose.api.wait_for_dag(DAG_ID, check=compose.check)
        yield compose


@pytest.fixture
def pipeline(compose: Compose) -> Pipeline:
    return Pipeline(compose, s3_client(compose.aws_environment), sqs_client(compose.aws_environment))  # type: ignore[arg-type]
