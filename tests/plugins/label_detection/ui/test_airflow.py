"""Airflow's API as the pages ask it, on a real API server: what breaks here breaks the pages on that Airflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Aws
from tests.plugins.label_detection.ui.api_server import DAG_ID, ApiServer, api_server


@pytest.fixture(scope="session")
def _api_server(tmp_path_factory: pytest.TempPathFactory, _aws_server: Aws) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api-server"), _aws_server.environment) as server:
        yield server


@pytest.fixture
def server(_api_server: ApiServer) -> ApiServer:
    return _api_server


def test_a_dags_details_are_what_the_api_has_of_it(server: ApiServer) -> None:
    answer = server.get(f"probe/dags/{DAG_ID}")
    assert answer.status_code == 200, answer.text
    asked = server.api.call("GET", f"/dags/{DAG_ID}/details")
    assert answer.json() | {"last_parsed": None} == asked | {"last_parsed": None}, "but for the time of asking"
    assert asked["default_args"]["owner"]


@pytest.mark.parametrize(
    ("user", "dag_id", "status"),
    [("nobody", DAG_ID, 403), (None, DAG_ID, 401), ("viewer", "no_such_dag", 404), ("viewer", "a%2Fb", 404)],
    ids=["no right", "no login", "no such DAG", "a name that is a path"],
)
def test_the_rights_are_the_users_own(server: ApiServer, user: str | None, dag_id: str, status: int) -> None:
    assert server.get(f"probe/dags/{dag_id}", user).status_code == status
