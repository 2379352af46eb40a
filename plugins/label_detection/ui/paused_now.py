"""Whether a pipeline's DAG is paused, and whether a series of failed runs is the cause."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from label_detection.ui import airflow

if TYPE_CHECKING:
    from label_detection.ui.airflow import Airflow


def paused(asked: Airflow, dag_id: str) -> dict[str, Any]:
    """`paused`: whether the DAG is paused. `paused_why`: the series of failed runs, and what to do; None: no series.

    The entry in the audit log counts if no run has ended since. Otherwise somebody has unpaused and paused the DAG.
    """
    if not asked.get("dags", dag_id)["is_paused"]:
        return {"paused": False, "paused_why": None}
    entry = airflow.pause_after_failures(dag_id)
    ended = [run["end_date"] for run in asked.runs(dag_id, 1, states=("success", "failed"))]
    is_cause = entry is not None and all(end and datetime.fromisoformat(end) <= entry.at for end in ended)
    return {"paused": True, "paused_why": f"This DAG was {entry.why}." if entry and is_cause else None}
