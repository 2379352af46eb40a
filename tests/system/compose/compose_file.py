"""docker-compose.yaml as docker-compose itself reads it: anchors, `.env` and profiles resolved."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo import standing
from deploy.release import env_file
from sandbox.environment import PROJECT

_MOUNTED = ("dags", "plugins", "include", "local_aws", "deploy")


@dataclass(frozen=True)
class Volume:
    """A volume. `source`: a folder of this machine or a volume's name; `target`: its path in the container."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Service:
    """A service of the file: its command, its environment and its health check."""

    name: str
    command: list[str]
    environment: dict[str, str]
    volumes: list[Volume]
    user: str
    working_dir: str
    #: The health check's command; empty: the service has none.
    health: list[str]
    #: Seconds after which an unhealthy service counts as failed.
    patience: float
    #: Other services, with the condition that each must meet before this service starts.
    depends_on: dict[str, str]
    image: str
    #: Number of containers.
    scale: int


def write_project(folder: Path, **variables: str) -> None:
    """Make the part of a checkout that the file needs, with the `.env` of `make env` plus more variables."""
    shutil.copy(PROJECT / "docker-compose.yaml", folder)
    for name in _MOUNTED:
        (folder / name).symlink_to(PROJECT / name)
    env_file.complete(folder)
    standing.put_examples(folder / ".world")
    env_file.replace(folder / env_file.FILE, variables)


def config(folder: Path, *profiles: str) -> dict[str, Any]:
    """The whole file as `docker-compose config` prints it.

    :raises ValueError: the file is wrong; the message has the error of the command.
    """
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    command = [str(shutil.which("docker-compose")), *chosen, "config"]
    shell = {"PATH": os.environ["PATH"]}  # a shell's own variables would override those of .env
    done = subprocess.run(command, cwd=folder, env=shell, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"docker-compose config: {done.stderr}")
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def services(folder: Path, *profiles: str) -> dict[str, Service]:
    """The services of the given profiles. `config` also prints services of other profiles."""
    found = config(folder, *profiles)["services"]
    chosen = {name: one for name, one in found.items() if set(one.get("profiles", profiles)) <= set(profiles)}
    return {name: _service(name, entry) for name, entry in chosen.items()}


def _service(name: str, entry: dict[str, Any]) -> Service:
    health = entry.get("healthcheck", {})
    kind, *test = health.get("test") or [""]
    retries, interval = health.get("retries", 3), _seconds(health.get("interval", "30s"))
    return Service(
        name=name,
        command=[*entry.get("entrypoint", []), *entry.get("command", [])],
        environment={key: str(value) for key, value in entry.get("environment", {}).items()},
        volumes=[_volume(text) for text in entry.get("volumes", [])],
        user=entry.get("user", ""),
        working_dir=entry.get("working_dir", "/opt/airflow"),  # the working directory of Airflow's image
        health=["sh", "-c", *test] if kind == "CMD-SHELL" else test,
        patience=_seconds(health.get("start_period", "0s")) + retries * interval,
        depends_on={other: how["condition"] for other, how in entry.get("depends_on", {}).items()},
        image=entry["image"],
        scale=entry.get("scale", 1),
    )


def _volume(text: str) -> Volume:
    source, target, mode = text.split(":")
    return Volume(source, target, mode == "ro")


def _seconds(text: str) -> float:
    """A duration such as `1m30s` in seconds."""
    minutes, _, rest = text.rpartition("m")
    return 60 * float(minutes or 0) + float(rest.removesuffix("s") or 0)


def quoted(command: list[str]) -> str:
    """A command quoted for a shell. `config` doubles each dollar sign that the container must receive."""
    return shlex.join(word.replace("$$", "$") for word in command)
