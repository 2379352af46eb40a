"""A stand-in for Airflow's API about runs. `test_airflow.py` compares it with a real API server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from label_detection.ui.airflow import Airflow
from label_detection_core.config.pipeline import WATCHDOG_DAG
from label_detection_core.config.pipelines import read
from label_detection_core.config.settings import SECTION
from label_detection_core.model.lease import Lease, lease_name
from label_detection_core.run.stored_report import StoredReport
from tests.conftest import Aws

DAG_ID = "label_detection"
NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


def row(report: dict[str, Any]) -> dict[str, Any]:
    """A report's entry in the list of runs."""
    return StoredReport.model_validate(report).row()


class Known(Airflow):
    """Runs, task instances and return values, in the shapes of Airflow's API.

    `denied`: DAGs that the API refuses to this user, `denied_values`: whether it refuses return values. `paused`:
    DAGs that are paused. `default_args`: by DAG id, for the DAGs with the project's tag.
    """

    def __init__(self) -> None:
        self._runs: list[dict[str, Any]] = []
        self._tasks: list[dict[str, Any]] = []
        self._values: dict[tuple[str, str], Any] = {}
        self.variables: dict[str, str] = {}
        self.denied: set[str] = set()
        self.paused: set[str] = set()
        self.asked: list[str] = []
        self.denied_values = False
        self.default_args: dict[str, dict[str, Any]] = {DAG_ID: {SECTION: {}}, WATCHDOG_DAG: {}}

    def configure(self, pipelines: str) -> None:
        """Replace the DAGs by those of the pipelines in a `pipelines` option."""
        self.default_args = {WATCHDOG_DAG: {}}
        for pipeline in read(pipelines, [Path("/nowhere")], lambda _: None):
            for dag_id in (pipeline.dag_id, pipeline.backfill_dag_id):
                self.default_args[dag_id] = json.loads(json.dumps(pipeline.default_args()))

    def variables_with(self, prefix: str) -> dict[str, str]:
        """The Variables whose names begin with a prefix."""
        return {key: value for key, value in self.variables.items() if key.startswith(prefix)}

    def add_run(self, number: int, dag_id: str = DAG_ID, state: str = "success") -> str:
        """Add a run that was due `number` hours after `NOW`; return its id."""
        due, run_id = NOW + timedelta(hours=number), f"run {number}"
        ended = due + timedelta(minutes=number) if state in {"success", "failed"} else None
        times = {"run_after": due.isoformat(), "end_date": ended and ended.isoformat()}
        self._runs.append({"dag_id": dag_id, "dag_run_id": run_id, "state": state, **times})
        return run_id

    def add_task(self, run_id: str, task_id: str, state: str | None, ended: datetime | None = None) -> None:
        """Add a task instance."""
        one = {"dag_run_id": run_id, "task_id": task_id, "state": state, "end_date": ended and ended.isoformat()}
        self._tasks.append(one)

    def add_value(self, run_id: str, task_id: str, value: Any) -> None:
        """Set the return value of a task."""
        self._values[run_id, task_id] = value

    def hold(self, held: Lease) -> None:
        """Store a lease."""
        self.variables[lease_name(held.model_arn)] = held.model_dump_json()

    def get(self, *path: str, **params: Any) -> dict[str, Any]:
        """The API's answer to a GET request."""
        self.asked.append("/".join(path))
        match path:
            case (_, dag_id, *_) if dag_id in self.denied:
                raise HTTPException(403, "Forbidden")
            case (*_, "xcomEntries", _) if self.denied_values:
                raise HTTPException(403, "Forbidden")
            case ("dags",):
                assert params["tags"] == "label-detection"
                return _page("dags", [{"dag_id": dag_id} for dag_id in self.default_args], params)
            case ("dags", dag_id, "details") if dag_id in self.default_args:
                return {"default_args": self.default_args[dag_id]}
            case ("dags", dag_id):
                return {"dag_id": dag_id, "is_paused": dag_id in self.paused}
            case ("dags", dag_id, "dagRuns"):
                return _page("dag_runs", self._listed(dag_id, params), params)
            case ("dags", dag_id, "dagRuns", run_id):
                return self._run(dag_id, run_id)
            case ("dags", dag_id, "dagRuns", run_id, "taskInstances"):
                return _page("task_instances", self._instances(dag_id, run_id, params), params)
            case ("dags", _, "dagRuns", run_id, "taskInstances", task_id, "xcomEntries", "return_value"):
                if (run_id, task_id) in self._values:
                    return {"value": self._values[run_id, task_id]}
        raise HTTPException(404, f"{path} not found")

    def _listed(self, dag_id: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        assert params["order_by"] == "-run_after"
        before, states = params.get("run_after_lt"), params.get("state")
        found = [run for run in self._runs if run["dag_id"] == dag_id and (not states or run["state"] in states)]
        kept = [run for run in found if not before or _time(run["run_after"]) < _time(before)]
        return sorted(kept, key=lambda run: _time(run["run_after"]), reverse=True)

    def _run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        for run in self._runs:
            if (run["dag_id"], run["dag_run_id"]) == (dag_id, run_id):
                return run
        raise HTTPException(404, f"{run_id} not found")

    def _instances(self, dag_id: str, run_id: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = params.get("run_after_gte"), params.get("run_after_lte")
        kept = []
        for task in self._tasks:
            due = _time(self._run(dag_id, task["dag_run_id"])["run_after"])
            is_due = not first or not last or _time(first) <= due <= _time(last)
            fits = all(task[name] == params[name] for name in ("task_id", "state") if name in params)
            if run_id in {"~", task["dag_run_id"]} and is_due and fits:
                kept.append(task)
        return kept


def lease(aws: Aws, **change: Any) -> Lease:
    """A lease on the settings' model, for the run `r`."""
    facts: dict[str, Any] = {"model_arn": aws.settings.model_arn, "dag_id": DAG_ID, "run_id": "r", "units": 2}
    return Lease(**(facts | {"since": NOW, "until": datetime.now(UTC) + timedelta(hours=1)} | change))


def _page(name: str, found: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
    offset = params.get("offset", 0)
    return {name: found[offset : offset + params["limit"]], "total_entries": len(found)}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
