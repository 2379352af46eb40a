"""The demo world that stays up: its lock, and the remains of a lost one. test_demo_system.py starts real worlds."""

import fcntl
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo import standing
from demo.__main__ import main
from demo.kinds import Kind
from deploy.release import env_file
from sandbox.keeper import started_at

AWS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:2",
    "AIRFLOW__LABEL_DETECTION__MODEL_ARN": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/x",
}
STATE: dict[str, Any] = {"url": "http://127.0.0.1:1", "aws": AWS}


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@contextmanager
def held(folder: Path, pid: int, since: float | None) -> Iterator[None]:
    """A folder whose lock is held; `pid`: the process id in it."""
    folder.mkdir(exist_ok=True)
    (folder / "world.json").write_text(json.dumps(STATE))
    (folder / "holder.json").write_text(json.dumps({"pid": pid, "started_at": since}))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_world_that_is_held_is_up(tmp_path: Path) -> None:
    with held(tmp_path, os.getpid(), started_at(os.getpid())):
        found = standing.read(tmp_path)
    assert found
    assert found.url == STATE["url"]


def test_a_second_up_prints_that_the_world_runs_and_where(tmp_path: Path, console: Console) -> None:
    with held(tmp_path, os.getpid(), started_at(os.getpid())):
        assert standing.up(console, tmp_path) == 0
    assert "already running" in text(console)
    assert STATE["url"] in text(console)


def test_a_world_keeps_its_model_type_until_it_ends(tmp_path: Path, console: Console) -> None:
    with held(tmp_path, os.getpid(), started_at(os.getpid())):
        assert standing.up(console, tmp_path, Kind.SAGEMAKER) == 0
        assert "Amazon SageMaker" in text(console)
        assert standing.up(console, tmp_path, Kind.REKOGNITION) == 1
    assert "with a model of sagemaker is running. For a model of rekognition, end it first: make down" in text(console)


def test_files_of_a_lost_world_do_not_count(tmp_path: Path, console: Console) -> None:
    with held(tmp_path, os.getpid(), started_at(os.getpid())):
        pass
    assert standing.read(tmp_path) is None
    assert standing.down(console, tmp_path) == 0
    assert "No world is running" in text(console)


def test_a_process_id_that_was_used_again_is_not_signalled(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "_END_SECONDS", 0.3)
    signalled = []
    monkeypatch.setattr(os, "kill", lambda *given: signalled.append(given))
    with held(tmp_path, os.getpid(), 1.0):
        assert standing.read(tmp_path) is None
        with pytest.raises(TimeoutError):
            standing.down(console, tmp_path)
    assert signalled == []


def test_down_without_a_world_succeeds(tmp_path: Path, console: Console) -> None:
    assert standing.down(console, tmp_path / "nothing") == 0
    assert "No world is running" in text(console)


@pytest.mark.parametrize("command", [["put", __file__], ["results"]], ids=["put", "results"])
@pytest.mark.parametrize(
    ("env", "says"),
    [
        pytest.param(None, "No world is running: start one with `make up`", id="make up"),
        pytest.param({}, ".env does not exist: make it with `make env`", id="compose, no file"),
        pytest.param({"A": "1"}, "configures another AWS than the embedded one", id="compose, another AWS"),
        pytest.param(
            env_file.LOCAL | {"LOCAL_AWS_ADDRESS": "127.0.0.1:9"}, "docker compose --profile local up", id="compose"
        ),
    ],
)
def test_without_a_world_put_and_results_print_what_to_do(
    tmp_path: Path, command: list[str], env: dict[str, str] | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--folder", str(tmp_path)]
    if env is not None:
        env_file.replace(tmp_path / ".env", env)
        where = ["--env", str(tmp_path / ".env")]
    assert main([*where, *command]) == 1
    assert says in capsys.readouterr().out


def test_a_new_world_keeps_the_users_examples_and_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "examples" / "bolt" / "bolt.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "airflow.db").write_bytes(b"old")
    (tmp_path / "world.json").write_text("old")
    standing._clear(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["bolt.png"]
    assert mine.read_bytes() == b"mine"


def test_without_examples_ours_are_put_there(tmp_path: Path) -> None:
    standing._clear(tmp_path / "world")
    assert (tmp_path / "world" / "examples" / "cup" / "cup.png").exists()
