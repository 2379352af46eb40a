"""The world of `docker compose --profile local`, as it is reached from the machine that runs it."""

from __future__ import annotations

from pathlib import Path

import requests

from demo.standing import Standing
from deploy.release import env_file

_INSIDE = env_file.LOCAL[env_file.ENDPOINT]
#: Where docker-compose.yaml publishes it, and Airflow, unless `.env` says otherwise.
_AWS, _AIRFLOW = "127.0.0.1:5055", "http://localhost:8080"


class NoWorldError(Exception):
    """There is none; the message says why, and what to do."""


def read(file: Path) -> Standing:
    """The world that a `.env` of `make env` leads to.

    :raises NoWorldError: when the file leads elsewhere, or nothing answers there.
    """
    if not file.is_file():
        raise NoWorldError(f"{file} is not there: make env")
    variables = env_file.read(file)
    if not env_file.is_local(variables):
        raise NoWorldError(
            f"{file} does not lead to the embedded AWS: without options of your own, make env sees to that"
        )
    outside = f"http://{variables.get('LOCAL_AWS_ADDRESS') or _AWS}"
    try:
        requests.get(f"{outside}/_local/model", timeout=10).raise_for_status()
    except requests.RequestException:
        raise NoWorldError(f"nothing answers at {outside}: docker compose --profile local up") from None
    aws = {name: value.replace(_INSIDE, outside) for name, value in variables.items()}
    return Standing(variables.get("AIRFLOW_URL") or _AIRFLOW, aws)
