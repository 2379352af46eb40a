"""A world that keeps running: `up` starts it in the background, `down` ends it.

A background process, the holder, owns the world and a lock on a file in the world's folder. The keeper, which ends the
world's processes, shares this lock. So the lock is free exactly when no process of the world is left, even after a
crash.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from demo.kinds import SERVICES, Kind, kind_of
from demo.pictures import examples
from sandbox.environment import PROJECT
from sandbox.keeper import started_at
from sandbox.processes import ProcessDiedError
from sandbox.waiting import wait_until
from sandbox.world import AWS, COMPONENTS, ODDITIES, World, WorldOptions

PORT = 8080
_SETTINGS = {"schedule": "*/2 * * * *", "wait_minutes": "1.5"}
#: A format of SageMaker's answers with label names: class numbers would change with each new folder of examples.
_ANSWERS = {"answers": "huggingface"}
_START_SECONDS = 240
_END_SECONDS = 20
_LOCK, _HOLDER, _STATE, _LOG = "lock", "holder.json", "world.json", "holder.log"
_EXAMPLES = "examples"


@dataclass(frozen=True)
class Standing:
    """A running world, for the other commands; `aws`: the environment variables for clients of its embedded AWS."""

    url: str
    aws: Mapping[str, str]

    @property
    def kind(self) -> Kind:
        """The service of the world's model."""
        return kind_of(self.aws["AIRFLOW__LABEL_DETECTION__MODEL_ARN"])


class _Lock:
    """The lock of a world's folder: one world at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)

    def take(self) -> bool:
        """Take the lock if it is free; returns whether it was free."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Close the descriptor; a process that shares the lock keeps it."""
        os.close(self.descriptor)


def read(folder: Path) -> Standing | None:
    """The running world in this folder, or None."""
    if not _is_taken(folder) or _holder(folder) is None:
        return None
    try:
        return Standing(**json.loads((folder / _STATE).read_text()))
    except FileNotFoundError:
        return None


