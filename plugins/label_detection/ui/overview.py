"""The overview of all pipelines that the user may read: runs over time, and model, queue and watchdog now."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from label_detection.ui import budget_now, model_now, paused_now, queue_now
from label_detection.ui.access import MAY_READ_RUNS, SettingsDep, pipeline_of, pipelines_of
from label_detection.ui.airflow import Airflow, AirflowDep
from label_detection.ui.images import read_report
from label_detection.ui.responses import GoneError, UnreadableError, data, page
from label_detection.xcom import PLAN_TASK, SENSE_TASK
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.settings import Settings

router = APIRouter()
#: Runs that one request returns at most.
_RUNS = 60
_AT_ONCE = 8


@router.get("/overview", dependencies=[Depends(get_user)])
def overview_page() -> Response:
    """The HTML page; its script loads the data."""
    return page("overview.html")


@router.get("/pipelines")
def pipelines(request: Request, user: GetUserDep, airflow: AirflowDep) -> Response:
    """The pipelines whose runs the user may read. A name that pipelines of two DAG id prefixes share is left out."""
    seen = [pipeline for pipeline in pipelines_of(airflow) if _may_read(request, user, pipeline)]
    named = Counter(pipeline.name for pipeline in seen)
    return data([{"name": p.name if named[p.name] == 1 else None, "dag_id": p.dag_id} for p in seen])


@router.get("/pipelines/{dag_id}/runs", dependencies=[MAY_READ_RUNS])
def runs(
    dag_id: str, settings: SettingsDep, airflow: AirflowDep, before: Annotated[AwareDatetime | None, Query()] = None
) -> Response:
    """The newest runs, or the newest that were due before a time; each with the numbers of its report, if any."""
    found = airflow.runs(dag_id, _RUNS, before)
    empty = _skipped(airflow, dag_id, found, SENSE_TASK)
    over_budget = _skipped(airflow, dag_id, found, PLAN_TASK) - empty
    with ThreadPoolExecutor(_AT_ONCE) as readers:
        rows = list(readers.map(partial(_row, settings), (run["dag_run_id"] for run in found)))
    answer = [
        {
            "run_id": run["dag_run_id"],
            "state": run["state"],
            "empty": run["dag_run_id"] in empty,
            "over_budget": run["dag_run_id"] in over_budget,
            **one,
        }
        for run, one in zip(found, rows, strict=True)
    ]
    return data({"runs": answer, "before": found[-1]["run_after"] if len(found) == _RUNS else None})


@router.get("/pipelines/{dag_id}/now", dependencies=[MAY_READ_RUNS])
def now(settings: SettingsDep, airflow: AirflowDep, pipeline: Annotated[Pipeline, Depends(pipeline_of)]) -> Response:
    """The state and the lease of the model, the queue, the watchdog's actions, costs, and whether the DAG is paused."""
    with ThreadPoolExecutor(1) as beside:
        queue = beside.submit(queue_now.queue, settings)
        state = model_now.state_of(settings)
    # The lease is read after the model's state: see model_now.state_of.
    model = model_now.model(airflow, settings, *state)
    watchdog, costs = model_now.watchdog(airflow, pipeline), budget_now.costs(settings, pipeline)
    paused = paused_now.paused(airflow, pipeline.dag_id)
    return data({**model, **queue.result(), "watchdog": watchdog, "costs": costs, **paused})


def _skipped(airflow: Airflow, dag_id: str, runs: list[dict[str, Any]], task_id: str) -> set[str]:
    """Ids of the runs whose task was skipped: they started nothing and have no report.

    A skipped sensor found the queue empty. If only the plan was skipped, a budget is used up.
    """
    if not runs:
        return set()
    due = {"run_after_gte": runs[-1]["run_after"], "run_after_lte": runs[0]["run_after"]}
    skipped = airflow.tasks(dag_id, "~", task_id=task_id, state="skipped", **due)
    return {task["dag_run_id"] for task in skipped}


def _row(settings: Settings, run_id: str) -> dict[str, Any]:
    """`report`: the numbers of a run's report; None: there is none. `report_problem`: why the report cannot be read."""
    try:
        return {"report": read_report(settings, run_id).row(), "report_problem": None}
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
