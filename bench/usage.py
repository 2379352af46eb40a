"""What Airflow's processes use while something runs: CPU, and each process's peak of memory."""

from __future__ import annotations

import bisect
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from sandbox.world import COMPONENTS, World

_SECONDS = 0.5


@dataclass
class Usage:
    """CPU seconds used so far, over time: by all of Airflow, and by the scheduler's own process."""

    times: list[float] = field(default_factory=list)
    airflow: list[float] = field(default_factory=list)
    scheduler: list[float] = field(default_factory=list)

    def airflow_between(self, begin: float, end: float) -> float:
        """CPU seconds of all of Airflow's processes, tasks included, between two moments since 1970."""
        return self._at(self.airflow, end) - self._at(self.airflow, begin)

    def scheduler_share(self, begin: float, end: float) -> float:
        """CPU seconds of the scheduler's own process in each second between two moments."""
        return (self._at(self.scheduler, end) - self._at(self.scheduler, begin)) / (end - begin)

    def _at(self, values: list[float], moment: float) -> float:
        index = bisect.bisect_left(self.times, moment)
        if index == 0:
            return values[0]
        if index == len(values):
            return values[-1]
        before, after = self.times[index - 1], self.times[index]
        share = (moment - before) / (after - before)
        return values[index - 1] + share * (values[index] - values[index - 1])


class Meter:
    """Looks at a world's Airflow twice a second. `peaks`: the most memory a process ever held, in bytes, by its id."""

    def __init__(self, world: World) -> None:
        self.usage = Usage()
        self.peaks: dict[int, int] = {}
        self._leaders = {name: psutil.Process(world.processes[name].pid) for name in COMPONENTS}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._ended.wait(_SECONDS):
            self._look()

    def _look(self) -> None:
        used = 0.0
        for leader in self._leaders.values():
            for process in (leader, *leader.children(recursive=True)):
                with suppress(psutil.NoSuchProcess, OSError, ValueError):
                    # What has ended is in the times of the children that its parent has waited for.
                    used += sum(process.cpu_times()[:4])
                    self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), peak_bytes(process.pid))
        self.usage.times.append(time.time())
        self.usage.airflow.append(max(used, self.usage.airflow[-1] if self.usage.airflow else 0.0))
        self.usage.scheduler.append(sum(self._leaders["scheduler"].cpu_times()[:2]))


def resident_bytes(pid: int) -> int:
    """The memory that a process and all below it hold now; what they share is counted for each."""
    leader = psutil.Process(pid)
    return sum(process.memory_info().rss for process in (leader, *leader.children(recursive=True)))


def peak_bytes(pid: int | str = "self") -> int:
    """The most memory that a process has held so far (Linux: VmHWM).

    :raises OSError: when there is none; ValueError: when it has just ended.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has ended")
