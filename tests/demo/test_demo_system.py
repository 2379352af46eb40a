"""The demo as a user runs it. Takes minutes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from demo.pictures import examples
from sandbox.environment import PROJECT
from sandbox.processes import Process
from sandbox.waiting import wait_until
from sandbox.world import AWS, COMPONENTS, World, WorldOptions

pytestmark = pytest.mark.system
#: `up` takes port 8080 if it is free: one such test at a time.
_FIRST_PORT = pytest.mark.xdist_group("port 8080")
DEMO = [sys.executable, "-m", "demo"]


def environment(folder: Path) -> dict[str, str]:
    """A user's environment with other settings, which must have no effect."""
    return {**os.environ, "TMPDIR": str(folder), "AIRFLOW_HOME": "/nowhere", "AWS_PROFILE": "of another project"}


def processes_of(folder: Path) -> list[int]:
    """Every living process whose command line or environment names the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(folder) in word for word in words):
                found.append(process.pid)
    return found


def run(folder: Path, *arguments: str, timeout: float = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments],
        cwd=PROJECT,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_demo_ends_well_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is well" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "signum"),
    [
        ("starting the embedded", signal.SIGINT),
        ("starting Airflow", signal.SIGTERM),  # both signals raise an exception in the main thread
        ("all healthy", signal.SIGINT),
        ("model: RUNNING", signal.SIGTERM),
    ],
)
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path, words: str, signum: signal.Signals) -> None:
    with subprocess.Popen(
        DEMO, cwd=PROJECT, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if words in line:
                break
        demo.send_signal(signum)
        rest = demo.stdout.read()
    assert demo.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[signum], rest
    assert "Traceback" not in rest
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        DEMO, cwd=PROJECT, env=environment(tmp_path), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if "all healthy" in line:
                break
        demo.kill()
    wait_until(lambda: not processes_of(tmp_path), 60, "the end of all processes")


@_FIRST_PORT
def test_up_put_results_down(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    here = ("--folder", str(folder))
    examples(tmp_path / "pictures")
    try:
        first = run(tmp_path, *here, "up")
        assert first.returncode == 0, first.stdout + first.stderr
        url = re.findall(r"http://127\.0\.0\.1:\d+", first.stdout)[0]
        again = run(tmp_path, *here, "up")
        assert "already running" in again.stdout
        assert url in again.stdout
        assert run(tmp_path, *here, "put", str(tmp_path / "pictures")).returncode == 0
        wait_until(lambda: "cat/cat-" in run(tmp_path, *here, "results").stdout, 240, "a label", every=5)
        assert re.search(r"cat/cat-[0-9a-f]{10}\.png +cat \d+", run(tmp_path, *here, "results").stdout)
    finally:
        down = run(tmp_path, *here, "down")
    assert down.returncode == 0
    assert processes_of(tmp_path) == []
    assert "No world is running" in run(tmp_path, *here, "down").stdout


@_FIRST_PORT
def test_up_after_its_holder_was_killed(tmp_path: Path) -> None:
    here = ("--folder", str(tmp_path / "world"))
    try:
        assert run(tmp_path, *here, "up").returncode == 0
        os.kill(json.loads((tmp_path / "world" / "holder.json").read_text())["pid"], signal.SIGKILL)
        again = run(tmp_path, *here, "up")
        assert again.returncode == 0
        assert "already running" not in again.stdout
    finally:
        run(tmp_path, *here, "down")
    assert processes_of(tmp_path) == []


@_FIRST_PORT
def test_a_world_that_cannot_start_prints_the_cause(tmp_path: Path) -> None:
    options = WorldOptions(aws={"examples": str(tmp_path)}, environment={"AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"})
    began = time.monotonic()
    with (
        pytest.raises(RuntimeError, match=r"(?s)scheduler ended with exit code 1.*NoSuchExecutor"),
        World(tmp_path, options),
    ):
        pass
    assert time.monotonic() - began < 150, "it must not wait until a world counts as not started, 180 seconds"
    assert processes_of(tmp_path) == []


def test_the_parts_of_a_world_can_be_killed_and_started_again(tmp_path: Path) -> None:
    with World(tmp_path, WorldOptions(settings={"schedule": ""})) as world:
        assert set(world.processes) == {AWS, *COMPONENTS}
        scheduler: Process = world.processes["scheduler"]
        assert len(scheduler.members()) > 1
        scheduler.kill()
        scheduler.end()
        assert scheduler.members() == []
        assert world.start_component("scheduler").exit_code is None
        world.api.wait_for_dag("label_detection", check=world.check)
    assert processes_of(tmp_path) == []
