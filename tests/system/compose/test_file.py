"""docker-compose.yaml as docker-compose reads it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from deploy.release import env_file
from label_detection_core.config.settings import environment_name
from sandbox.environment import PROJECT
from tests.system.compose import compose_file
from tests.system.compose.conftest import Compose
from tests.system.pipeline import Pipeline


@pytest.fixture
def project(tmp_path: Path) -> Path:
    compose_file.write_project(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("profiles", "more"),
    [
        pytest.param([], set(), id="without a profile"),
        pytest.param(["local"], {"local-aws"}, id="local"),
        pytest.param(["flower"], {"flower"}, id="flower"),
        pytest.param(["local", "flower"], {"local-aws", "flower"}, id="both"),
    ],
)
def test_profiles_add_services(project: Path, profiles: list[str], more: set[str]) -> None:
    always = {"postgres", "redis", "airflow-init"} | {
        f"airflow-{name}"
        for name in ("apiserver", "scheduler", "dag-processor", "triggerer", "worker", "control-worker")
    }
    assert set(compose_file.services(project, *profiles)) == always | more


@pytest.mark.parametrize("secret", list(env_file.new_secrets()))
def test_a_missing_secret_is_named_with_what_to_do(project: Path, secret: str) -> None:
    lines = (project / ".env").read_text().splitlines()
    (project / ".env").write_text("\n".join(line for line in lines if not line.startswith(f"{secret}=")))
    with pytest.raises(ValueError, match=rf"{secret}[\s\S]*run make env"):
        compose_file.config(project, "local", "flower")


def test_airflow_runs_as_the_owner_of_the_checkout_and_never_as_root(project: Path) -> None:
    env_file.replace(project / ".env", {"AIRFLOW_UID": "1234"})
    users = {name: service.user for name, service in compose_file.services(project, "local", "flower").items()}
    assert {users.pop("postgres"), users.pop("redis")} == {""}  # the entry points of their images drop root
    assert set(users.values()) == {"1234:0"}


def test_every_option_and_variable_of_aws_in_env_reaches_airflow(project: Path) -> None:
    mine = {"AIRFLOW__LABEL_DETECTION__MAX_TASKS": "7", "AWS_SESSION_TOKEN": "token"}
    env_file.replace(project / ".env", mine)
    for name, service in compose_file.services(project).items():
        if name.startswith("airflow-"):
            assert service.environment.items() >= mine.items(), name


def test_nothing_but_the_pages_is_published_and_that_to_this_machine_alone(project: Path) -> None:
    entries = compose_file.config(project, "local", "flower")["services"]
    ports = {name: entry["ports"] for name, entry in entries.items() if entry.get("ports")}
    assert ports == {
        "airflow-apiserver": ["127.0.0.1:8080:8080/tcp"],
        "flower": ["127.0.0.1:5555:5555/tcp"],
        "local-aws": ["127.0.0.1:5055:5000/tcp"],
    }


def test_an_image_is_built_once_for_all_its_services(project: Path) -> None:
    entries = compose_file.config(project, "local", "flower")["services"].values()
    ours = {entry["image"] for entry in entries if entry["image"].startswith("label-detection-")}
    assert sorted(entry["image"] for entry in entries if "build" in entry) == sorted(ours)


@pytest.mark.parametrize(("workers", "scale"), [({}, 1), ({"WORKERS": "3"}, 3)], ids=["not set", "set in .env"])
def test_env_sets_the_number_of_workers(project: Path, workers: dict[str, str], scale: int) -> None:
    env_file.replace(project / ".env", workers)
    assert compose_file.services(project)["airflow-worker"].scale == scale


@pytest.mark.parametrize(
    ("scale", "slots"),
    [
        ({}, 8),
        ({"WORKERS": "3", "WORKER_CONCURRENCY": "2"}, 10),
        ({environment_name("control_queue"): ""}, 4),
    ],
    ids=["not set", "set in .env", "without a control queue"],
)
def test_the_scheduler_hands_out_as_many_tasks_as_the_workers_can_start(
    project: Path, scale: dict[str, str], slots: int
) -> None:
    env_file.replace(project / ".env", scale)
    services = compose_file.services(project)
    *shell, script = services["airflow-scheduler"].command
    script = script.replace("$$", "$").replace("exec airflow scheduler", "env")
    assert shell == ["bash", "-c"]
    environment = services["airflow-scheduler"].environment | {"PATH": os.environ["PATH"]}
    printed = subprocess.run([*shell, script], capture_output=True, text=True, check=True, env=environment)
    assert f"AIRFLOW__CORE__PARALLELISM={slots}" in printed.stdout.splitlines()
    assert services["airflow-worker"].environment["AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER"] == "1"


def test_a_task_that_no_worker_takes_is_never_failed_for_that(project: Path) -> None:
    environment = compose_file.services(project)["airflow-scheduler"].environment
    again, timeout = (
        int(environment[f"AIRFLOW__SCHEDULER__{name}"])
        for name in ("NUM_STUCK_IN_QUEUED_RETRIES", "TASK_QUEUED_TIMEOUT")
    )
    assert again * timeout > 7 * 24 * 3600  # seconds


@pytest.mark.parametrize("queue", [None, "stops"], ids=["not set", "set in .env"])
def test_the_control_worker_serves_the_control_queue(project: Path, queue: str | None) -> None:
    if queue:
        env_file.replace(project / ".env", {environment_name("control_queue"): queue})
    control = compose_file.services(project)["airflow-control-worker"]
    assert control.environment[environment_name("control_queue")] == (queue or "control")
    assert control.command[control.command.index("--queues") + 1] == (queue or "control")


def test_the_first_users_password_is_for_the_init_alone(project: Path) -> None:
    secret = env_file.read(project / ".env")["ADMIN_PASSWORD"]
    services = compose_file.services(project, "local").values()
    assert [service.name for service in services if secret in str(service.environment)] == ["airflow-init"]


def test_a_connection_of_ones_own_is_airflows(project: Path) -> None:
    env_file.replace(project / ".env", {"AIRFLOW_CONN_AWS_DEFAULT": "aws://?role_arn=mine"})
    for name, service in compose_file.services(project).items():
        if name.startswith("airflow-"):
            assert service.environment["AIRFLOW_CONN_AWS_DEFAULT"] == "aws://?role_arn=mine"


def test_services_are_restarted_except_those_that_must_end(project: Path) -> None:
    entries = compose_file.config(project, "local", "flower")["services"]
    restarts = {name: entry["restart"] for name, entry in entries.items()}
    assert restarts.pop("airflow-init") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_every_service_that_stays_has_a_health_check(project: Path) -> None:
    without = {
        name for name, service in compose_file.services(project, "local", "flower").items() if not service.health
    }
    assert without == {"airflow-init"}


def test_the_code_is_mounted_and_cannot_be_written(project: Path) -> None:
    for name, service in compose_file.services(project).items():
        if name.startswith("airflow-"):
            mounted = {volume.target: volume.read_only for volume in service.volumes}
            assert (
                mounted.items() >= {f"/opt/airflow/{folder}": True for folder in ("dags", "plugins", "include")}.items()
            )


def test_boto3s_settings_for_the_embedded_aws_are_mounted(project: Path) -> None:
    for name, service in compose_file.services(project).items():
        if name.startswith("airflow-"):
            file = PurePath(service.environment["AWS_CONFIG_FILE"])
            (source,) = (volume.source for volume in service.volumes if volume.target == str(file.parent))
            assert "addressing_style = path" in (Path(source) / file.name).read_text()


def test_the_checkouts_own_file_holds_no_secret() -> None:
    text = (PROJECT / "docker-compose.yaml").read_text()
    for line in re.findall(r".*(?:PASSWORD|SECRET|FERNET).*", text):
        assert re.search(r"\$\{\w+:\?run make env\}|\$\$ADMIN_PASSWORD|ADMIN_PASSWORD: \"\"", line), line


def test_pictures_are_uploaded_and_results_read_from_outside(
    compose: Compose, pipeline: Pipeline, tmp_path: Path
) -> None:
    outside = tmp_path / ".env"
    shutil.copy(compose.folder / ".env", outside)
    env_file.replace(outside, {"LOCAL_AWS_ADDRESS": f"{compose.containers.address('local-aws')}:5000"})
    cup = compose.folder / ".world" / "examples" / "cup" / "cup.png"
    assert "1 uploaded" in demo(outside, "put", str(cup))
    assert pipeline.finish(pipeline.trigger()) == "success"
    assert re.search(r"cup-\w+\.png +cup \d", demo(outside, "results"))


def demo(env: Path, *arguments: str) -> str:
    """The output of `python -m demo --env`."""
    command = [sys.executable, "-m", "demo", "--env", str(env), *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60).stdout
