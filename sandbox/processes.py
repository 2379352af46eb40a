"""Groups of processes, each in its own session with a log file; all end when their owner ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

import psutil  # type: ignore[import-untyped]

from sandbox import keeper
from sandbox.environment import PROJECT, cleaned

#: Seconds between SIGTERM and SIGKILL.
GRACE = 3.0
_TAIL_LINES = 30
#: Constant from <linux/prctl.h>.
_PR_SET_CHILD_SUBREAPER = 36
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessDiedError(RuntimeError):
    """A process has ended unexpectedly; the message ends with the last lines of its log."""


class Interrupted(BaseException):
    """SIGTERM or SIGHUP reached this process."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class Process:
    """A command that runs as the leader of its own session and logs into a file."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen
        self._session: dict[int, float | None] = {popen.pid: keeper.started_at(popen.pid)}
        self._dismissed = False

    @property
    def pid(self) -> int:
        """The id of the process, of its session and of its process group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code (negative: the signal that ended the process), or None while it runs."""
        return self._popen.poll()

    def check(self) -> None:
        """Raise ProcessDiedError if the process has ended, unless `kill` or `end` ended it."""
        if self.exit_code is not None and not self._dismissed:
            raise ProcessDiedError(
                f"{self.name} ended with exit code {self.exit_code}; the last lines of {self.log}:\n{self.tail()}"
            )

    def tail(self, lines: int = _TAIL_LINES) -> str:
        """The last lines of the process's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def members(self) -> list[int]:
        """The ids of the living processes in its session: itself, its workers and their tasks."""
        return keeper.members(self._session)

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the process alone."""
        with suppress(ProcessLookupError):
            self._popen.send_signal(signum)

    def kill(self) -> None:
        """Send SIGKILL to the process alone; its children continue."""
        self._dismissed = True
        self.send(signal.SIGKILL)
        self._popen.wait()

    def end(self, grace: float = GRACE) -> None:
        """End the process and everything in its session: SIGTERM, then after `grace` seconds SIGKILL."""
        self._dismissed = True
        keeper.end(self._session, grace)
        self._popen.wait()

    def wait(self, timeout: float) -> int:
        """Wait at most `timeout` seconds for the end of the process, and return the exit code."""
        return self._popen.wait(timeout)


class Family:
    """The processes of one world. All end with `end`, or when this process ends, even by kill -9.

    `hold`: file descriptors that stay open until the last process has ended.
    """

    def __init__(self, logs: Path, grace: float = GRACE, hold: Sequence[int] = ()) -> None:
        self.logs = logs
        self._hold = hold
        self._grace = grace
        self._line: IO[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self.processes: dict[str, Process] = {}
        self._all: list[Process] = []

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Process:
        """Start a command. It logs to `<name>.log`; a command that is started again with this name appends to it."""
        if self._line is None:
            self._start_keeper()
        assert self._line is not None  # noqa: S101 - for the type checker
        log = self.logs / f"{name}.log"
        descriptor = self._line.fileno()
        with log.open("ab") as output:
            popen = subprocess.Popen(
                [sys.executable, "-S", "-m", "sandbox.keeper", "run", str(descriptor), *command],
                cwd=PROJECT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[descriptor],
            )
        process = self.processes[name] = Process(name, popen, log)
        self._all.append(process)
        return process

    def _start_keeper(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        _adopt_orphans()
        read, write = os.pipe()
        self._line = os.fdopen(write, "wb", buffering=0)
        try:
            with (self.logs / "keeper.log").open("ab") as output:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-m", "sandbox.keeper", str(self._grace)],
                    cwd=PROJECT,
                    env=cleaned(),
                    stdin=read,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=self._hold,
                )
        finally:
            os.close(read)

    def check(self) -> None:
        """Raise ProcessDiedError if one of the processes has ended unexpectedly."""
        for process in self.processes.values():
            process.check()

    def end(self) -> None:
        """End all processes and wait until none is left, for little more than the grace period.

        A second call has no effect. Signals that arrive meanwhile are handled afterwards.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
        try:
            if self._line is not None:
                self._line.close()
            if self._keeper is not None:
                self._keeper.wait()
            self.reap()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def reap(self) -> None:
        """Reap ended children and their orphans, so that no zombies remain."""
        for process in self._all:
            process.exit_code  # noqa: B018 - reaps it
        sessions = {process.pid for process in self._all}
        for child in psutil.Process().children():
            with suppress(psutil.Error, OSError):
                ours = child.pid not in sessions and os.getsid(child.pid) in sessions
                if ours and child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)


def _adopt_orphans() -> None:
    """Become the parent of orphaned descendants (Linux). Without an init that reaps them, they stay as zombies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def signals_raise() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise Interrupted in the main thread, as SIGINT raises KeyboardInterrupt."""

    def interrupt(signum: int, _frame: FrameType | None) -> None:
        raise Interrupted(signum)

    before = {signum: signal.signal(signum, interrupt) for signum in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
