"""`.env` for docker-compose.yaml."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from demo import standing
from deploy.release import configure, env_file
from label_detection_core.config.settings import environment_name
from sandbox.environment import PROJECT

STACK = {"queue_url": "https://sqs/queue", "source_bucket": "in"}
COMPOSE = (PROJECT / "docker-compose.yaml").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    env_file.complete(tmp_path)
    return tmp_path


def variables(folder: Path) -> dict[str, str]:
    return env_file.read(folder / ".env")


def test_the_env_file_has_every_required_secret_and_only_its_owner_can_read_it(folder: Path) -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert asked == set(env_file.new_secrets())
    assert all(len(variables(folder)[name]) >= 40 for name in asked)
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600


def test_the_fernet_key_is_valid(folder: Path) -> None:
    Fernet(variables(folder)["FERNET_KEY"])


def test_no_two_have_the_same_secrets() -> None:
    first, second = env_file.new_secrets(), env_file.new_secrets()
    assert not set(first.values()) & set(second.values())


def test_a_second_call_changes_nothing(folder: Path) -> None:
    before = (folder / ".env").read_text()
    assert env_file.complete(folder) == []
    assert (folder / ".env").read_text() == before


@pytest.mark.parametrize(("option", "value"), [("queue_url", "https://sqs/queue"), ("pipelines", "pipelines.yaml")])
def test_existing_lines_stay_and_missing_ones_are_added(tmp_path: Path, option: str, value: str) -> None:
    mine = f"# mine\nPOSTGRES_PASSWORD=mine\n{environment_name(option)}={value}\n"
    (tmp_path / ".env").write_text(mine)
    env_file.complete(tmp_path)
    text = (tmp_path / ".env").read_text()
    assert text.startswith(mine)
    assert "FERNET_KEY=" in text
    assert "local-aws" not in text, "the user's own queues must stay"


@pytest.mark.parametrize(
    ("line", "added"),
    [
        pytest.param("export POSTGRES_PASSWORD=mine", False, id="exported"),
        pytest.param("POSTGRES_PASSWORD='mine'", False, id="in quotes"),
        pytest.param("  POSTGRES_PASSWORD=mine", False, id="indented"),
        pytest.param("POSTGRES_PASSWORD=mine\r", False, id="from Windows"),
        pytest.param("POSTGRES_PASSWORD=", True, id="empty, no secret"),
        pytest.param("# POSTGRES_PASSWORD=mine", True, id="a comment"),
    ],
)
def test_a_line_is_read_as_compose_reads_it(tmp_path: Path, line: str, added: bool) -> None:
    (tmp_path / ".env").write_text(line)  # has no line feed at its end
    assert ("POSTGRES_PASSWORD" in env_file.complete(tmp_path)) is added
    assert (variables(tmp_path)["POSTGRES_PASSWORD"] in {"mine"}) is not added
    assert "FERNET_KEY" in variables(tmp_path)


def test_a_path_of_the_version_before_is_replaced(folder: Path) -> None:
    name = "AIRFLOW_AWS_CONFIG_FILE"
    env_file.replace(folder / ".env", {name: "/opt/airflow/include/local_aws/path-style.config"})
    assert env_file.complete(folder) == [name]
    assert variables(folder)[name] == env_file.LOCAL[name]
    env_file.replace(folder / ".env", {name: "/opt/airflow/.aws/mine"})
    assert env_file.complete(folder) == [], "the user's own file must stay"


def test_a_link_stays_a_link_and_a_whole_file_untouched(folder: Path) -> None:
    real = folder / "elsewhere"
    (folder / ".env").rename(real)
    (folder / ".env").symlink_to(real)
    before = real.stat().st_mtime_ns
    env_file.complete(folder)
    assert real.stat().st_mtime_ns == before
    env_file.replace(folder / ".env", {"A": "1"})
    assert (folder / ".env").is_symlink()
    assert env_file.read(real)["A"] == "1"


def test_containers_never_run_as_root(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    env_file.complete(tmp_path)
    assert variables(tmp_path)["AIRFLOW_UID"] == "50000"


def test_containers_can_read_the_files_that_they_need(folder: Path) -> None:
    standing.put_examples(folder)
    for path in (folder / ".aws", folder / "examples", *(folder / "examples").rglob("*")):
        assert path.stat().st_mode & 0o4, path


def test_a_stacks_options_replace_the_embedded_aws(folder: Path) -> None:
    env_file.replace(folder / ".env", {"AWS_PROFILE": "mine", environment_name("schedule"): "*/1 * * * *"})
    gone = configure.write(STACK, folder)
    there = variables(folder)
    assert there[environment_name("queue_url")] == "https://sqs/queue"
    assert there["AWS_PROFILE"] == "mine"
    assert "JWT_SECRET" in there
    assert {"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", environment_name("schedule")} <= set(gone)
    assert not set(gone) & set(there), "a schedule for tests must not stay for a model that costs money"
    assert "local-aws" not in (folder / ".env").read_text()


@pytest.mark.parametrize("endpoint", ['"http://local-aws:5000"', "http://local-aws:5000 "], ids=["quoted", "a space"])
def test_a_stack_replaces_the_embedded_aws_in_each_notation(folder: Path, endpoint: str) -> None:
    env_file.replace(folder / ".env", {"AWS_ENDPOINT_URL": endpoint})
    configure.write(STACK, folder)
    assert "local-aws" not in (folder / ".env").read_text()


def test_the_users_own_credentials_and_options_stay(folder: Path) -> None:
    configure.write(STACK, folder)
    mine = {"AWS_ACCESS_KEY_ID": "mine", "AWS_DEFAULT_REGION": "us-east-1", environment_name("wait_minutes"): "1"}
    env_file.replace(folder / ".env", mine)
    assert configure.write(STACK, folder) == []
    assert variables(folder).items() >= mine.items()


def test_the_variables_name_the_resources_of_the_embedded_aws(tmp_path: Path) -> None:
    said = tmp_path / "aws.env"
    command = [sys.executable, "-m", "local_aws", "--port", "0", "--env-file", str(said)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout
        lines = [process.stdout.readline().strip() for _ in range(8)]
    finally:
        process.terminate()
        process.communicate()
    made = dict(line.split("=", 1) for line in lines)
    here = {name: value.replace(made["AWS_ENDPOINT_URL"], "http://local-aws:5000") for name, value in made.items()}
    assert here.items() <= env_file.LOCAL.items()
