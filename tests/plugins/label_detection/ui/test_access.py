"""Access to page, data and picture, and the headers of every answer."""

from __future__ import annotations

import json

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from label_detection.ui.app import make_app
from label_detection_core.config.settings import SECTION
from tests.conftest import OPTION, Aws
from tests.plugins.label_detection.ui.conftest import RUN_ID, Rights
from tests.plugins.label_detection.ui.known import DAG_ID, Known

RUN_ROUTES = [
    f"/runs/{DAG_ID}{name}?run_id={RUN_ID}" for name in ("", "/images", "/image", "/summary", "/report", "/picture")
]
PIPELINE_ROUTES = [f"/pipelines/{DAG_ID}/runs", f"/pipelines/{DAG_ID}/now"]
OTHER_ROUTES = ["/overview", "/pipelines", "/assets/pages.css"]


def test_the_lists_above_have_every_route() -> None:
    tested = {path.split("?")[0] for path in [*RUN_ROUTES, *PIPELINE_ROUTES, *OTHER_ROUTES]}
    names = {"dag_id": DAG_ID, "name": "pages.css"}
    paths = {route.path.format(**names) for route in make_app().routes if isinstance(route, APIRoute)}
    assert paths == tested
    assert len(paths) == len(make_app().routes), "FastAPI's own pages must be off"


@pytest.mark.parametrize("path", [*RUN_ROUTES, *PIPELINE_ROUTES, *OTHER_ROUTES])
def test_without_a_login_nothing_is_shown(browser: TestClient, path: str) -> None:
    browser.app.dependency_overrides.pop(get_user)  # type: ignore[attr-defined]
    answer = browser.get(path)
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Not authenticated"}


@pytest.mark.parametrize("path", [*RUN_ROUTES, *PIPELINE_ROUTES])
def test_a_user_without_the_right_to_read_the_dags_runs_sees_nothing(
    browser: TestClient, airflow: Rights, path: str
) -> None:
    airflow.may_read = {"another_dag"}
    assert browser.get(path).status_code == 403
    assert airflow.asked == [("GET", "RUN", DAG_ID)]


def test_the_right_to_read_another_dag_opens_no_pipeline(browser: TestClient, airflow: Rights) -> None:
    airflow.may_read = {"another_dag", "label_detection_backfill", "~"}
    for dag_id in airflow.may_read:
        answer = browser.get(f"/runs/{dag_id}/images", params={"run_id": RUN_ID})
        assert answer.status_code in {403, 404}, dag_id
        assert "pictures" in answer.json()["detail"] or answer.status_code == 403


def test_the_list_of_pipelines_has_those_that_the_user_may_read(
    browser: TestClient, airflow: Rights, known: Known
) -> None:
    known.configure('{"leaves": {}, "parts": {"queue_url": "x"}}')
    airflow.may_read = {"label_detection__parts"}
    assert browser.get("/pipelines").json() == [{"name": "parts", "dag_id": "label_detection__parts"}]
    assert browser.get("/runs/label_detection__leaves/images", params={"run_id": RUN_ID}).status_code == 403


def test_pipelines_of_one_name_are_known_by_their_dags(browser: TestClient, airflow: Rights, known: Known) -> None:
    known.configure('{"leaves": {}, "parts": {}}')
    known.default_args["team_label_detection__parts"] = {SECTION: {"name": "parts", "prefix": "team_"}}
    airflow.may_read = set(known.default_args)
    assert {one["dag_id"]: one["name"] for one in browser.get("/pipelines").json()} == {
        "label_detection__leaves": "leaves",
        "label_detection__parts": None,
        "team_label_detection__parts": None,
    }


def test_a_pipelines_options_are_those_that_its_dag_was_made_with(browser: TestClient, known: Known, aws: Aws) -> None:
    known.configure('{"leaves": {"final_bucket": "nowhere-to-be-found"}}')
    known.default_args[DAG_ID] = known.default_args.pop("label_detection__leaves")
    assert browser.get(RUN_ROUTES[1]).status_code == 404, "the options of another DAG must not open a pipeline"
    own = {"final_bucket": "nowhere-to-be-found"}
    known.default_args[DAG_ID] = {SECTION: {"options": own, "home": "the call of labels() in parts_dag.py"}}
    answer = browser.get(RUN_ROUTES[1])
    assert answer.status_code == 502
    assert "nowhere-to-be-found" in answer.json()["detail"]


@pytest.mark.parametrize("path", [RUN_ROUTES[0], RUN_ROUTES[1], "/overview", "/nowhere"])
def test_every_answer_has_the_headers(browser: TestClient, path: str) -> None:
    headers = browser.get(path).headers
    assert "default-src 'none'; script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_a_wrong_configuration_is_shown(browser: TestClient, known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{OPTION}FINAL_BUCKET", "s3://no")
    answer = browser.get(RUN_ROUTES[1])
    assert answer.status_code == 503
    assert "[label_detection] final_bucket is 's3://no'" in answer.json()["detail"]
    assert browser.get(RUN_ROUTES[0]).status_code == 200, "the page itself must load, to show the error"
    known.configure("no-such-file.yaml")
    answer = browser.get(RUN_ROUTES[1])
    assert answer.status_code == 503
    assert "no-such-file.yaml" in answer.json()["detail"]


@pytest.mark.parametrize(
    "extra",
    [
        {"role_arn": "arn:aws:iam::123456789012:role/a", "assume_role_method": "no_such"},
        {"role_arn": "arn:aws:iam::123456789012:role/a", "assume_role_method": "assume_role_with_saml"},
    ],
    ids=["no such method", "half a method"],
)
def test_a_connection_that_cannot_be_used_is_named(
    browser: TestClient, extra: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    answer = browser.get(RUN_ROUTES[1])
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("The connection aws_default cannot be used on the API server: ")
    assert browser.get(RUN_ROUTES[0]).status_code == 200, "the page itself must load, to show the error"


def test_a_browser_gets_an_error_as_a_page(browser: TestClient, airflow: Rights) -> None:
    airflow.may_read = set()
    answer = browser.get(RUN_ROUTES[0], headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "<p>You may not read the runs of this DAG. Ask an admin of Airflow for the permission.</p>" in answer.text
    airflow.may_read = {"<b>"}
    answer = browser.get("/runs/<b>/images", params={"run_id": RUN_ID}, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "&lt;b&gt; is not a DAG" in answer.text
