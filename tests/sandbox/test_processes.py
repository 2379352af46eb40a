"""Child processes never outlive the process that started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from sandbox.environment import PROJECT, cleaned
from sandbox.processes import Family, Process, ProcessDiedError
from sandbox.waiting import wait_until

#: Like a LocalExecutor with a task: it ignores SIGTERM, and has a child in another process group.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
print("ready", flush=True)
time.sleep(60)
"""
#: Starts five of them, one after the other, and waits. MARK identifies them.
OWNER = f"""
import sys, time
from pathlib import Path
from sandbox.environment import cleaned
from sandbox.processes import Family, signals_raise
family = Family(Path(sys.argv[1]), grace=0.3)
with signals_raise():
    try:
        for number in range(5):
            family.start(f"p{{number}}", [sys.executable, "-c", {STUBBORN!r}, sys.argv[2]], cleaned())
        print("started", flush=True)
        time.sleep(60)
    finally:
        family.end()
"""


def alive(mark: str) -> list[int]:
    """The processes with this word on their command line, except zombies."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path, grace=0.3)
    yield family
    family.end()


def start(family: Family, code: str, name: str = "it") -> Process:
    return family.start(name, [sys.executable, "-c", code], cleaned())


def wait_for(process: Process, text: str) -> None:
    wait_until(lambda: text in process.tail(), 60, text, every=0.02)


def test_everything_in_a_session_ends_with_the_family(family: Family) -> None:
    process = start(family, STUBBORN)
    wait_until(lambda: process.tail().count("ready") == 2, 60, "both processes")
    assert len(process.members()) == 2
    family.end()
    assert process.members() == []


def test_a_process_may_end_by_itself_first(family: Family) -> None:
    polite = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('bye'))); print('ready', flush=True);"
    )
    process = start(family, polite + "time.sleep(60)")
    wait_for(process, "ready")
    family.end()
    assert "bye" in process.tail()
    assert process.exit_code == 0


def test_ending_twice_and_ending_nothing_is_fine(tmp_path: Path, family: Family) -> None:
    Family(tmp_path / "other").end()
    family.end()
    family.end()


def test_an_unexpected_end_of_a_process_raises_the_end_of_its_log(family: Family) -> None:
    process = start(family, "print('the last words'); raise SystemExit(3)", name="scheduler")
    process.wait(60)
    with pytest.raises(ProcessDiedError, match=r"(?s)scheduler ended with exit code 3.*the last words"):
        family.check()


def test_a_process_that_was_killed_on_purpose_raises_nothing(family: Family) -> None:
    process = start(family, "import time; time.sleep(60)")
    process.kill()
    assert process.exit_code == -signal.SIGKILL
    family.check()


def test_a_killed_process_leaves_its_children_and_end_ends_them(family: Family) -> None:
    process = start(family, STUBBORN)
    wait_until(lambda: process.tail().count("ready") == 2, 60, "both processes")
    process.kill()
    assert len(process.members()) == 1
    process.end(grace=0.2)
    assert process.members() == []


def test_orphans_do_not_stay_as_zombies(family: Family) -> None:
    process = start(family, STUBBORN)
    wait_until(lambda: process.tail().count("ready") == 2, 60, "both processes")
    members = process.members()
    process.kill()
    family.end()
    assert not any(psutil.pid_exists(pid) for pid in members)


def test_a_process_started_again_appends_to_its_log(family: Family) -> None:
    for word in ("one", "two"):
        start(family, f"print({word!r})").wait(60)
    assert family.processes["it"].tail().splitlines() == ["one", "two"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("after", [0.15, 0.25, 0.4, None])
def test_nothing_is_left_whenever_the_owner_is_ended(
    tmp_path: Path, signum: signal.Signals, after: float | None
) -> None:
    mark = f"mark-{os.getpid()}-{time.monotonic_ns()}"
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), mark],
        cwd=PROJECT,
        env=cleaned(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell starts background jobs without it
    )
    assert owner.stdout
    if after is None:
        assert owner.stdout.readline() == b"started\n"
    else:
        time.sleep(after)
    os.killpg(owner.pid, signum)
    owner.wait(60)
    owner.stdout.close()
    wait_until(lambda: not alive(mark), 60, "the end of all", every=0.05)
