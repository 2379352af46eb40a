"""The CPU and the peak memory of Airflow's processes during a run."""

from __future__ import annotations

import bisect
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]

from sandbox.world import COMPONENTS, World

_SECONDS = 0.5


@dataclass
class Usage:
    """Cumulative CPU seconds at each time: of all of Airflow, and of the scheduler's main process."""

    times: list[float] = field(default_factory=list)
    airflow: list[float] = field(default_factory=list)
    scheduler: list[float] = field(default_factory=list)

    def airflow_between(self, begin: float, end: float) -> float:
        """CPU seconds of all of Airflow's processes, tasks included, between two moments since 1970."""
        return self._at(self.airflow, end) - self._at(self.airflow, begin)

    def scheduler_share(self, begin: float, end: float) -> float:
        """CPU seconds per second of the scheduler's main process, between two moments since 1970."""
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
    """Measures a world's Airflow twice a second. `peaks`: peak memory in bytes by process id."""

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
                    # cpu_times of a parent includes its ended children.
                    used += sum(process.cpu_times()[:4])
                    self.peaks[process.pid] = max(self.peaks.get(process.pid, 0), peak_bytes(process.pid))
        self.usage.times.append(time.time())
        self.usage.airflow.append(max(used, self.usage.airflow[-1] if self.usage.airflow else 0.0))
        self.usage.scheduler.append(sum(self._leaders["scheduler"].cpu_times()[:2]))


def resident_bytes(pid: int) -> int:
    """The present resident bytes of a process and its descendants; shared memory counts for each of them."""
    leader = psutil.Process(pid)
    return sum(process.memory_info().rss for process in (leader, *leader.children(recursive=True)))


def peak_bytes(pid: int | str = "self") -> int:
    """The peak memory of a process so far, in bytes (Linux: VmHWM).

    :raises OSError: if the process does not exist.
    :raises ValueError: if it has just ended.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has ended")
