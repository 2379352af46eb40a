"""A world that stays: `up` starts it in the background, `down` ends it, `put` and `results` are for own pictures.

A process of its own holds the world, and a lock on a file in the world's folder. The keeper of its processes holds the
same lock, so it is free exactly when nothing of the world is left, however it ended.
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
#: SageMaker's answers have names in them: classes that are numbered would be others with each folder of examples.
_ANSWERS = {"answers": "huggingface"}
_START_SECONDS = 240
_END_SECONDS = 20
_LOCK, _HOLDER, _STATE, _LOG = "lock", "holder.json", "world.json", "holder.log"
_EXAMPLES = "examples"


@dataclass(frozen=True)
class Standing:
    """What the other commands need to know of a world that is up; `aws`: environment variables that lead to it."""

    url: str
    aws: Mapping[str, str]

    @property
    def kind(self) -> Kind:
        """Whose model it has."""
        return kind_of(self.aws["AIRFLOW__LABEL_DETECTION__MODEL_ARN"])


class _Lock:
    """The right to be the world in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)

    def take(self) -> bool:
        """Take it if it is free."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Close it: whoever shares it keeps it."""
        os.close(self.descriptor)


def read(folder: Path) -> Standing | None:
    """The world in this folder, or None if it is not up."""
    if not _is_taken(folder) or _holder(folder) is None:
        return None
    try:
        return Standing(**json.loads((folder / _STATE).read_text()))
    except FileNotFoundError:
        return None


def up(console: Console, folder: Path, kind: Kind | None = None) -> int:
    """Start a world in the background and wait until it is healthy; says so if there is one already.

    :param kind: whose model it has; None: Rekognition's, or that of the world that is up.
    """
    folder = folder.resolve()
    if standing := read(folder):
        if kind not in (None, standing.kind):
            words = f"It is up already, with a model of {standing.kind}. For one of {kind}, end it first: make down"
            console.print(Text(words, style="red"), soft_wrap=True)
            return 1
        console.print("It is up already.")
        _explain(console, folder, standing)
        return 0
    try:  # one whose holder was killed is gone in seconds
        wait_until(lambda: not _is_taken(folder), _END_SECONDS, "the end of the world before")
    except TimeoutError:
        console.print("Somebody else is starting it just now; try again in a minute.")
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
        console.print(Text(f"It could not be started; logs are in {folder}", style="red"), soft_wrap=True)
        return 1
    _explain(console, folder, started)
    return 0


def down(console: Console, folder: Path) -> int:
    """End the world and wait until nothing of it is left; fine if there is none."""
    folder = folder.resolve()
    if not _is_taken(folder):
        console.print("It is not up.")
        return 0
    _signal_holder(folder, signal.SIGTERM)
    try:
        wait_until(lambda: not _is_taken(folder), _END_SECONDS, "the end of the world")
    except TimeoutError:
        _signal_holder(folder, signal.SIGKILL)  # its keeper ends the rest
        wait_until(lambda: not _is_taken(folder), _END_SECONDS, "the end of the world")
    console.print("It is down. Its buckets are gone; your example pictures are kept.")
    return 0


def hold(folder: Path, kind: Kind) -> int:
    """Be the world until SIGTERM. A component of Airflow that dies is started again; without the AWS it ends."""
    lock = _Lock(folder)
    if not lock.take():
        print("another world is in this folder", flush=True)
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
    """Show what the holder logs until the world is up; None if the holder ends instead."""
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
    raise TimeoutError(f"the world is not up after {_START_SECONDS} seconds; logs are in {folder}")


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
    """The holder's process id; None if it has ended, also if its id belongs to another process by now."""
    try:
        holder = json.loads((folder / _HOLDER).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return int(holder["pid"]) if started_at(holder["pid"]) == holder["started_at"] else None


def _clear(folder: Path) -> None:
    """Remove what an earlier world left, except the user's example pictures; without any, ours are put there."""
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
    """Example pictures for the embedded model, where there are none."""
    if not (folder / _EXAMPLES).exists():
        examples(folder / _EXAMPLES)


def _explain(console: Console, folder: Path, standing: Standing) -> None:
    here = _short(folder)
    python = _short(Path(sys.executable))
    demo = f"{python} -m demo" if folder == PROJECT / ".world" else f"{python} -m demo --folder {here}"
    lines = [
        "",
        f"Airflow:      {standing.url}  (no login)",
        f"Its model:    of {SERVICES[standing.kind].name}",
        f"Teach it:     pictures of your own thing into {here}/{_EXAMPLES}/<label>/, one folder a label",
        *_what_it_learns(standing.kind),
        f"Drop in:      {demo} put PICTURE...",
        f"              for example {demo} put {here}/{_EXAMPLES}/cup/cup.png",
        f"See results:  {demo} results      (pictures are looked for every two minutes)",
        f"Or look:      {standing.url}/plugin/label_detection      (its runs, each with its pictures)",
        "End it:       make down",
        "",
        "For boto3 or the aws command:",
        *(f"  export {name}={value}" for name, value in standing.aws.items() if name.startswith("AWS_")),
        *(f"  # {name.split('__')[-1].lower()}: {value}" for name, value in standing.aws.items() if "__" in name),
    ]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _what_it_learns(kind: Kind) -> list[str]:
    """A line on what the example pictures are for, where that is not what one would think."""
    if kind is not Kind.LOOKOUT_VISION:
        return []
    return ["              (they are what is normal: in a picture of the same thing, what differs is found)"]


def _short(path: Path) -> str:
    """The path as one would type it from here."""
    path = path.absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
