"""The world of `docker compose --profile local`, with the addresses for the machine that runs Docker."""

from __future__ import annotations

from pathlib import Path

import requests

from demo.standing import Standing
from deploy.release import env_file

_INSIDE = env_file.LOCAL[env_file.ENDPOINT]
#: The addresses of the embedded AWS and of Airflow in docker-compose.yaml; `.env` can change them.
_AWS, _AIRFLOW = "127.0.0.1:5055", "http://localhost:8080"


class NoWorldError(Exception):
    """The world is not available; the message has the reason and the cure."""


def read(file: Path) -> Standing:
    """The world that a `.env` of `make env` configures.

    :raises NoWorldError: if the file is missing or configures another AWS, or if the world does not answer.
    """
    if not file.is_file():
        raise NoWorldError(f"{file} does not exist: make it with `make env`")
    variables = env_file.read(file)
    if not env_file.is_local(variables):
        raise NoWorldError(
            f"{file} configures another AWS than the embedded one: use a file without your own options, as `make env` "
            "makes it"
        )
    outside = f"http://{variables.get('LOCAL_AWS_ADDRESS') or _AWS}"
    try:
        requests.get(f"{outside}/_local/model", timeout=10).raise_for_status()
    except requests.RequestException:
        raise NoWorldError(f"nothing answers at {outside}: start it with `docker compose --profile local up`") from None
    aws = {name: value.replace(_INSIDE, outside) for name, value in variables.items()}
    return Standing(variables.get("AIRFLOW_URL") or _AIRFLOW, aws)
