"""Airflow as the pages ask it: in the name of the user who asks, by its public API.

The page's server calls `/api/v2` inside its own process (ASGI), logged in as that user: the rights are the user's own,
nothing is configured for a path or a proxy that ends TLS, no database connection is held while AWS is asked, and one
answer joins what Airflow and AWS say, which the browser's own script could not.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from anyio import from_thread
from fastapi import Depends, HTTPException, Request
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import select

from label_detection.ui import AIRFLOW

#: What a login made for one request is good for, in seconds.
_LOGIN_SECONDS = 60
#: The errors of Airflow's API that are the caller's to understand; all others are Airflow's own trouble.
_PASSED_ON = {401, 403, 404}
#: Entries of one answer of the API, its default limit. Where `[api] maximum_page_limit` is lower, it answers fewer.
_PAGE = 100
_MOST_TASKS = 1000
_MOST_DAGS = 1000
#: Requests to the API at once. Each holds one of Airflow's connections to its database (by default 5, and 10 more), and
#: Airflow 3.2.1 looks up every login inside its event loop: when it finds none free, the whole server stands still.
_room = threading.BoundedSemaphore(4)


class Airflow:
    """Airflow's public API for the user of one request. To be used in a route that is not async: it waits for answers.

    A request holds one thread while Airflow's own route has another: `request_limit` leaves enough of them.

    Every method raises HTTPException: 401, 403 and 404 as Airflow answers them, 502 for all others.
    """

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self._app = request.scope[AIRFLOW]
        self._user = user

    def dags(self, tag: str) -> list[dict[str, Any]]:
        """The DAGs with a tag that the user may read, paused ones among them."""
        return self._list("dags", _MOST_DAGS, "dags", tags=tag)

    def dag_details(self, dag_id: str) -> dict[str, Any]:
        """A DAG as `/api/v2/dags/{dag_id}/details` has it, `default_args` among the rest."""
        return self.get("dags", dag_id, "details")

    def runs(
        self, dag_id: str, most: int, before: datetime | None = None, states: Collection[str] = ()
    ) -> list[dict[str, Any]]:
        """A DAG's newest runs by `run_after`, the newest first; those `before` a time, in these `states` alone."""
        older = before.isoformat() if before else None
        params = {"order_by": "-run_after", "run_after_lt": older, "state": list(states) or None}
        return self._list("dag_runs", most, "dags", dag_id, "dagRuns", **params)

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run."""
        return self.get("dags", dag_id, "dagRuns", run_id)

    def tasks(self, dag_id: str, run_id: str, **params: Any) -> list[dict[str, Any]]:
        """The task instances of a run, or of all runs (`~`), as far as the parameters of the API let them through."""
        return self._list("task_instances", _MOST_TASKS, "dags", dag_id, "dagRuns", run_id, "taskInstances", **params)

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task has returned, as it is stored; None if it has not."""
        try:
            task = "dags", dag_id, "dagRuns", run_id, "taskInstances", task_id
            return self.get(*task, "xcomEntries", "return_value")["value"]
        except HTTPException as error:
            if error.status_code != 404:
                raise
            return None

    def get(self, *path: str, **params: Any) -> dict[str, Any]:
        """What the API has at a path, given in its parts; a parameter that is None is left out."""
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
    """A Variable's value, from Airflow's database: the one thing that is not asked of the API.

    Who may read a pipeline's runs must see who holds its model; the API gives Variables to operators and admins alone.
    """
    with create_session() as session:
        found = session.scalar(select(Variable).where(Variable.key == key))
        return found.val if found else None


def _detail(answer: Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


#: Airflow's public API for the user who asks.
AirflowDep = Annotated[Airflow, Depends()]
