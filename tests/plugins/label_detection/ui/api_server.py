"""A real Airflow API server with the project's DAGs and with users, served below a path, without a scheduler."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sandbox.airflow_api import AirflowApi
from sandbox.environment import PROJECT, airflow_environment, cleaned, free_ports
from sandbox.processes import Family
from sandbox.waiting import wait_until

#: A user for each tested role; the last one has no role.
USERS = {"admin": "admin", "viewer": "viewer", "nobody": ""}
#: The path below which Airflow is served, as behind a proxy for several teams.
PATH = "/team-a"
#: A plugin that calls Airflow's API as the pages do, for any DAG that a test names.
_PROBE = """
from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI
from label_detection.ui import AIRFLOW
from label_detection.ui.airflow import AirflowDep

app = FastAPI()

@app.get("/dags/{dag_id}")
def details(dag_id: str, airflow: AirflowDep):
    return airflow.dag_details(dag_id)

async def probe(scope, receive, send):
    await app({**scope, AIRFLOW: scope["app"]}, receive, send)

class Probe(AirflowPlugin):
    name = "probe"
    fastapi_apps = [{"app": probe, "url_prefix": "/probe", "name": "probe"}]
"""


@dataclass(frozen=True)
class ApiServer:
    """The running server. `api`: a client with the admin's rights; `log`: the server's log file."""

    api: AirflowApi
    log: Path

    def get(
        self, path: str, user: str | None = "viewer", headers: dict[str, str] | None = None, **params: Any
    ) -> requests.Response:
        """The answer to a user's browser; None: without login."""
        cookies = {"_token": self.api.token(user, user)} if user else {}
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.api.url}/{path}"
            return session.get(url, params=params, cookies=cookies, headers=headers, timeout=120)


@contextmanager
def api_server(folder: Path, environment: dict[str, str]) -> Iterator[ApiServer]:
    """Start the server and wait until it answers. `environment`: variables for the embedded AWS and our options."""
    (port,) = free_ports(1)
    plugins, passwords = folder / "plugins", folder / "passwords.json"
    plugins.mkdir()
    for name, text in {
        "probe": _PROBE,
        "pages": (PROJECT / "plugins" / "label_detection_pages.py").read_text(),
    }.items():
        (plugins / f"{name}.py").write_text(text)
    passwords.write_text(json.dumps({user: user for user in USERS}))
    whole = cleaned() | airflow_environment(
        folder, PROJECT / "dags", plugins, f"sqlite:///{folder / 'airflow.db'}", port, (0, 0), PATH
    )
    whole |= environment | {
        "PYTHONPATH": f"{whole['PYTHONPATH']}:{PROJECT / 'plugins'}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
    family = Family(folder / "logs")
    try:
        for command in (["db", "migrate"], ["dags", "reserialize"]):
            process = family.start(command[0], [sys.executable, "-m", "airflow", *command], whole)
            assert process.wait(180) == 0, process.tail()
            del family.processes[command[0]]
        server = family.start("api-server", [sys.executable, "-m", "airflow", "api-server"], whole)
        api = AirflowApi(f"http://127.0.0.1:{port}{PATH}", ("admin", "admin"))
        wait_until(api.health, 120, "the API server", family.check)
        yield ApiServer(api, server.log)
    finally:
        family.end()