def up(console: Console, folder: Path, kind: Kind | None = None) -> int:
    """Start a world in the background and wait until it is healthy; a running world is kept. Returns the exit code.

    :param kind: the service of the model; None: Rekognition, or the service of the running world.
    """
    folder = folder.resolve()
    if standing := read(folder):
        if kind not in (None, standing.kind):
            text = f"A world with a model of {standing.kind} is running. For a model of {kind}, end it first: make down"
            console.print(Text(text, style="red"), soft_wrap=True)
            return 1
        console.print("The world is already running.")
        _explain(console, folder, standing)
        return 0
    try:  # a world whose holder was killed ends within seconds
        wait_until(lambda: not _is_taken(folder), _END_SECONDS, "the end of the earlier world")
    except TimeoutError:
        console.print("Another process is starting a world in this folder; try again in a minute.")
        return 1
    _clear(folder)
    with (folder / _LOG).open("wb") as log:
        holder = subprocess.Popen(
            [sys.executable, "-m", "demo", "--folder", str(folder), "hold", kind or Kind.REKOGNITION],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        started = _follow(console, folder, holder)
    except BaseException:
        holder.terminate()
        holder.wait()
        raise
    if started is None:
        console.print(Text(f"The world could not be started; see the logs in {folder}", style="red"), soft_wrap=True)
        return 1
    _explain(console, folder, started)
    return 0


def down(console: Console, folder: Path) -> int:
    """End the world and wait until none of its processes is left. Returns 0, also if no world is running."""
    folder = folder.resolve()
    if not _is_taken(folder):
        console.print("No world is running.")
        return 0
    _signal_holder(folder, signal.SIGTERM)
    try:
        wait_until(lambda: not _is_taken(folder), _END_SECONDS, "the end of the world")
    except TimeoutError:
        _signal_holder(folder, signal.SIGKILL)  # then the keeper ends all processes
        wait_until(lambda: not _is_taken(folder), _END_SECONDS, "the end of the world")
    console.print("The world has ended. Its buckets are deleted; your example pictures are kept.")
    return 0


def hold(folder: Path, kind: Kind) -> int:
    """Hold the world until SIGTERM; returns the exit code.

    If a component of Airflow dies, it is started again. If the embedded AWS dies, the world ends.
    """
    lock = _Lock(folder)
    if not lock.take():
        print(f"another world is running in {folder}: end it with make down", flush=True)
        return 1
    me = {"pid": os.getpid(), "started_at": started_at(os.getpid())}
    (folder / _HOLDER).write_text(json.dumps(me))
    options = WorldOptions(
        aws={"examples": str(folder / _EXAMPLES), "model": kind.value, **_ANSWERS, **ODDITIES},
        settings={**_SETTINGS, "price_per_unit_hour": str(SERVICES[kind].price)},
        port=PORT,
    )
    try:
        with World(folder, options, lambda line: print(line, flush=True), hold=[lock.descriptor]) as world:
            world.api.wait_for_dag("label_detection", check=world.check)
            _write_state(folder, Standing(world.url, world.aws_environment))
            while True:
                time.sleep(2)
                _look_after(world)
    finally:
        (folder / _STATE).unlink(missing_ok=True)


def _look_after(world: World) -> None:
    world.reap()
    world.processes[AWS].check()
    for name in COMPONENTS:
        try:
            world.processes[name].check()
        except ProcessDiedError as error:
            print(f"{error}\nstarting {name} again", flush=True)
            world.start_component(name)


def _write_state(folder: Path, standing: Standing) -> None:
    fresh = folder / f"{_STATE}.new"
    fresh.write_text(json.dumps(asdict(standing)))
    fresh.rename(folder / _STATE)


def _follow(console: Console, folder: Path, holder: subprocess.Popen[bytes]) -> Standing | None:
    """Print the holder's log until the world is running; returns None if the holder ends first."""
    shown = 0
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        lines = (folder / _LOG).read_text(errors="replace").splitlines()
        for line in lines[shown:]:
            console.print(Text(f"  {line}"), soft_wrap=True)
        shown = len(lines)
        if standing := read(folder):
            return standing
        if holder.poll() is not None:
            return None
        time.sleep(0.2)
    raise TimeoutError(f"the world is not running after {_START_SECONDS} seconds; see the logs in {folder}")


def _is_taken(folder: Path) -> bool:
    if not (folder / _LOCK).exists():
        return False
    lock = _Lock(folder)
    try:
        return not lock.take()
    finally:
        lock.release()


def _signal_holder(folder: Path, signum: signal.Signals) -> None:
    if holder := _holder(folder):
        with suppress(ProcessLookupError):
            os.kill(holder, signum)


def _holder(folder: Path) -> int | None:
    """The holder's process id; None if the holder has ended, also if another process has its id now."""
    try:
        holder = json.loads((folder / _HOLDER).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return int(holder["pid"]) if started_at(holder["pid"]) == holder["started_at"] else None


def _clear(folder: Path) -> None:
    """Remove the files of an earlier world, except the example pictures; if there are none, add the demo's."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name in (_EXAMPLES, _LOCK):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    put_examples(folder)


def put_examples(folder: Path) -> None:
    """Add the demo's example pictures for the embedded model, unless the folder has some."""
    if not (folder / _EXAMPLES).exists():
        examples(folder / _EXAMPLES)


def _explain(console: Console, folder: Path, standing: Standing) -> None:
    here = _short(folder)
    python = _short(Path(sys.executable))
    demo = f"{python} -m demo" if folder == PROJECT / ".world" else f"{python} -m demo --folder {here}"
    lines = [
        "",
        f"Airflow:      {standing.url}  (no login)",
        f"Model:        {SERVICES[standing.kind].name}",
        f"Teach it:     copy pictures of your objects to {here}/{_EXAMPLES}/<label>/, one folder per label",
        *_what_it_learns(standing.kind),
        f"Upload:       {demo} put PICTURE...",
        f"              for example {demo} put {here}/{_EXAMPLES}/cup/cup.png",
        f"See results:  {demo} results      (Airflow looks for pictures every two minutes)",
        f"In Airflow:   {standing.url}/plugin/label_detection      (the runs, each with its pictures)",
        "End it:       make down",
        "",
        "For boto3 and the aws command:",
        *(f"  export {name}={value}" for name, value in standing.aws.items() if name.startswith("AWS_")),
        *(f"  # {name.split('__')[-1].lower()}: {value}" for name, value in standing.aws.items() if "__" in name),
    ]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _what_it_learns(kind: Kind) -> list[str]:
    """A line about the use of the example pictures, for the model type where it differs."""
    if kind is not Kind.LOOKOUT_VISION:
        return []
    return ["              (they define what is normal: the model finds where a picture of that object differs)"]


def _short(path: Path) -> str:
    """The path relative to the current folder, if it is below it, else the absolute path."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
