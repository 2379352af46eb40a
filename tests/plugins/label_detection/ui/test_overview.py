"""Runs over time, from Airflow's API and from their reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from fastapi.dependencies.models import Dependant
from fastapi.testclient import TestClient

from label_detection.ui import airflow, clients, overview
from tests.conftest import Aws
from tests.plugins.label_detection.ui.known import DAG_ID, Known, row

REPORT = {
    "run": {"started_at": "2026-11-22T06:00:00Z"},
    "images": {"labelled": 9, "rejected": 1, "ignored": 2, "failed": 0},
    "labels": {"cat": 7, "dog": 2},
    "model": {"minutes": 3.0, "cost_usd": 0.2, "cost_per_1000_usd": 20.0, "use": 0.9},
    "problems": ["one"],
}


def put_report(aws: Aws, run_id: str, report: Any) -> None:
    key = f"runs/{run_id}/report.json"
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=json.dumps(report).encode())


def test_runs_come_newest_first_a_page_at_a_time_with_their_reports(
    browser: TestClient, aws: Aws, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "_RUNS", 2)
    for number in range(1, 4):
        put_report(aws, known.add_run(number), REPORT) if number != 2 else known.add_run(number)
    known.add_run(9, dag_id="another_dag")
    first = browser.get(f"/pipelines/{DAG_ID}/runs").json()
    assert [run["run_id"] for run in first["runs"]] == ["run 3", "run 2"]
    assert [bool(run["report"]) for run in first["runs"]] == [True, False]
    assert first["runs"][0]["report"] == row(REPORT)
    second = browser.get(f"/pipelines/{DAG_ID}/runs", params={"before": first["before"]}).json()
    assert [run["run_id"] for run in second["runs"]] == ["run 1"]
    assert second["before"] is None


def test_as_many_runs_come_from_an_airflow_that_lists_few_at_once(
    browser: TestClient, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is Airflow's option `[api] maximum_page_limit`."""
    monkeypatch.setattr(airflow, "_PAGE", 2)
    for number in range(5):
        known.add_task(known.add_run(number), "wait_for_images", "skipped")
    found = browser.get(f"/pipelines/{DAG_ID}/runs").json()
    assert [(run["run_id"], run["empty"]) for run in found["runs"]] == [(f"run {n}", True) for n in (4, 3, 2, 1, 0)]


def test_a_run_that_found_an_empty_queue_differs_from_one_whose_report_is_missing(
    browser: TestClient, known: Known
) -> None:
    known.add_task(known.add_run(1), "wait_for_images", "skipped")
    known.add_task(known.add_run(2), "wait_for_images", "success")
    runs = browser.get(f"/pipelines/{DAG_ID}/runs").json()["runs"]
    assert {run["run_id"]: run["empty"] for run in runs} == {"run 1": True, "run 2": False}


def test_a_run_that_the_budget_skipped_differs_from_one_that_found_an_empty_queue(
    browser: TestClient, known: Known
) -> None:
    for number, sensed in ((1, "skipped"), (2, "success"), (3, "success")):
        known.add_task(known.add_run(number), "wait_for_images", sensed)
        known.add_task(f"run {number}", "plan_run", "success" if number == 3 else "skipped")
    runs = browser.get(f"/pipelines/{DAG_ID}/runs").json()["runs"]
    assert {run["run_id"]: run["over_budget"] for run in runs} == {"run 1": False, "run 2": True, "run 3": False}


def test_a_row_has_the_reports_numbers() -> None:
    assert row(REPORT) == {
        "started_at": "2026-11-22T06:00:00Z",
        "labelled": 9,
        "rejected": 1,
        "minutes": 3.0,
        "cost_usd": 0.2,
        "cost_per_1000_usd": 20.0,
        "use": 0.9,
        "labels": {"cat": 7, "dog": 2},
        "problems": 1,
    }
    assert row({})["minutes"] is None


ODD_REPORTS: dict[str, tuple[Any, str | None]] = {
    "no JSON": (b"{", "is not JSON"),
    "nested too deep": (b"[" * 100_000, "is not JSON"),
    "too large": (b" " * 2_000_001, "is larger than"),
    "a list": (b"[]", "is not a report"),
    "null": (b"null", "is not a report"),
    "labels are a list": (b'{"labels": ["cat"], "images": {"labelled": 9}}', None),
    "counts are text": (b'{"labels": {"cat": null, "dog": "1"}, "images": {"labelled": 9, "rejected": "x"}}', None),
    "numbers for parts": (b'{"run": 1, "images": {"labelled": 9}, "model": 2, "problems": 3, "warnings": 4}', None),
    "infinite": (b'{"images": {"labelled": 9}, "model": {"use": 1e999, "minutes": Infinity}}', None),
}


@pytest.mark.parametrize(("body", "problem"), ODD_REPORTS.values(), ids=ODD_REPORTS)
def test_a_report_that_somebody_has_edited_hides_no_other_run(
    browser: TestClient, aws: Aws, known: Known, body: bytes, problem: str | None
) -> None:
    put_report(aws, known.add_run(1), REPORT)
    run_id = known.add_run(2)
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=f"runs/{run_id}/report.json", Body=body)
    odd, right = browser.get(f"/pipelines/{DAG_ID}/runs").json()["runs"]
    assert (right["report"], right["report_problem"]) == (row(REPORT), None)
    summary = browser.get(f"/runs/{DAG_ID}/summary", params={"run_id": run_id})
    if problem:
        assert odd["report"] is None
        assert problem in odd["report_problem"]
        assert (summary.status_code, summary.json()["detail"]) == (502, odd["report_problem"])
    else:
        nothing = {**row({}), "labelled": 9}
        assert (odd["report"], odd["report_problem"]) == (nothing, None)
        assert summary.json()["images"]["labelled"] == 9
        assert summary.json()["labels"] == []


def calls_of(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for one in dependant.dependencies:
        yield from calls_of(one)


def test_no_route_holds_a_connection_to_the_database(browser: TestClient) -> None:
    """The database has few connections. The pages call Airflow's API for single facts, and wait for AWS in between."""
    for route in browser.app.routes:  # type: ignore[attr-defined]
        assert _get_session not in set(calls_of(route.dependant)), route.path


def test_the_lease_is_read_after_the_models_state(
    browser: TestClient, aws: Aws, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run takes the lease before it starts the model, and ends it after the model is off."""
    order: list[str] = []
    model_hook = clients.model_hook

    def asked(what: str, ask: Any) -> Any:
        def ask_for(one: Any) -> Any:
            order.append(what)
            return ask(one)

        return ask_for

    monkeypatch.setattr(clients, "model_hook", asked("state", model_hook))
    monkeypatch.setattr(airflow, "variable", asked("lease", known.variables.get))
    assert browser.get(f"/pipelines/{DAG_ID}/now").status_code == 200
    assert order == ["state", "lease"]


@pytest.mark.parametrize("before", ["x", "2026-11-22T06:00:00", str(10**30)])
def test_an_invalid_time_in_before_is_refused(browser: TestClient, known: Known, before: str) -> None:
    assert browser.get(f"/pipelines/{DAG_ID}/runs", params={"before": before}).status_code == 422
