"""A temporary Postgres server for Airflow's metadata, from the system's packages."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.environment import free_ports
from sandbox.processes import Family
from sandbox.waiting import wait_until

_START_SECONDS = 60
#: Connections for all processes of an Airflow; no fsync, because the data need not survive a power cut.
_OPTIONS = {"max_connections": "200", "fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}


@contextmanager
def postgres(logs: Path) -> Iterator[str]:
    """Start Postgres, yield SQLAlchemy's URL of an empty database, and end Postgres on exit.

    :raises FileNotFoundError: if Postgres is not installed; the message names the package to install.
    """
    servers = binaries()
    folder = Path(tempfile.mkdtemp(prefix="label-detection-postgres-"))
    family = Family(logs)
    try:
        as_user = _unprivileged(folder)
        initdb = [
            str(servers / "initdb"),
            "--pgdata",
            str(folder / "data"),
            "--username",
            "airflow",
            "--auth",
            "trust",
        ]
        subprocess.run([*as_user, *initdb, "--encoding", "UTF8"], check=True, capture_output=True, cwd=folder)
        (port,) = free_ports(1)
        settings = [word for name, value in _OPTIONS.items() for word in ("-c", f"{name}={value}")]
        server = [*as_user, str(servers / "postgres"), "-D", str(folder / "data"), "-p", str(port), *settings]
        family.start("postgres", server, {"PATH": os.environ["PATH"]})
        ready = [str(servers / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
        wait_until(lambda: not subprocess.run(ready, check=False).returncode, _START_SECONDS, "Postgres", family.check)
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/postgres"
    finally:
        family.end()
        shutil.rmtree(folder, ignore_errors=True)


def binaries() -> Path:
    """The folder of the newest server's programs; Debian has one folder per version, outside the PATH.

    :raises FileNotFoundError: if Postgres is not installed; the message names the package to install.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise FileNotFoundError("no Postgres server found: install Debian's package postgresql")
    return found[-1].parent if found else Path(str(on_path)).parent


def _unprivileged(folder: Path) -> list[str]:
    """The prefix that runs a command as an ordinary user, because Postgres refuses to run as root."""
    if os.getuid():
        return []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
