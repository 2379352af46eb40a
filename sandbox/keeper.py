"""Ends a world's processes when the one who started them is gone, however it went.

`python -m sandbox.keeper GRACE` reads a line with a process id for every session that is started, until its standard
input is closed: by the owner who wants an end, or by the kernel because the owner was killed. Then it sends SIGTERM to
the leaders of these sessions, and after GRACE seconds SIGKILL to whatever is left in them: LocalExecutor's idle workers
ignore SIGTERM, and a task process has a process group of its own.

`python -m sandbox.keeper run FD COMMAND...` writes that line to file descriptor FD and becomes COMMAND. It is the
started process that announces itself, so there is no moment in which it runs and the keeper does not know or wait
for it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress


def started_at(pid: int) -> float | None:
    """When a process was started (seconds since 1970), or None if there is none or it is a zombie."""
    import psutil  # here: a process that only announces itself has no use for it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def members(sessions: dict[int, float | None]) -> list[int]:
    """The living processes of sessions, given as the leader's process id and when it was started.

    A session whose leader's id now belongs to a younger process is left alone: the id was used again.
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
    """End every process of the sessions; returns when none is left."""
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
    os.execvp(command[0], command)  # noqa: S606 - the command is our own


if __name__ == "__main__":
    if sys.argv[1] == "run":
        _run(int(sys.argv[2]), sys.argv[3:])
    else:
        _keep(float(sys.argv[1]))
