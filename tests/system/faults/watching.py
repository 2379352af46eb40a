"""Observe a running world: its tasks and their processes, the model, the lease."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

import psutil

from label_detection_core.model.ledger import ledger_name, ledger_of
from sandbox.airflow_api import ApiError, TaskInstance
from sandbox.aws_clients import client
from sandbox.waiting import wait_until
from tests.model_calls import Call
from tests.system.faults.kind import calls
from tests.system.pipeline import DAG_ID, Pipeline

OVER = ("success", "failed")
_FINAL = {"success", "failed", "skipped", "upstream_failed", "removed"}
_LEASES = "label_detection_lease."


class WatchedPipeline(Pipeline):
    """The pipeline of a running world, with methods that observe it."""

    def client(self, service: str) -> Any:
        """A client for a service of the embedded AWS."""
        return client(self.world.aws_environment, service)

    def until_over(self, run_id: str, seconds: float = 240) -> str:
        """Wait until a run and all its tasks have ended, also those after a manual mark; return the run's state."""

        def is_over() -> str | None:
            state = self.world.api.run_state(DAG_ID, run_id)
            tasks = {state for of_task in self.states(run_id).values() for state in of_task}
            return state if state in OVER and tasks <= _FINAL else None

        return str(wait_until(is_over, seconds, f"the end of {run_id}", self.world.check, every=0.5))

    def until_task(self, run_id: str, task_id: str, state: str, seconds: float = 90) -> None:
        """Wait until a task, or the first instance of a mapped task, is in a state."""
        self.wait_until(lambda: getattr(self.task(run_id, task_id), "state", None) == state, seconds)

    def until_logged(self, run_id: str, task_id: str, text: str) -> None:
        """Wait until the first try of a task has logged a text."""

        def logged() -> bool:
            with suppress(ApiError):  # the task has not started yet
                return text in self.log(run_id, task_id)
            return False

        self.wait_until(logged)

    def has_ended_again(self, run_id: str, map_index: int) -> bool:
        """Whether a cleared analysis task has failed again."""
        task = self.task(run_id, "analyse_images", map_index)
        return task is not None and task.try_number > 1 and task.state == "failed"

    def lease(self) -> dict[str, Any] | None:
        """The lease on the model, if it exists."""
        found = [json.loads(variable["value"]) for variable in self.lease_variables()]
        return found[0] if found else None

    def paid(self, run_id: str) -> tuple[float, float]:
        """Begin and end of the time that the ledger of costs has for a run, in seconds since 1970."""
        name = ledger_name(self.world.setting("model_arn"))
        ledger = ledger_of(name, self.world.api.call("GET", f"/variables/{name}")["value"])
        (entry,) = [entry for entry in ledger.entries if entry.run_id == run_id]
        assert entry.ended_at is not None, "the model's end is not in the ledger"
        return entry.since.timestamp(), entry.ended_at.timestamp()

    def lease_ends(self) -> float:
        """The end of the lease, in seconds since 1970."""
        lease = self.lease()
        assert lease is not None
        return datetime.fromisoformat(lease["until"]).timestamp()

    def until(self, at: float) -> None:
        """Wait until a time, in seconds since 1970."""
        self.wait_until(lambda: time.time() >= at, max(1.0, at - time.time() + 1))

    def task(self, run_id: str, task_id: str, map_index: int | None = None) -> TaskInstance | None:
        """A task instance; of a mapped task, the one with the index, by default the first. None: it does not exist."""
        for task in self.world.api.tasks(DAG_ID, run_id):
            if task.task_id == task_id and map_index in (None, task.map_index):
                return task
        return None

    def tries(self, run_id: str, task_id: str) -> int:
        """How often a task was tried; of a mapped task, the highest number."""
        return max(task.try_number for task in self.world.api.tasks(DAG_ID, run_id) if task.task_id == task_id)

    def ended_at(self, run_id: str, task_id: str) -> float:
        """When all instances of a task had ended, in seconds since 1970."""
        tasks = [task for task in self.world.api.tasks(DAG_ID, run_id) if task.task_id == task_id]
        return max(datetime.fromisoformat(task.end_date).timestamp() for task in tasks if task.end_date)

    def task_process(self, run_id: str, task_id: str, map_index: int | None = None) -> psutil.Process:
        """Wait for the process that runs a task, and return it."""

        def found() -> psutil.Process | None:
            task = self.task(run_id, task_id, map_index)
            if task is None or task.state != "running" or not task.pid:
                return None
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(task.pid)
                if process.pid in self.world.processes["scheduler"].members():
                    return process
            return None

        return wait_until(found, 60, f"a process of {task_id}", self.world.check, every=0.1)

    def is_held(self, call: Call) -> bool:
        """Whether a call that `hold` delays has arrived."""
        operation = calls().operations[call]
        return all(fault["operation"] != operation for fault in self.world.control("faults"))

    def until_held(self, call: Call) -> None:
        """Wait until a call that `hold` delays has arrived."""
        self.wait_until(lambda: self.is_held(call))

    def history(self) -> list[tuple[str, float]]:
        """The model's states, each with its time in seconds since 1970."""
        return [
            (change["status"], datetime.fromisoformat(change["at"]).timestamp())
            for change in self.world.model()["history"]
        ]

    def off_at(self) -> float:
        """When the model went off, in seconds since 1970."""
        status, at = self.history()[-1]
        assert status in {"STOPPED", "FAILED"}, f"the model is not off, but: {status}"
        return at

    def status(self) -> str:
        """The model's state."""
        return str(self.world.model()["status"])

    def until_status(self, *wanted: str, seconds: float = 90) -> None:
        """Wait until the model is in one of these states."""
        self.wait_until(lambda: self.status() in wanted, seconds)

    def until_analysing(self) -> None:
        """Wait for the model's next detection."""
        before = self.world.model()["detects"]
        self.wait_until(lambda: self.world.model()["detects"] > before)

    def lease_variables(self) -> list[dict[str, Any]]:
        """The Airflow Variables that hold leases."""
        variables = self.world.api.call("GET", "/variables", limit=100)["variables"]
        return [variable for variable in variables if variable["key"].startswith(_LEASES)]
