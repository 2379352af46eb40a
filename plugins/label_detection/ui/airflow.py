"""Airflow's public API for the pages, called in the name of the user who opens a page.

The pages call `/api/v2` inside the process of the API server (ASGI), logged in as that user. Reasons:

* The permissions are those of the user.
* Paths and proxies that end TLS need no configuration.
* No database connection is held during a call to AWS.
* One answer can combine data of Airflow and AWS. The script in the browser could not call AWS.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.log import Log
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from anyio import from_thread
from fastapi import Depends, HTTPException, Request
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import select

from label_detection.listener import PAUSED, PAUSED_BY
from label_detection.ui import AIRFLOW

#: Seconds that the login token of one request is valid.
_LOGIN_SECONDS = 60
#: Status codes of Airflow's API that are passed on to the browser. Every other error becomes 502.
_PASSED_ON = {401, 403, 404}
#: Entries per answer of the API, which is its default limit. With a lower `[api] maximum_page_limit` it returns fewer.
_PAGE = 100
_MOST_TASKS = 1000
_MOST_DAGS = 1000
#: Concurrent requests to the API. Each holds one of Airflow's database connections (by default 5, plus 10 overflow).
#: Airflow 3.2.1 looks up every login inside its event loop: without a free connection, the whole server hangs.
_room = threading.BoundedSemaphore(4)


class Airflow:
    """Airflow's public API for the user of one request. Use it only in routes that are not async: its calls block.

    A call holds one thread while Airflow's own route needs another one: `request_limit` leaves enough threads.

    Every method raises HTTPException: 401, 403 and 404 as Airflow answers them, 502 for every other error.
    """

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self._app = request.scope[AIRFLOW]
        self._user = user

    def dags(self, tag: str) -> list[dict[str, Any]]:
        """The DAGs with a tag that the user may read, paused ones included."""
        return self._list("dags", _MOST_DAGS, "dags", tags=tag)

    def dag_details(self, dag_id: str) -> dict[str, Any]:
        """A DAG, as `/api/v2/dags/{dag_id}/details` returns it, with its `default_args`."""
        return self.get("dags", dag_id, "details")

    def runs(
        self, dag_id: str, most: int, before: datetime | None = None, states: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """At most `most` runs of a DAG, by `run_after`, newest first.

        :param before: only runs that were due before this time; None: all.
        :param states: only runs in these states; empty: all.
        """
        older = before.isoformat() if before else None
        params = {"order_by": "-run_after", "run_after_lt": older, "state": list(states) or None}
        return self._list("dag_runs", most, "dags", dag_id, "dagRuns", **params)

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run, as the API returns it."""
        return self.get("dags", dag_id, "dagRuns", run_id)

    def tasks(self, dag_id: str, run_id: str, **params: Any) -> list[dict[str, Any]]:
        """The task instances of a run, or of all runs (`~`). `params`: filters of the API."""
        return self._list("task_instances", _MOST_TASKS, "dags", dag_id, "dagRuns", run_id, "taskInstances", **params)

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """The return value of a task, as XCom stores it; None if there is none."""
        try:
            task = "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id
            return self.get(*task, "xcomEntries", "return_value")["value"]
        except HTTPException as error:
            if error.status_code != 404:
                raise
            return None

    def get(self, *path: str, **params: Any) -> dict[str, Any]:
        """The answer of the API to GET. `path`: the parts of the path. A parameter that is None is not sent."""
        given = {name: value for name, value in params.items() if value is not None}
        with _room:
            answer = from_thread.run(self._ask, "/".join(quote(part, safe="~") for part in path), given)
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        if answer.status_code in _PASSED_ON:
            raise HTTPException(answer.status_code, _detail(answer))
        raise HTTPException(502, f"Airflow's API answered {answer.status_code} to {answer.url.path}: {_detail(answer)}")

    def _list(self, name: str, most: int, *path: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < most:
            answer = self.get(*path, limit=min(most - len(found), _PAGE), offset=len(found), **params)
            found += answer[name]
            if not answer[name] or len(found) >= answer["total_entries"]:
                break
        return found

    async def _ask(self, path: str, params: dict[str, Any]) -> Response:
        token = get_auth_manager().generate_jwt(self._user, expiration_time_in_seconds=_LOGIN_SECONDS)
        transport = ASGITransport(self._app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"}
        async with AsyncClient(transport=transport, base_url="http://airflow", headers=headers) as client:
            return await client.get(f"{self._app.root_path}/api/v2/{path}", params=params)


def variable(key: str) -> str | None:
    """The value of a Variable, read from Airflow's database instead of the API; None if there is no such Variable.

    A user who may read the runs of a pipeline must also see which run holds the model. The API shows Variables only to
    operators and admins.
    """
    with create_session() as session:
        found = session.scalar(select(Variable).where(Variable.key == key))
        return found.val if found else None


def variables(prefix: str) -> dict[str, str]:
    """The Variables whose names begin with a prefix, read from the database for the same reason."""
    with create_session() as session:
        found = session.scalars(select(Variable).where(Variable.key.startswith(prefix, autoescape=True)))
        return {one.key: one.val for one in found if one.val}


@dataclass(frozen=True)
class Pause:
    """An entry in the audit log: when a DAG was paused, and why."""

    at: datetime
    why: str


def pause_after_failures(dag_id: str) -> Pause | None:
    """The newest pause of a DAG after a series of failed runs, read from the database for the same reason."""
    with create_session() as session:
        ours = select(Log).where(Log.dag_id == dag_id, Log.event == PAUSED, Log.owner == PAUSED_BY)
        found = session.scalar(ours.order_by(Log.dttm.desc()).limit(1))
        return Pause(found.dttm, found.extra) if found and found.dttm and found.extra else None


def _detail(answer: Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


#: Airflow's public API for the user of the request.
AirflowDep = Annotated[Airflow, Depends()]
