"""Airflow as the pages ask it: in the name of the user who asks, by its public API.

The page's server calls `/api/v2` inside its own process (ASGI), logged in as that user: the rights are the user's own,
nothing is configured for a path or a proxy that ends TLS, no database connection is held while AWS is asked, and one
answer joins what Airflow and AWS say, which the browser's own script could not.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep
from anyio import from_thread
from fastapi import Depends, HTTPException, Request
from httpx import ASGITransport, AsyncClient, Response

from label_detection.ui import AIRFLOW

#: What a login made for one request is good for, in seconds.
_LOGIN_SECONDS = 60
#: The errors of Airflow's API that are the caller's to understand; all others are Airflow's own trouble.
_PASSED_ON = {401, 403, 404}


class Airflow:
    """Airflow's public API for the user of one request. To be used in a route that is not async: it waits for answers.

    A request holds one thread while Airflow's own route has another: `request_limit` leaves enough of them.
    """

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self._app = request.scope[AIRFLOW]
        self._user = user

    def dag_details(self, dag_id: str) -> dict[str, Any]:
        """A DAG as `/api/v2/dags/{dag_id}/details` has it, `default_args` among the rest.

        :raises HTTPException: 403 when the user may not read it, 404 when there is none, 502 when Airflow has failed.
        """
        return self.get("dags", dag_id, "details")

    def get(self, *path: str, **params: Any) -> dict[str, Any]:
        """What the API has at a path, given in its parts; a parameter that is None is left out.

        :raises HTTPException: 401, 403 and 404 as Airflow answers them, 502 for all others.
        """
        given = {name: value for name, value in params.items() if value is not None}
        answer = from_thread.run(self._ask, "/".join(quote(part, safe="~") for part in path), given)
        if answer.is_success:
            found: dict[str, Any] = answer.json()
            return found
        if answer.status_code in _PASSED_ON:
            raise HTTPException(answer.status_code, _detail(answer))
        raise HTTPException(502, f"Airflow's API answered {answer.status_code} to {answer.url.path}: {_detail(answer)}")

    async def _ask(self, path: str, params: dict[str, Any]) -> Response:
        token = get_auth_manager().generate_jwt(self._user, expiration_time_in_seconds=_LOGIN_SECONDS)
        transport = ASGITransport(self._app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"}
        async with AsyncClient(transport=transport, base_url="http://airflow", headers=headers) as client:
            return await client.get(f"{self._app.root_path}/api/v2/{path}", params=params)


def _detail(answer: Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


#: Airflow's public API for the user who asks.
AirflowDep = Annotated[Airflow, Depends()]
