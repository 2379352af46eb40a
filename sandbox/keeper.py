"""End a world's processes when their owner has ended, even if it was killed.

`python -m sandbox.keeper GRACE` reads one line per started session, with the process id of its leader, until its
standard input is closed: by the owner, or by the kernel because the owner was killed. Then it sends SIGTERM to the
leaders of these sessions, and after GRACE seconds SIGKILL to all remaining processes in them: LocalExecutor's idle
workers ignore SIGTERM, and a task process has its own process group.

`python -m sandbox.keeper run FD COMMAND...` writes that line to file descriptor FD and becomes COMMAND. The started
process announces itself, so it never runs without the keeper's knowledge.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress


def started_at(pid: int) -> float | None:
    """The start time of a process in seconds since 1970; None if it does not exist or is a zombie."""
    import psutil  # type: ignore[import-untyped]  # imported here because a process that only announces itself does not need it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def members(sessions: dict[int, float | None]) -> list[int]:
    """The ids of the living processes of sessions; `sessions`: start times by the leader's process id.

    If a younger process has a leader's id now, the id was reused, and the session is skipped.
    """
    import psutil

    found = []
    for pid in psutil.pids():
        with suppress(OSError):
            leader = os.getsid(pid)
            if leader in sessions and started_at(pid) is not None:
                now = started_at(leader)
                if now is None or now == sessions[leader]:
                    found.append(pid)
    return found


def end(sessions: dict[int, float | None], grace: float) -> None:
    """End every process of the sessions; SIGKILL follows after `grace` seconds. Returns when none is left."""
    for leader in set(members(sessions)) & set(sessions):
        with suppress(OSError):
            os.kill(leader, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while (left := members(sessions)) and time.monotonic() < deadline:
        time.sleep(0.05)
    while left:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        left = members(sessions)


def _keep(grace: float) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    sessions: dict[int, float | None] = {}
    for line in sys.stdin:
        sessions[int(line)] = started_at(int(line))
    end(sessions, grace)


def _run(descriptor: int, command: list[str]) -> None:
    os.write(descriptor, b"%d\n" % os.getpid())
    os.close(descriptor)
    os.execvp(command[0], command)  # noqa: S606 - the command comes from this project


if __name__ == "__main__":
    if sys.argv[1] == "run":
        _run(int(sys.argv[2]), sys.argv[3:])
    else:
        _keep(float(sys.argv[1]))
