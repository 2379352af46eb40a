"""All pipelines: runs over time, and the model, the queue and the watchdog now, from Airflow's database and AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from include.lease import Lease, lease_name
from include.run_history import row
from label_detection.configuration import read_pipelines
from label_detection.ui import clients, overview
from tests.conftest import Aws
from tests.model_calls import KINDS
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
    tables: Any = [one.__table__ for one in (DagRun, TaskInstance, Trigger, Variable, XComModel)]
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


def add_task(session: Session, run_id: str, task_id: str, state: str | None, ended: datetime | None = None) -> None:
    session.execute(
        insert(TaskInstance).values(
            id=uuid4(),
            dag_id=DAG_ID,
            run_id=run_id,
            task_id=task_id,
            map_index=-1,
            state=state,
            end_date=ended,
            pool="default_pool",
            pool_slots=1,
            span_status="ended",
        )
    )


def put_report(aws: Aws, run_id: str, report: Any) -> None:
    key = f"runs/{run_id}/report.json"
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=json.dumps(report).encode())


def now(browser: TestClient) -> dict[str, Any]:
    answer = browser.get(f"/pipelines/{DAG_ID}/now")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def lease(aws: Aws, **change: Any) -> Lease:
    facts: dict[str, Any] = {"model_arn": aws.settings.model_arn, "dag_id": DAG_ID, "run_id": "r", "units": 2}
    return Lease(**(facts | {"since": NOW, "until": datetime.now(UTC) + timedelta(hours=1)} | change))


def hold(session: Session, held: Lease) -> None:
    session.add(Variable(key=lease_name(held.model_arn), val=held.model_dump_json()))
    session.flush()


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


def test_a_run_that_found_an_empty_queue_is_told_from_one_whose_report_is_missing(
    browser: TestClient, database: Session
) -> None:
    add_task(database, add_run(database, 1), "wait_for_images", "skipped")
    add_task(database, add_run(database, 2), "wait_for_images", "success")
    runs = browser.get(f"/pipelines/{DAG_ID}/runs").json()["runs"]
    assert {run["run_id"]: run["empty"] for run in runs} == {"run 1": True, "run 2": False}


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
    "a list": (b"[]", "is no report"),
    "null": (b"null", "is no report"),
    "labels are a list": (b'{"labels": ["cat"], "images": {"labelled": 9}}', None),
    "counts are text": (b'{"labels": {"cat": null, "dog": "1"}, "images": {"labelled": 9, "rejected": "x"}}', None),
    "numbers for parts": (b'{"run": 1, "images": {"labelled": 9}, "model": 2, "problems": 3, "warnings": 4}', None),
    "infinite": (b'{"images": {"labelled": 9}, "model": {"use": 1e999, "minutes": Infinity}}', None),
}


@pytest.mark.parametrize(("body", "problem"), ODD_REPORTS.values(), ids=ODD_REPORTS)
def test_a_report_that_somebody_has_edited_hides_no_other_run(
    browser: TestClient, aws: Aws, database: Session, body: bytes, problem: str | None
) -> None:
    put_report(aws, add_run(database, 1), REPORT)
    run_id = add_run(database, 2)
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


def test_no_connection_to_the_database_is_held_while_aws_is_asked(
    browser: TestClient, aws: Aws, database: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(database, 1)
    hold(database, lease(aws))
    database.commit()
    held: list[bool] = []
    sqs_client = clients.sqs_client

    def spied(make: Any) -> Any:
        def client(settings: Any) -> Any:
            time.sleep(1.0 if make is sqs_client else 0.1)
            held.append(database.in_transaction())
            return make(settings)

        return client

    for name in ("s3_client", "sqs_client", "model_hook"):
        monkeypatch.setattr(clients, name, spied(getattr(clients, name)))
    assert browser.get(f"/pipelines/{DAG_ID}/runs").status_code == 200
    assert now(browser)["lease"]["run_id"] == "r"
    assert held == [False] * 3


@pytest.mark.parametrize("before", ["0", "x", str(10**30)])
def test_runs_before_one_that_cannot_be_are_refused(browser: TestClient, database: Session, before: str) -> None:
    assert browser.get(f"/pipelines/{DAG_ID}/runs", params={"before": before}).status_code == 422


def test_who_holds_the_model_is_said(browser: TestClient, aws: Aws, database: Session) -> None:
    assert now(browser)["lease"] is None
    hold(database, lease(aws))
    held = now(browser)["lease"]
    assert (held["dag_id"], held["run_id"], held["since"]) == (DAG_ID, "r", "2026-11-22T06:00:00Z")


def test_a_lease_that_was_edited_is_a_warning(browser: TestClient, aws: Aws, database: Session) -> None:
    database.add(Variable(key=lease_name(aws.settings.model_arn), val="{}"))
    database.flush()
    found = now(browser)
    assert "it is not a lease" in found["warning"]
    assert (found["lease"], found["lease_problem"]) == (None, found["warning"])


#: The service's own words for a model that is off, and for one that is on.
WORDS = {"rekognition": ("STOPPED", "RUNNING"), "sagemaker": ("NoEndpoint", "InService")}
WORDS["lookoutvision"] = ("TRAINED", "HOSTED")


@pytest.mark.kinds(*KINDS)
def test_whether_the_model_is_on_is_what_its_service_says(
    browser: TestClient, aws: Aws, database: Session, model_kind: str
) -> None:
    off, on = WORDS[model_kind]
    aws.put_model("STOPPED")
    found = now(browser)["state"]
    assert (found["phase"], found["status"], found["units"]) == ("off", off, None)
    aws.put_model("RUNNING")
    found = now(browser)["state"]
    assert (found["phase"], found["status"], found["units"]) == ("running", on, 1)


def without_credentials(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def nobody_answers(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def another_model(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    gone = aws.settings.model_arn.replace("/version/1/", "/version/gone/")
    patch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", gone)


def a_service_that_ended(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:lookoutvision:us-east-1:123456789012:model/parts/1"
    patch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", arn)
    patch.setenv("AWS_ENDPOINT_URL_LOOKOUTVISION", "https://lookoutvision.us-east-1.amazonaws.com")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        pytest.param(without_credentials, "the API server has no AWS credentials", id="no credentials"),
        pytest.param(nobody_answers, "EndpointConnectionError", id="AWS is down"),
        pytest.param(another_model, "has no model", id="no such model"),
        pytest.param(a_service_that_ended, "AWS ended Amazon Lookout for Vision", id="the service has ended"),
    ],
)
def test_why_the_models_state_is_not_known_is_said_and_the_rest_is_there(
    browser: TestClient, aws: Aws, database: Session, trouble: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(aws, monkeypatch)
    hold(database, lease(aws, model_arn=read_pipelines().all[0].settings().model_arn))
    found = now(browser)
    assert found["state"] is None
    assert words in found["state_problem"]
    assert found["lease"]["run_id"] == "r"


@dataclass(frozen=True)
class Moment:
    """The model's state, in Rekognition's words; what is warned of; the lease that a run has taken two hours ago.

    `tasks`: those of the run, which have ended five minutes ago if they have; `just_now`: both happened now.
    """

    status: str
    warned: str = ""
    lease: dict[str, Any] | None = None
    run: str | None = "running"
    tasks: dict[str, str] = field(default_factory=dict)
    just_now: bool = False


HELD: dict[str, Any] = {}
OVER = {"until": NOW}
MOMENTS = {
    "off, and nobody's": Moment("STOPPED"),
    "taken a moment ago": Moment("STOPPED", lease=HELD, just_now=True),
    "about to start": Moment("STOPPED", lease=HELD, tasks={"plan_run": "success", "start_model": "queued"}),
    "starting": Moment("STARTING", lease=HELD, tasks={"wait_for_model": "deferred"}),
    "at work": Moment("RUNNING", lease=HELD, tasks={"analyse_images": "running"}),
    "between two tasks": Moment("RUNNING", lease=HELD, tasks={"analyse_images": "success"}, just_now=True),
    "stopping": Moment("STOPPING", lease=HELD, tasks={"stop_model": "running"}),
    "off, and about to be given up": Moment("STOPPED", lease=HELD, tasks={"stop_model": "running"}),
    "marked as failed, its teardown at work": Moment("RUNNING", "", HELD, "failed", {"stop_model": "queued"}),
    "stopping by hand": Moment("STOPPING"),
    "on by hand": Moment("RUNNING", "no run holds it"),
    "starting by hand": Moment("STARTING", "no run holds it"),
    "on after its time": Moment("RUNNING", "over at 2026-11-22 06:00 UTC. It is on", OVER, tasks={"a": "running"}),
    "held after its time": Moment("STOPPED", "over at 2026-11-22 06:00 UTC. The model is off", OVER),
    "on, its run deleted": Moment("RUNNING", "that run was deleted. It is on", HELD, None),
    "on, its run over": Moment("RUNNING", "that run is over (failed)", HELD, "failed", {"stop_model": "failed"}),
    "on, its DAG paused": Moment("RUNNING", "is its DAG paused", HELD, tasks={"analyse_images": "success"}),
    "off for good": Moment("STOPPED", "The model is off", HELD, tasks={"plan_run": "success"}),
    "cannot be started": Moment("TRAINING_FAILED", "No run can start this model: it is TRAINING_FAILED (its training"),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_what_needs_a_person_is_a_warning_and_what_a_run_does_is_none(
    browser: TestClient, aws: Aws, database: Session, moment: Moment
) -> None:
    aws.put_model(moment.status)
    at = datetime.now(UTC)
    since, ended = (at, at) if moment.just_now else (at - timedelta(hours=2), at - timedelta(minutes=5))
    if moment.lease is not None:
        run_id = add_run(database, 1, state=moment.run) if moment.run else "gone"
        for task, state in moment.tasks.items():
            add_task(database, run_id, task, state, ended)
        hold(database, lease(aws, run_id=run_id, since=since, **moment.lease))
    warned = now(browser)["warning"]
    assert bool(warned) is bool(moment.warned), warned
    assert moment.warned in (warned or "")
    is_on = moment.status in {"STARTING", "RUNNING"}
    assert ("stop-project-version" in (warned or "")) is (is_on and bool(warned))


def test_the_queues_depth_with_the_oldest_messages_age(browser: TestClient, aws: Aws, database: Session) -> None:
    assert now(browser)["queue"] == {"waiting": 0, "in_flight": 0, "oldest_seconds": None}
    aws.upload("a.png", b"picture")
    time.sleep(1.1)
    found = now(browser)
    assert (found["queue"]["waiting"], found["queue"]["in_flight"]) == (1, 0)
    assert 1 <= found["queue"]["oldest_seconds"] < 60
    aws.sqs.receive_message(QueueUrl=aws.settings.queue_url, MaxNumberOfMessages=1)
    assert now(browser)["queue"] == {"waiting": 0, "in_flight": 1, "oldest_seconds": None}


def test_an_age_that_is_not_known_is_none(browser: TestClient, aws: Aws, database: Session) -> None:
    aws.upload("a.png", b"picture")
    aws.fail("monitoring", "GetMetricStatistics", code="InternalFailure")
    found = now(browser)
    assert found["queue"] == {"waiting": 1, "in_flight": 0, "oldest_seconds": None}
    assert "The age of the oldest message cannot be read: InternalFailure" in found["age_problem"]


def test_a_queue_that_cannot_be_read_is_said(browser: TestClient, aws: Aws, database: Session) -> None:
    aws.fail("sqs", "GetQueueAttributes", code="AccessDenied", status=403)
    found = now(browser)
    assert (found["queue"], found["age_problem"]) == (None, None)
    assert "sqs:GetQueueAttributes" in found["queue_problem"]


def test_what_the_watchdog_did_to_this_pipelines_model_alone(browser: TestClient, aws: Aws, database: Session) -> None:
    assert now(browser)["watchdog"] == {"state": None, "ended_at": None, "looks": 0, "acted": []}
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
    assert found["looks"] == 3
    assert found["acted"] == [
        {"run_id": "r", "since": "2026-11-22T06:00:00Z", "why": "its run was deleted", "stopped": True}
    ]
