"""What a run is doing, while it does it: a table that redraws itself on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.aftermath import Depth, depth, keys
from demo.airflow_api import TaskInstance
from demo.world import World

_COLOURS = {
    "success": "green",
    "running": "bright_cyan",
    "failed": "bold red",
    "upstream_failed": "red",
    "deferred": "magenta",
    "up_for_retry": "yellow",
}
#: In the order they run; what is not listed comes last.
_ORDER = (
    "wait_for_images",
    "plan_run",
    "start_model",
    "wait_for_model",
    "analyse_images",
    "stop_model",
    "write_report",
)


@dataclass(frozen=True)
class Moment:
    """A run at one moment. `done`: documents in the final bucket; `model_on`: seconds."""

    tasks: tuple[TaskInstance, ...]
    done: int
    total: int
    in_source: int
    queue: Depth
    model: str
    model_on: float


class Show(Protocol):
    """Where moments and remarks go."""

    def say(self, line: str) -> None:
        """Tell one thing that has happened."""

    def draw(self, moment: Moment) -> None:
        """Show how things stand."""


def look(world: World, dag_id: str, run_id: str, total: int) -> Moment:
    """How a run stands now; `total`: the pictures that were uploaded."""
    final = keys(world.s3, world.setting("final_bucket"))
    model = world.model()
    tasks = world.api.tasks(dag_id, run_id)
    return Moment(
        tasks=tuple(sorted(tasks, key=_place)),
        done=sum(key.endswith(".json") and not key.startswith("runs/") for key in final),
        total=total,
        in_source=len(keys(world.s3, world.setting("source_bucket"))),
        queue=depth(world.sqs, world.setting("queue_url")),
        model=model["status"],
        model_on=model["on_seconds"],
    )


def _place(task: TaskInstance) -> tuple[int, str, int]:
    known = _ORDER.index(task.task_id) if task.task_id in _ORDER else len(_ORDER)
    return known, task.task_id, task.map_index


@contextmanager
def show(console: Console) -> Iterator[Show]:
    """A live display on a terminal, else lines."""
    started = time.monotonic()
    if not console.is_terminal:
        yield _Lines(console, started)
        return
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        yield _Table(console, live, started)


class _Lines:
    """One line for everything that has changed since the last look."""

    def __init__(self, console: Console, started: float) -> None:
        self._console = console
        self._started = started
        self._told: dict[str, str] = {}

    def say(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        self._console.print(Text(f"{seconds:6.1f} s  {line}"), soft_wrap=True)

    def draw(self, moment: Moment) -> None:
        news = {task.name: task.state or "waiting" for task in moment.tasks}
        news["model"] = moment.model
        news["pictures"] = f"{moment.done} of {moment.total}"
        for name, state in news.items():
            if self._told.get(name, "waiting") != state:
                self.say(f"{name}: {state}")
        self._told = news


class _Table:
    """A table of tasks, a bar of pictures, the model."""

    def __init__(self, console: Console, live: Live, started: float) -> None:
        self._console = console
        self._live = live
        self._started = started

    def say(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        self._console.print(Text(f"{seconds:6.1f} s  ", style="dim") + Text(line), soft_wrap=True)

    def draw(self, moment: Moment) -> None:
        self._live.update(_render(moment))


def _render(moment: Moment) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    for title, style in (("task", ""), ("state", ""), ("seconds", "dim"), ("", "dim")):
        table.add_column(title, style=style, justify="right" if title == "seconds" else "left", header_style="dim")
    for task in moment.tasks:
        state = task.state or "waiting"
        seconds = f"{task.duration:.1f}" if task.duration and state == "success" else ""
        note = (task.rendered_map_index or "") if task.map_index >= 0 else ""
        table.add_row(task.name, Text(state, style=_COLOURS.get(state, "dim")), seconds, Text(note))
    bar = Table.grid(padding=(0, 1))
    bar.add_row("pictures", ProgressBar(moment.total, moment.done, width=40), f"{moment.done} of {moment.total}")
    colour = {"RUNNING": "bright_green", "STARTING": "yellow", "STOPPING": "yellow"}.get(moment.model, "dim")
    model = Text.assemble("model ", (moment.model, colour), f", on for {moment.model_on:.0f} s so far")
    waiting = Text(
        f"{moment.in_source} in the source bucket; queue: {moment.queue.visible} waiting, "
        f"{moment.queue.in_flight} in flight",
        style="dim",
    )
    return Group("", table, "", bar, waiting, model, "")


def watch(world: World, dag_id: str, run_id: str, total: int, draw: Callable[[Moment], None], timeout: float) -> str:
    """Draw the run every half second until it has ended, and return its state; TimeoutError after so many seconds."""
    deadline = time.monotonic() + timeout
    while True:
        world.check()
        state = world.api.run_state(dag_id, run_id)
        draw(look(world, dag_id, run_id, total))
        if state in ("success", "failed"):
            return state
        if time.monotonic() > deadline:
            raise TimeoutError(f"the run {run_id} is still {state} after {timeout:.0f} seconds")
        time.sleep(0.5)
