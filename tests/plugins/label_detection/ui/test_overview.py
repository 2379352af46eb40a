"""All pipelines: runs over time, and the model, the queue and the watchdog now, from Airflow's database and AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from include.lease import Lease, lease_name
from include.run_history import row
from label_detection.ui import overview
from tests.conftest import Aws
from tests.plugins.label_detection.ui.conftest import DAG_ID

WATCHDOG = "label_detection_watchdog"
NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
REPORT = {
    "run": {"started_at": "2026-11-22T06:00:00Z"},
    "images": {"labelled": 9, "rejected": 1, "ignored": 2, "failed": 0},
    "labels": {"cat": 7, "dog": 2},
    "model": {"minutes": 3.0, "cost_usd": 0.2, "cost_per_1000_usd": 20.0, "use": 0.9},
    "problems": ["one"],
}


@pytest.fixture
def database(browser: TestClient) -> Iterator[Session]:
    """Those of Airflow's tables that the page reads."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    tables: Any = [DagRun.__table__, Variable.__table__, XComModel.__table__]
    Base.metadata.create_all(engine, tables=tables)
    with Session(engine) as session:
        browser.app.dependency_overrides[_get_session] = lambda: session  # type: ignore[attr-defined]
        yield session


def add_run(session: Session, number: int, dag_id: str = DAG_ID, state: str = "success") -> str:
    run_id = f"run {number}"
    session.execute(
        insert(DagRun).values(
            id=number,
            dag_id=dag_id,
            run_id=run_id,
            state=state,
            run_type="manual",
            run_after=NOW,
            start_date=NOW,
            end_date=NOW + timedelta(minutes=number),
            span_status="ended",
            log_template_id=1,
        )
    )
    return run_id


def put_report(aws: Aws, run_id: str, report: Any) -> None:
    key = f"runs/{run_id}/report.json"
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=json.dumps(report).encode())


def now(browser: TestClient) -> dict[str, Any]:
    answer = browser.get(f"/pipelines/{DAG_ID}/now")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def lease(aws: Aws, **change: Any) -> Lease:
    facts = {"dag_id": DAG_ID, "run_id": "r", "since": NOW, "until": datetime.now(UTC) + timedelta(hours=1), "units": 2}
    return Lease(model_arn=aws.settings.model_arn, **(facts | change))


def test_runs_come_newest_first_a_page_at_a_time_with_their_reports(
    browser: TestClient, aws: Aws, database: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "_RUNS", 2)
    for number in range(1, 4):
        put_report(aws, add_run(database, number), REPORT) if number != 2 else add_run(database, number)
    add_run(database, 9, dag_id="another_dag")
    first = browser.get(f"/pipelines/{DAG_ID}/runs").json()
    assert [run["run_id"] for run in first["runs"]] == ["run 3", "run 2"]
    assert [bool(run["report"]) for run in first["runs"]] == [True, False]
    assert first["runs"][0]["report"] == row(REPORT)
    second = browser.get(f"/pipelines/{DAG_ID}/runs", params={"before": first["before"]}).json()
    assert [run["run_id"] for run in second["runs"]] == ["run 1"]
    assert second["before"] is None


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


def test_who_holds_the_model_is_said(browser: TestClient, aws: Aws, database: Session) -> None:
    assert now(browser)["lease"] is None
    name = lease_name(aws.settings.model_arn)
    database.add(Variable(key=name, val=lease(aws).model_dump_json()))
    database.flush()
    held = now(browser)["lease"]
    assert (held["run_id"], held["since"], held["units"], held["expired"]) == ("r", "2026-11-22T06:00:00Z", 2, False)


def test_a_lease_that_is_over_or_was_edited_is_said(browser: TestClient, aws: Aws, database: Session) -> None:
    variable = Variable(key=lease_name(aws.settings.model_arn), val=lease(aws, until=NOW).model_dump_json())
    database.add(variable)
    database.flush()
    assert now(browser)["lease"]["expired"] is True
    variable.set_val("{}")
    database.flush()
    assert "it is not a lease" in now(browser)["lease_problem"]


def test_the_queues_depth_or_why_it_is_not_known(browser: TestClient, aws: Aws, database: Session) -> None:
    aws.upload("a.png", b"picture")
    assert now(browser)["queue"] == {"waiting": 1, "in_flight": 0}
    aws.fail("sqs", "GetQueueAttributes", code="AccessDenied", status=403)
    found = now(browser)
    assert found["queue"] is None
    assert "sqs:GetQueueAttributes" in found["queue_problem"]


def test_what_the_watchdog_did_to_this_pipelines_model_alone(browser: TestClient, aws: Aws, database: Session) -> None:
    assert now(browser)["watchdog"] == {"state": None, "ended_at": None, "acted": []}
    own = {**lease(aws).model_dump(mode="json"), "why": "its run was deleted", "stopped": True}
    acted: list[list[dict[str, Any]]] = [[own], [], [{**own, "dag_id": "label_detection__other", "run_id": "secret"}]]
    for number, value in enumerate(acted, 1):
        run_id = add_run(database, number, WATCHDOG, "failed" if number == 3 else "success")
        row_of_task = {"dag_id": WATCHDOG, "task_id": "stop_expired_models", "run_id": run_id, "map_index": -1}
        database.execute(
            insert(XComModel).values(
                dag_run_id=number, key="return_value", value=json.dumps(value), timestamp=NOW, **row_of_task
            )
        )
    found = now(browser)["watchdog"]
    assert found["state"] == "failed"
    assert found["acted"] == [
        {"run_id": "r", "since": "2026-11-22T06:00:00Z", "why": "its run was deleted", "stopped": True}
    ]
