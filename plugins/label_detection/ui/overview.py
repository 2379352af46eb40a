"""All pipelines that the user may see: their runs over time, the model, the queue and the watchdog now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from label_detection.configuration import read_pipelines
from label_detection.ui import model_now, queue_now
from label_detection.ui.access import MAY_READ_RUNS, SettingsDep, pipeline_of
from label_detection.ui.images import read_report
from label_detection.ui.responses import GoneError, UnreadableError, data, page
from label_detection.xcom import SENSE_TASK
from label_detection_core.config.pipelines import Pipeline
from label_detection_core.config.settings import Settings
from label_detection_core.model.run_history import row

router = APIRouter()
#: Runs that one request looks at.
_RUNS = 60
_AT_ONCE = 8
#: Of a run in Airflow's database.
_LARGEST_ID = 2**31 - 1


@router.get("/overview", dependencies=[Depends(get_user)])
def overview_page() -> Response:
    """The page."""
    return page("overview.html")


@router.get("/pipelines")
def pipelines(request: Request, user: GetUserDep) -> Response:
    """The pipelines whose runs the user may read."""
    seen = [pipeline for pipeline in read_pipelines() if _may_read(request, user, pipeline)]
    return data([{"name": pipeline.name, "dag_id": pipeline.dag_id} for pipeline in seen])


@router.get("/pipelines/{dag_id}/runs", dependencies=[MAY_READ_RUNS])
def runs(
    dag_id: str,
    settings: SettingsDep,
    session: SessionDep,
    before: Annotated[int | None, Query(ge=1, le=_LARGEST_ID)] = None,
) -> Response:
    """The newest runs that Airflow knows, or those made before one; each with its report's numbers, if it has one."""
    known = select(DagRun.id, DagRun.run_id, DagRun.state).where(DagRun.dag_id == dag_id)
    if before:
        known = known.where(DagRun.id < before)
    found = session.execute(known.order_by(DagRun.id.desc()).limit(_RUNS)).all()
    empty = _empty(session, dag_id, [run.run_id for run in found])
    session.commit()  # Airflow has few connections to its database: none is kept while S3 is asked
    with ThreadPoolExecutor(_AT_ONCE) as readers:
        rows = list(readers.map(partial(_row, settings), (run.run_id for run in found)))
    answer = [
        {"run_id": run.run_id, "state": str(run.state), "empty": run.run_id in empty, **one}
        for run, one in zip(found, rows, strict=True)
    ]
    return data({"runs": answer, "before": found[-1].id if len(found) == _RUNS else None})


@router.get("/pipelines/{dag_id}/now", dependencies=[MAY_READ_RUNS])
def now(settings: SettingsDep, session: SessionDep, pipeline: Annotated[Pipeline, Depends(pipeline_of)]) -> Response:
    """Whether the model is on and who holds it, what waits in the queue, what the watchdog did to this model."""
    with ThreadPoolExecutor(1) as beside:
        queue = beside.submit(queue_now.queue, settings)
        state = model_now.state_of(settings)
    # AWS has answered: only now a connection to the database is taken
    model = model_now.model(session, settings, *state)
    return data({**model, **queue.result(), "watchdog": model_now.watchdog(session, pipeline)})


def _empty(session: Session, dag_id: str, run_ids: list[str]) -> set[str]:
    """Those that found nothing in the queue: they have started nothing, and have no report."""
    of_task = TaskInstance.dag_id == dag_id, TaskInstance.task_id == SENSE_TASK, TaskInstance.state == "skipped"
    return set(session.scalars(select(TaskInstance.run_id).where(*of_task, TaskInstance.run_id.in_(run_ids))))


def _row(settings: Settings, run_id: str) -> dict[str, Any]:
    """A run's `report`, in numbers, and why there is none of those in one that is there: `report_problem`."""
    try:
        return {"report": row(read_report(settings, run_id)), "report_problem": None}
    except GoneError:
        return {"report": None, "report_problem": None}
    except UnreadableError as error:
        return {"report": None, "report_problem": error.detail}


def _may_read(request: Request, user: Any, pipeline: Pipeline) -> bool:
    may = requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN, param_dag_id=pipeline.dag_id)
    try:
        may(request, user)
    except HTTPException:
        return False
    return True
