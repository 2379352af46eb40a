"""What only Airflow's scheduler can do: pause a pipeline's DAG after a series of failed runs, and look for pools.

The DAG argument `max_consecutive_failed_dag_runs` would count runs that found an empty queue as good ones.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: Event and owner of the entry in the audit log when a DAG is paused.
PAUSED, PAUSED_BY = "paused", "label_detection"


@hookimpl
def on_dag_run_running(dag_run: DagRun) -> None:
    """Name the pools of the run's tasks that do not exist. An error is only logged."""
    _act(_look_for_pools, dag_run, "cannot look for the pools of %s")


@hookimpl
def on_dag_run_failed(dag_run: DagRun) -> None:
    """Pause the DAG if this run ends a series of `pause_after_failed_runs`. An error is only logged."""
    _act(_end_series, dag_run, "cannot tell whether %s has failed too often")


def _act(act: Callable[[DagRun, Any, Session], None], dag_run: DagRun, failure: str) -> None:
    """Call `act` with the run, its DAG and its session, if it is a run of a pipeline. `failure`: the log's line."""
    from sqlalchemy.orm import object_session

    try:
        dag, session = _labelling_dag(dag_run), object_session(dag_run)
        if dag is not None and session is not None:
            act(dag_run, dag, session)
    except Exception:  # the scheduler must go on
        log.exception(failure, dag_run.dag_id)


def _labelling_dag(dag_run: DagRun) -> Any:
    """The DAG of a run, if it is one of a pipeline; else None."""
    from label_detection.docs import TAG  # every Airflow process imports this module

    dag: Any = dag_run.dag
    is_ours = dag is not None and TAG in dag.tags and {_SENSE, _REPORT} <= dag.task_dict.keys()
    return dag if is_ours else None


def _look_for_pools(dag_run: DagRun, dag: Any, session: Session) -> None:
    from airflow.models.pool import Pool
    from airflow.models.variable import Variable
    from sqlalchemy import delete, select

    from label_detection.pools import DESCRIPTION, missing_pools_name

    pools = {task_id: task.pool for task_id, task in dag.task_dict.items()}
    known = {*session.scalars(select(Pool.pool))}
    missing = {task_id: pool for task_id, pool in pools.items() if pool not in known}
    name = missing_pools_name(dag_run.dag_id)
    session.execute(delete(Variable).where(Variable.key == name))
    if missing:
        session.add(Variable(key=name, val=json.dumps(missing), description=DESCRIPTION))


def _end_series(dag_run: DagRun, dag: Any, session: Session) -> None:
    from label_detection.configuration import pipeline_of

    most = pipeline_of(dag.default_args).option("pause_after_failed_runs")
    if most and _series(session, dag_run, most) >= most:
        _pause(session, dag_run.dag_id, most)


_SENSE, _REPORT = "wait_for_images", "write_report"


def _series(session: Session, dag_run: DagRun, most: int) -> int:
    """Number of failed runs in a row, at most `most`. A run whose report was skipped found no images: it is left out.

    0 while a task of this run may still run: a run that was marked as failed still stops its model, and a paused DAG
    would keep it from that.
    """
    from airflow.models.dagrun import DagRun as Runs
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import State
    from sqlalchemy import select

    session.flush()
    tasks = select(TaskInstance.state).where(
        TaskInstance.dag_id == dag_run.dag_id, TaskInstance.run_id == dag_run.run_id
    )
    if any(state not in State.finished for state in session.scalars(tasks)):
        return 0
    runs = (
        select(Runs.state)
        .join(TaskInstance, (TaskInstance.dag_id == Runs.dag_id) & (TaskInstance.run_id == Runs.run_id))
        .where(Runs.dag_id == dag_run.dag_id, Runs.state.in_(["success", "failed"]))
        .where(TaskInstance.task_id == _REPORT, TaskInstance.state.is_distinct_from("skipped"))
        .order_by(Runs.run_after.desc(), Runs.id.desc())
        .limit(most)
    )
    states = [str(getattr(state, "value", state)) for state in session.scalars(runs)]
    return states.index("success") if "success" in states else len(states)


def _pause(session: Session, dag_id: str, most: int) -> None:
    """Pause the DAG, as the UI does, with an entry in the audit log. The next failure sends a notice again."""
    from airflow.models.dag import DagModel
    from airflow.models.log import Log
    from airflow.models.variable import Variable
    from sqlalchemy import delete, update

    from label_detection.series import series_name

    why = f"paused after {most} failed runs in a row: remove the cause, then unpause the DAG"
    session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=True))
    session.execute(delete(Variable).where(Variable.key == series_name(dag_id)))
    session.add(Log(event=PAUSED, dag_id=dag_id, owner=PAUSED_BY, extra=why))
    log.warning("%s is %s", dag_id, why)
