"""A client of Airflow's REST API (v2), with the calls that the demo and the system tests need."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from sandbox.waiting import wait_until

#: Seconds to wait for an answer; long, because the machine may be busy.
_TIMEOUT = 30
_FINISHED = ("success", "failed")


class ApiError(RuntimeError):
    """Airflow's API answered with an error; ``status`` is the HTTP status."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"{response.request.method} {response.url}: {response.status_code} {response.text[:2000]}")
        self.status = response.status_code


class BrokenDagError(RuntimeError):
    """A DAG file could not be imported; the message has Airflow's stack trace."""


@dataclass(frozen=True)
class TaskInstance:
    """A task instance of a run. `map_index`: -1 if it is not mapped; dates: ISO 8601 or None; `duration`: seconds."""

    task_id: str
    map_index: int
    rendered_map_index: str | None
    state: str | None
    try_number: int
    start_date: str | None
    end_date: str | None
    duration: float | None
    hostname: str | None
    pid: int | None

    @property
    def name(self) -> str:
        """The task's id, with the map index if it is mapped."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


class AirflowApi:
    """The API of the Airflow at `url`. `credentials`: user and password, needed unless every user is an admin."""

    def __init__(self, url: str, credentials: tuple[str, str] | None = None) -> None:
        self.url = url
        self._credentials = credentials
        self._session = requests.Session()
        self._session.trust_env = False

    def health(self) -> dict[str, str | None]:
        """Each component's status ("healthy", "unhealthy", None: not seen yet); empty if Airflow does not answer."""
        try:
            answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=_TIMEOUT)
            answer.raise_for_status()
            return {name: part["status"] for name, part in answer.json().items()}
        except (requests.RequestException, ValueError, AttributeError):
            return {}

    def token(self, user: str | None = None, password: str | None = None) -> str:
        """A bearer token; without a user, the token of an Airflow in which every user is an admin. Raises ApiError."""
        if user is None:
            answer = self._session.get(f"{self.url}/auth/token", timeout=_TIMEOUT)
        else:
            body = {"username": user, "password": password}
            answer = self._session.post(f"{self.url}/auth/token", json=body, timeout=_TIMEOUT)
        if not answer.ok:
            raise ApiError(answer)
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, body: object = None, **params: object) -> Any:
        """Call `/api/v2<path>` and return the JSON of the answer. An expired token is renewed. Raises ApiError."""
        answer = self._send(method, path, body, params)
        if answer.status_code == 401:
            self._session.headers["Authorization"] = f"Bearer {self.token(*(self._credentials or ()))}"
            answer = self._send(method, path, body, params)
        if not answer.ok:
            raise ApiError(answer)
        return answer.json() if answer.content else None

    def _send(self, method: str, path: str, body: object, params: Mapping[str, Any]) -> requests.Response:
        url = f"{self.url}/api/v2{path}"
        return self._session.request(method, url, json=body, params=dict(params), timeout=_TIMEOUT)

    def import_errors(self) -> dict[str, str]:
        """The stack trace of each DAG file that cannot be imported, by file name."""
        errors = self.call("GET", "/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def has_dag(self, dag_id: str) -> bool:
        """Whether Airflow has parsed the DAG."""
        try:
            return not self.call("GET", f"/dags/{dag_id}")["is_stale"]
        except ApiError as error:
            if error.status in (404, 500):
                return False
            raise

    def wait_for_dag(self, dag_id: str, timeout: float = 120, check: Callable[[], None] = lambda: None) -> None:
        """Wait until the DAG has been parsed. Raises BrokenDagError if a DAG file cannot be imported."""

        def broken_or_there() -> bool:
            if self.has_dag(dag_id):
                return True
            if errors := self.import_errors():
                raise BrokenDagError("\n".join(f"{name}:\n{trace}" for name, trace in errors.items()))
            return False

        wait_until(broken_or_there, timeout, f"the DAG {dag_id}", check)

    def pause(self, dag_id: str, paused: bool = True) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def trigger(self, dag_id: str, run_id: str | None = None, conf: Mapping[str, object] | None = None) -> str:
        """Start a run and return its id. An answer 500, which SQLite causes under load, is retried."""
        run_id = run_id or f"manual__{time.time_ns()}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        for attempt in range(5):
            try:
                self.call("POST", f"/dags/{dag_id}/dagRuns", body)
                break
            except ApiError as error:
                if error.status == 409 and attempt:  # the previous attempt started the run, although it answered 500
                    break
                if error.status < 500 or attempt == 4:
                    raise
                time.sleep(1)
        return run_id

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run in Airflow's JSON: state, start_date, end_date, conf …."""
        found: dict[str, Any] = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
        return found

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The newest 100 runs of a DAG, newest first."""
        runs: list[dict[str, Any]] = self.call("GET", f"/dags/{dag_id}/dagRuns", limit=100, order_by="-run_after")[
            "dag_runs"
        ]
        return runs

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The run's state: queued, running, success or failed."""
        return str(self.run(dag_id, run_id)["state"])

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as failed, success or queued."""
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state})

    def wait_for_run(
        self, dag_id: str, run_id: str, timeout: float = 300, check: Callable[[], None] = lambda: None
    ) -> str:
        """Wait until the run has ended, and return its state."""

        def ended() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in _FINISHED else None

        return str(wait_until(ended, timeout, f"the end of {dag_id} {run_id}", check, every=0.5))

    def tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The task instances of a run; each mapped task instance is an entry of its own."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)["task_instances"]
        return [TaskInstance(**{name: task[name] for name in TaskInstance.__annotations__}) for task in found]

    def task_states(self, dag_id: str, run_id: str) -> dict[str, list[str | None]]:
        """The states of the task instances by task id, in the order of their map indexes."""
        states: dict[str, list[str | None]] = {}
        for task in sorted(self.tasks(dag_id, run_id), key=lambda task: task.map_index):
            states.setdefault(task.task_id, []).append(task.state)
        return states

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """The log of one try of a task: a line "<time> <level> <text>" for each event, and one for each exception."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.call("GET", path, map_index=map_index, full_content=True)["content"]
        return "\n".join(_line(event) for event in content)


def _line(event: object) -> str:
    if not isinstance(event, dict):
        return str(event)
    head = " ".join(str(event[name]) for name in ("timestamp", "level", "event") if event.get(name))
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in event.get("error_detail") or []]
    return "\n".join([head, *errors])
