"""The parts of Airflow's API that the pages use, on a real API server. A failure here shows an incompatible Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from label_detection.ui.plugin import TAG, LabelDetectionPages
from label_detection.ui.request_limit import AT_ONCE
from label_detection_core.model.lease import Lease, lease_name
from tests.conftest import Aws
from tests.plugins.label_detection.ui.api_server import ApiServer, api_server

DAG_ID = "label_detection"
WATCHDOG = "label_detection_watchdog"
RUNS = f"label-detection/pipelines/{DAG_ID}/runs"
NOW = f"label-detection/pipelines/{DAG_ID}/now"
RUNS_OF_A_PAGE = 60
#: Two runs: one that found an empty queue, and a deleted one that held the model.
EMPTY, HOLDER = "run-7", "deleted"


@pytest.fixture(scope="session")
def _api_server(tmp_path_factory: pytest.TempPathFactory, _aws_server: Aws) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api-server"), _aws_server.environment) as server:
        yield server


@pytest.fixture(scope="session")
def _busy(_api_server: ApiServer, _aws_server: Aws) -> ApiServer:
    """The server with runs of the pipeline and of the watchdog, and a lease."""
    api = _api_server.api
    for number in range(RUNS_OF_A_PAGE + 2):
        api.trigger(DAG_ID, f"run-{number}")
    api.call("PATCH", f"/dags/{DAG_ID}/dagRuns/{EMPTY}/taskInstances/wait_for_images", {"new_state": "skipped"})
    ago = datetime.now(UTC) - timedelta(hours=1)
    facts = {"dag_id": DAG_ID, "run_id": HOLDER, "since": ago, "until": ago + timedelta(days=1), "units": 1}
    lease = Lease.model_validate({"model_arn": _aws_server.settings.model_arn, **facts})
    api.call("POST", "/variables", {"key": lease_name(lease.model_arn), "value": lease.model_dump_json()})
    api.trigger(WATCHDOG, "look")
    xcom = f"/dags/{WATCHDOG}/dagRuns/look/taskInstances/stop_expired_models/xcomEntries"
    acted = {**lease.model_dump(mode="json"), "why": "it expired", "stopped": True}
    api.call("POST", xcom, {"key": "return_value", "value": [acted]})
    api.set_run_state(WATCHDOG, "look", "success")
    return _api_server


@pytest.fixture
def server(_busy: ApiServer) -> ApiServer:
    return _busy


def test_a_dags_details_equal_the_apis_answer(server: ApiServer) -> None:
    answer = server.get(f"probe/dags/{DAG_ID}")
    assert answer.status_code == 200, answer.text
    asked = server.api.call("GET", f"/dags/{DAG_ID}/details")
    assert answer.json() | {"last_parsed": None} == asked | {"last_parsed": None}, "only the time may differ"
    assert asked["default_args"]["owner"]


@pytest.mark.parametrize(
    ("user", "dag_id", "status"),
    [("nobody", DAG_ID, 403), (None, DAG_ID, 401), ("viewer", "no_such_dag", 404), ("viewer", "a%2Fb", 404)],
    ids=["no right", "no login", "no such DAG", "a name that is a path"],
)
def test_the_rights_are_the_users_own(server: ApiServer, user: str | None, dag_id: str, status: int) -> None:
    assert server.get(f"probe/dags/{dag_id}", user).status_code == status


def test_the_pipelines_are_the_dags_that_carry_one_and_that_the_user_may_read(server: ApiServer) -> None:
    found = server.get("label-detection/pipelines")
    assert found.json() == [{"name": None, "dag_id": DAG_ID}], "neither backfill nor watchdog is a pipeline"
    answer = server.get("label-detection/pipelines", "nobody")
    assert (answer.status_code, answer.json()) == (200, []), "a user without a role must see no DAG"


@pytest.mark.parametrize("dag_id", ["label_detection_backfill", WATCHDOG])
def test_another_dag_has_no_pictures(server: ApiServer, dag_id: str) -> None:
    answer = server.get(f"label-detection/pipelines/{dag_id}/now")
    assert (answer.status_code, "pictures" in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize(("user", "status"), [("nobody", 403), (None, 401), ("viewer", 200)])
@pytest.mark.parametrize("path", [RUNS, NOW])
def test_the_pages_data_is_for_those_who_may_read_the_runs(
    server: ApiServer, path: str, user: str | None, status: int
) -> None:
    assert server.get(path, user).status_code == status


def test_a_token_in_the_header_is_as_good_as_the_cookie(server: ApiServer) -> None:
    token = server.api.token("viewer", "viewer")
    assert server.get(RUNS, None, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_the_runs_come_a_page_at_a_time_and_none_is_missing_or_twice(server: ApiServer) -> None:
    first = server.get(RUNS).json()
    second = server.get(RUNS, before=first["before"]).json()
    assert (len(first["runs"]), second["before"]) == (RUNS_OF_A_PAGE, None)
    seen = [run["run_id"] for run in first["runs"] + second["runs"]]
    assert seen == [f"run-{number}" for number in reversed(range(RUNS_OF_A_PAGE + 2))]


def test_a_run_that_found_an_empty_queue_is_recognised(server: ApiServer) -> None:
    runs = server.get(RUNS).json()["runs"]
    assert [run["run_id"] for run in runs if run["empty"]] == [EMPTY]


def test_users_who_may_not_read_variables_see_the_lease_holder_and_a_model_left_on(server: ApiServer) -> None:
    found = server.get(NOW).json()
    assert found["lease"]["run_id"] == HOLDER
    assert "the run was deleted" in found["warning"]


def test_the_actions_of_the_watchdog_are_its_tasks_return_values(server: ApiServer) -> None:
    found: dict[str, Any] = server.get(NOW).json()["watchdog"]
    assert (found["state"], found["looks"], found["problem"]) == ("success", 1, None)
    assert found["acted"] == [{"run_id": HOLDER, "why": "it expired", "stopped": True}]


def test_more_requests_at_once_than_there_is_room_for_are_all_answered(server: ApiServer) -> None:
    """Each request waits for Airflow's own routes, which use threads and database connections of the same server."""
    headers = {"Authorization": f"Bearer {server.api.token('viewer', 'viewer')}"}
    many = 6 * AT_ONCE
    with ThreadPoolExecutor(many) as browsers:
        answers = list(browsers.map(lambda _: server.get(NOW, None, headers=headers), range(many)))
    assert [answer.status_code for answer in answers] == [200] * many


def test_airflow_accepts_the_plugin_without_a_warning(server: ApiServer) -> None:
    plugins = {plugin["name"]: plugin for plugin in server.api.call("GET", "/plugins")["plugins"]}
    shown = [{name: view[name] for name in ("name", "href")} for view in LabelDetectionPages.external_views]
    (own, overview) = plugins[LabelDetectionPages.name]["external_views"]
    assert [{name: view[name] for name in ("name", "href")} for view in (own, overview)] == shown
    assert own["applies_to"] == {"dag.tags.name": [TAG]}
    assert server.api.call("GET", "/plugins/importErrors")["total_entries"] == 0
    warned = [line for line in server.log.read_text().splitlines() if LabelDetectionPages.name in line]
    assert warned == []


@pytest.mark.parametrize("dag_id", [DAG_ID, f"{DAG_ID}_backfill", WATCHDOG])
def test_our_dags_have_the_tag_that_the_tab_needs(server: ApiServer, dag_id: str) -> None:
    assert TAG in {tag["name"] for tag in server.api.call("GET", f"/dags/{dag_id}")["tags"]}
