"""A world on one machine: the embedded AWS and an Airflow, as separate processes.

    with World(folder, WorldOptions(settings={"schedule": ""})) as world:
        run_id = world.api.trigger("label_detection")

A world is in one folder, on free ports, with its own keys. None of its processes is left when the block ends, or when
the process that holds it ends, even by kill -9.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import requests

from sandbox.airflow_api import AirflowApi
from sandbox.aws_clients import rekognition_client, s3_client, sqs_client
from sandbox.environment import PROJECT, airflow_environment, cleaned, free_ports
from sandbox.processes import Family, Process
from sandbox.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

#: Airflow's components in the order in which they are started, the slowest first.
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
AWS = "aws"
#: The oddities of the demo's embedded AWS: all that add no delay.
ODDITIES = {"oddities": "quick"}
_PIPELINES = "pipelines.json"
_START_SECONDS = 180
_HEALTHY = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def call_control_page(endpoint: str, path: str, method: str = "GET", body: object = None) -> Any:
    """Call the control page `/_local/<path>` of an embedded AWS; returns its JSON."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, f"{endpoint}/_local/{path}", json=body, timeout=30)
    answer.raise_for_status()
    return answer.json() if answer.content else None


@dataclass(frozen=True)
class WorldOptions:
    """The configuration of a world.

    `airflow`: the command that starts Airflow; `aws`: options of `python -m local_aws` without their dashes
    ("start-seconds": "2"); `settings`: options of `[label_detection]`, which override those of the embedded AWS;
    `environment`: variables that override all others (for Airflow an empty variable is unset); `sql_alchemy_conn`:
    default: SQLite in the world's folder; `port`: Airflow's port, if it is free; `path`: the path of Airflow's base URL
    ("/team-a"); `pipelines`: a function that returns the option `pipelines` once the embedded AWS is running.
    """

    dags_folder: Path = PROJECT / "dags"
    plugins_folder: Path = PROJECT / "plugins"
    airflow: Sequence[str] = (sys.executable, "-m", "airflow")
    aws: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    sql_alchemy_conn: str | None = None
    port: int | None = None
    path: str = ""
    credentials: tuple[str, str] | None = None
    pipelines: Callable[[World], Mapping[str, Mapping[str, str]]] | None = None


