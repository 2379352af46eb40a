"""Rows of Airflow's tables that the overview reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from sqlalchemy import insert
from sqlalchemy.orm import Session

from label_detection_core.model.lease import Lease, lease_name
from tests.conftest import Aws
from tests.plugins.label_detection.ui.conftest import DAG_ID

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


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


def lease(aws: Aws, **change: Any) -> Lease:
    facts: dict[str, Any] = {"model_arn": aws.settings.model_arn, "dag_id": DAG_ID, "run_id": "r", "units": 2}
    return Lease(**(facts | {"since": NOW, "until": datetime.now(UTC) + timedelta(hours=1)} | change))


def hold(session: Session, held: Lease) -> None:
    session.add(Variable(key=lease_name(held.model_arn), val=held.model_dump_json()))
    session.flush()
