"""The environment variables of a world's processes: a copy of the user's, without those that would affect them.

Variables for the user's own Airflow, AWS account, Python or proxy must not reach these processes, which only connect
to this machine.
"""

from __future__ import annotations

import os
import secrets
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path

#: The folder of the checkout.
PROJECT = Path(__file__).resolve().parents[1]
#: PYTHONPATH of the checkout: the folder itself, for `local_aws` and `demo`, and `include`, for the core.
PYTHONPATH = os.pathsep.join(str(PROJECT / folder) for folder in ("", "include"))

_FOREIGN = ("AIRFLOW", "_AIRFLOW", "AWS_", "BOTO", "PYTHON", "MOTO_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY")


def is_foreign(name: str) -> bool:
    """Whether an environment variable of this name would affect a world's processes."""
    return name.startswith(_FOREIGN) or name.upper() in _PROXIES


def cleaned(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """A copy of an environment (default: of this process) without foreign variables and configuration files."""
    source = os.environ if environment is None else environment
    kept = {name: value for name, value in source.items() if not is_foreign(name)}
    return kept | {
        "PYTHONPATH": PYTHONPATH,
        "PYTHONUNBUFFERED": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


def clean_own() -> None:
    """Remove the foreign variables from this process, because its libraries read them (boto3, requests)."""
    for name in [name for name in os.environ if is_foreign(name)]:
        del os.environ[name]
    os.environ.update({name: value for name, value in cleaned().items() if name not in os.environ})


def free_ports(count: int, wanted: Iterable[int] = ()) -> list[int]:
    """Free TCP ports of 127.0.0.1; wanted ports come first if they are free.

    All ports are held open until all are found, so they differ from each other.
    """
    sockets = []
    try:
        for port in [*wanted, *[0] * count]:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                sock.close()
            else:
                sockets.append(sock)
            if len(sockets) == count:
                break
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def airflow_environment(
    home: Path,
    dags_folder: Path,
    plugins_folder: Path,
    sql_alchemy_conn: str,
    port: int,
    log_ports: tuple[int, int],
    path: str = "",
) -> dict[str, str]:
    """Airflow's configuration for a small world on one machine, as environment variables.

    :param log_ports: the ports of the worker's and the triggerer's log servers.
    :param path: the path of Airflow's base URL, with a leading slash, or empty.
    """
    url = f"http://127.0.0.1:{port}{path}"
    options = {
        "CORE__DAGS_FOLDER": str(dags_folder),
        "CORE__PLUGINS_FOLDER": str(plugins_folder),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "6",
        "CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # The default asks DNS, which takes seconds on some machines.
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "DATABASE__SQL_ALCHEMY_CONN": sql_alchemy_conn,
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": url,
        "API__WORKERS": "1",
        "API__SECRET_KEY": secrets.token_urlsafe(32),
        "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        # A lost task or scheduler leaves the model on until Airflow notices the loss. Airflow's default is 300 seconds.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
    }
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        **{f"AIRFLOW__{name}": value for name, value in options.items()},
    }
