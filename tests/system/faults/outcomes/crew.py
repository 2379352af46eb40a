"""Consumers that tests kill, pause and start again, until the queue is empty."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random

from sandbox.environment import PROJECT, PYTHONPATH
from tests.system.faults.outcomes.audit import AuditedPipeline
from tests.system.faults.outcomes.consumer import Orders, consume

VISIBILITY_SECONDS = 4
_END_SECONDS = 180


@contextmanager
def _import_path() -> Iterator[None]:
    """Set PYTHONPATH for the fork server, which imports the consumers' code once, to find what pytest finds."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([PYTHONPATH, str(PROJECT / "plugins")])
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


@dataclass
class Crew:
    """`size` consumers of a pipeline; `done`: number of kills and pauses, for the table."""

    place: AuditedPipeline
    environment: Mapping[str, str]
    folder: Path
    size: int = 4
    attempts: int = 1
    model_attempts: int = 4
    workers: int = 4
    done: Counter[str] = field(default_factory=Counter)
    _members: list[ForkServerProcess] = field(default_factory=list)
    _started: int = 0
    _stopped: dict[int, float] = field(default_factory=dict)

    def fill(self, seconds: float = 60) -> None:
        """Start new consumers for those that have ended."""
        self._members = [member for member in self._members if member.is_alive()]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.system.faults.outcomes.consumer"])
        while len(self._members) < self.size:
            self._started += 1
            orders = Orders(
                self.environment,
                self.place.source_bucket,
                self.place.final_bucket,
                self.place.queue_url,
                self.place.model_arn,
                self._started,
                seconds,
                VISIBILITY_SECONDS,
                str(self.folder / "consumers.log"),
                self.attempts,
                self.model_attempts,
                self.workers,
            )
            member = context.Process(target=consume, args=(orders,), daemon=True)
            with _import_path():
                member.start()
            self._members.append(member)

    def kill_one(self, random: Random) -> None:
        """Kill a random consumer with SIGKILL."""
        if self._members:
            self._kill(random.choice(self._members))

    def stop_one(self, random: Random) -> None:
        """Pause a random consumer with SIGSTOP: it keeps its messages and does nothing until `wake`."""
        running = [member for member in self._members if member.is_alive() and member.pid not in self._stopped]
        if running:
            member = random.choice(running)
            assert member.pid
            os.kill(member.pid, signal.SIGSTOP)
            self._stopped[member.pid] = time.monotonic()
            self.done["suspended"] += 1

    def wake(self, after: float = VISIBILITY_SECONDS + 1.5) -> None:
        """Continue consumers that were paused for `after` seconds; by then others may have received their messages."""
        alive = {member.pid for member in self._members if member.is_alive()}
        for pid, at in list(self._stopped.items()):
            if time.monotonic() - at >= after:
                del self._stopped[pid]
                if pid in alive:
                    os.kill(pid, signal.SIGCONT)

    def kill_all(self) -> None:
        """Kill all consumers with SIGKILL."""
        for member in self._members:
            self._kill(member)
        self._members, self._stopped = [], {}

    def leave(self) -> None:
        """Wait until all consumers have ended by themselves."""
        for member in self._members:
            member.join(_END_SECONDS)
            assert not member.is_alive(), f"a consumer still runs after {_END_SECONDS} s"

    def finish(self) -> None:
        """Keep consumers running, without faults, until the queue is empty and all have ended."""
        self.wake(0)
        until = time.monotonic() + _END_SECONDS
        while self.place.depth() != (0, 0) or any(member.is_alive() for member in self._members):
            assert time.monotonic() < until, f"the queue is not empty after {_END_SECONDS} s: {self.place.depth()}"
            if self.place.depth() != (0, 0):
                self.fill()
            time.sleep(0.3)

    def _kill(self, member: ForkServerProcess) -> None:
        if member.is_alive():
            self.done["killed"] += 1
        member.kill()
        member.join(10)
        self._stopped.pop(member.pid or 0, None)