class World:
    """The embedded AWS and Airflow in a folder. `progress` receives a line for each step; `hold`: see Family."""

    def __init__(
        self,
        folder: Path,
        options: WorldOptions | None = None,
        progress: Callable[[str], None] = lambda _: None,
        hold: Sequence[int] = (),
    ) -> None:
        self.folder = folder.resolve()
        self.options = options or WorldOptions()
        self.logs = self.folder / "logs"
        self._progress = progress
        self._family = Family(self.logs, hold=hold)
        self.aws_environment: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        wanted = [self.options.port] if self.options.port else []
        port, *log_ports = free_ports(3, wanted)
        self._ports = port, (log_ports[0], log_ports[1])
        self.url = f"http://127.0.0.1:{port}{self.options.path}"
        self.api = AirflowApi(self.url, self.options.credentials)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def start(self) -> None:
        """Start all processes and wait until they are healthy.

        :raises ProcessDiedError: with the last lines of the log of the process that ended.
        :raises TimeoutError: with the name of the part that did not start.
        """
        home = self.folder / "airflow"
        home.mkdir(parents=True, exist_ok=True)
        self.environment = cleaned() | airflow_environment(
            home,
            self.options.dags_folder,
            self.options.plugins_folder,
            self.options.sql_alchemy_conn or f"sqlite:///{home / 'airflow.db'}",
            *self._ports,
            self.options.path,
        )
        env_file = self._start_aws()
        self._migrate()
        self._read_aws(env_file)
        self._progress(f"starting Airflow: {', '.join(COMPONENTS)}")
        for name in COMPONENTS:
            self.start_component(name)
        self._wait_until_healthy()

    def end(self) -> None:
        """End all processes; returns when none is left."""
        self._family.end()

    def _start_aws(self) -> Path:
        self._progress("starting the embedded AWS, creating Airflow's database")
        env_file = self.folder / "aws.env"
        env_file.unlink(missing_ok=True)
        options = {"port": "0", "env-file": str(env_file), **self.options.aws}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.run(AWS, [sys.executable, "-m", "local_aws", *arguments])
        return env_file

    def _read_aws(self, env_file: Path) -> None:
        wait_until(env_file.exists, _START_SECONDS, "the embedded AWS", self._family.check)
        lines = env_file.read_text().splitlines()
        self.aws_environment = dict(line.split("=", 1) for line in lines if "=" in line)
        settings = {f"AIRFLOW__LABEL_DETECTION__{name.upper()}": value for name, value in self.options.settings.items()}
        self.environment |= self.aws_environment | settings | dict(self.options.environment)
        if self.options.pipelines:
            file = self.folder / _PIPELINES
            file.write_text(json.dumps(self.options.pipelines(self), indent=2))
            self.environment["AIRFLOW__LABEL_DETECTION__PIPELINES"] = str(file)

    def _migrate(self) -> None:
        migration = self.run("db-migrate", [*self.options.airflow, "db", "migrate"])
        code = wait_until(
            lambda: None if migration.exit_code is None else (migration.exit_code,),
            _START_SECONDS,
            "airflow db migrate",
            self.processes[AWS].check,
        )
        if code != (0,):
            migration.check()
        del self.processes["db-migrate"]

    def start_component(self, name: str) -> Process:
        """Start one of Airflow's components, also again after it was killed."""
        return self.run(name, [*self.options.airflow, name])

    def run(self, name: str, command: list[str]) -> Process:
        """Start a process with this world's environment variables."""
        return self._family.start(name, command, self.environment)

    def _wait_until_healthy(self) -> None:
        def healthy() -> bool:
            health = self.api.health()
            return all(health.get(part) == "healthy" for part in _HEALTHY)

        wait_until(healthy, _START_SECONDS, "a healthy Airflow", self.check)
        self._progress(f"all healthy; Airflow's pages are at {self.url}")

    @property
    def processes(self) -> dict[str, Process]:
        """The processes by name: `aws` and Airflow's components."""
        return self._family.processes

    def reap(self) -> None:
        """Reap ended processes: see Family."""
        self._family.reap()

    def check(self) -> None:
        """Raise ProcessDiedError if a process has ended unexpectedly."""
        self._family.check()

    @property
    def endpoint(self) -> str:
        """The embedded AWS's URL."""
        return self.aws_environment["AWS_ENDPOINT_URL"]

    def setting(self, name: str) -> str:
        """The value of an option of `[label_detection]` in the environment of the world's processes."""
        return self.environment[f"AIRFLOW__LABEL_DETECTION__{name.upper()}"]

    @property
    def s3(self) -> S3Client:
        """A client of the embedded S3."""
        return s3_client(self.aws_environment)

    @property
    def sqs(self) -> SQSClient:
        """A client of the embedded SQS."""
        return sqs_client(self.aws_environment)

    @property
    def rekognition(self) -> RekognitionClient:
        """A client of the embedded Rekognition."""
        return rekognition_client(self.aws_environment)

    def control(self, path: str, method: str = "GET", body: object = None) -> Any:
        """Call the control page `/_local/<path>` of the embedded AWS; returns its JSON."""
        return call_control_page(self.endpoint, path, method, body)

    def model(self, name: str = "") -> dict[str, Any]:
        """The JSON of a model's control page: kind, arn, status, says, units, history, detects, on_seconds ….

        :param name: the model's name on the control pages; empty: the model that the environment variables name.
        """
        found: dict[str, Any] = self.control(f"model/{name}" if name else "model")
        return found
