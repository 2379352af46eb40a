"""The progress of runs: a table that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.aftermath import Depth, depth, keys
from demo.pipeline import PipelineRun
from sandbox.airflow_api import TaskInstance
from sandbox.world import World

_COLOURS = {
    "success": "green",
    "running": "bright_cyan",
    "failed": "bold red",
    "upstream_failed": "red",
    "deferred": "magenta",
    "up_for_retry": "yellow",
}
#: The tasks in the order of a run; other tasks come last.
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
    """The state of a run at one moment.

    `done`: documents in the final bucket; `model_on`: seconds; `model`: Rekognition's name of the model's state and, if
    it differs, the service's name; `pipeline`: the pipeline's name if there are several.
    """

    tasks: tuple[TaskInstance, ...]
    done: int
    total: int
    in_source: int
    queue: Depth
    model: str
    model_on: float
    pipeline: str | None = None


class Show(Protocol):
    """A display for the progress of runs and for events."""

    def say(self, line: str) -> None:
        """Show an event."""

    def draw(self, moments: Sequence[Moment]) -> None:
        """Show the state of each run."""


def look(world: World, run: PipelineRun) -> Moment:
    """The present state of a run."""
    options = run.pipeline.options
    final = keys(world.s3, options["final_bucket"])
    model = run.pipeline.model(world)
    tasks = world.api.tasks(run.pipeline.dag_id, run.run_id)
    return Moment(
        tasks=tuple(sorted(tasks, key=_place)),
        done=sum(key.endswith(".json") and not key.startswith("runs/") for key in final),
        total=run.pictures,
        in_source=len(keys(world.s3, options["source_bucket"])),
        queue=depth(world.sqs, options["queue_url"]),
        model=_status(model),
        model_on=model["on_seconds"],
        pipeline=run.pipeline.name,
    )


def _status(model: Mapping[str, Any]) -> str:
    status, says = str(model["status"]), model["says"]
    return status if says in (None, status) else f"{status} ({says})"


def _place(task: TaskInstance) -> tuple[int, str, int]:
    known = _ORDER.index(task.task_id) if task.task_id in _ORDER else len(_ORDER)
    return known, task.task_id, task.map_index


@contextmanager
def show(console: Console) -> Iterator[Show]:
    """A live table on a terminal, else plain lines."""
    started = time.monotonic()
    if not console.is_terminal:
        yield _Lines(console, started)
        return
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        yield _Table(console, live, started)


class _Lines:
    """Prints one line for each value that has changed since the last moment."""

    def __init__(self, console: Console, started: float) -> None:
        self._console = console
        self._started = started
        self._told: dict[str, str] = {}

    def say(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        self._console.print(Text(f"{seconds:6.1f} s  {line}"), soft_wrap=True)

    def draw(self, moments: Sequence[Moment]) -> None:
        news: dict[str, str] = {}
        for moment in moments:
            of = f"{moment.pipeline} " if moment.pipeline else ""
            news |= {f"{of}{task.name}": task.state or "waiting" for task in moment.tasks}
            news[f"{of}model"] = moment.model
            news[f"{of}pictures"] = f"{moment.done} of {moment.total}"
        for name, state in news.items():
            if self._told.get(name, "waiting") != state:
                self.say(f"{name}: {state}")
        self._told = news


class _Table:
    """A table of tasks, a progress bar of pictures, and the model; several runs share one table."""

    def __init__(self, console: Console, live: Live, started: float) -> None:
        self._console = console
        self._live = live
        self._started = started

    def say(self, line: str) -> None:
        seconds = time.monotonic() - self._started
        self._console.print(Text(f"{seconds:6.1f} s  ", style="dim") + Text(line), soft_wrap=True)

    def draw(self, moments: Sequence[Moment]) -> None:
        self._live.update(_render(moments))


def _render(moments: Sequence[Moment]) -> RenderableType:
    tasks = _tasks(moments[0]) if len(moments) == 1 else _tasks_side_by_side(moments)
    return Group("", tasks, *(part for moment in moments for part in ("", _numbers(moment))), "")


def _tasks(moment: Moment) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, style in (("task", ""), ("state", ""), ("seconds", "dim"), ("", "dim")):
        table.add_column(title, style=style, justify="right" if title == "seconds" else "left", header_style="dim")
    for task in moment.tasks:
        note = (task.rendered_map_index or "") if task.map_index >= 0 else ""
        table.add_row(task.name, *_state(task), Text(note))
    return table


def _tasks_side_by_side(moments: Sequence[Moment]) -> Table:
    """A row for each task, and two columns for each run."""
    table = Table(box=None, pad_edge=False)
    table.add_column("task", header_style="dim")
    for moment in moments:
        table.add_column(Text(moment.pipeline or ""), header_style="bold", min_width=10)
        table.add_column("seconds", style="dim", justify="right", header_style="dim")
    known = {task.name: task for moment in moments for task in moment.tasks}
    rows = [{task.name: task for task in moment.tasks} for moment in moments]
    for task in sorted(known.values(), key=_place):
        cells = [cell for row in rows for cell in (_state(row[task.name]) if task.name in row else ("", ""))]
        table.add_row(task.name, *cells)
    return table


def _state(task: TaskInstance) -> tuple[Text, str]:
    """A task's state and, if it has succeeded, its seconds."""
    state = task.state or "waiting"
    return Text(state, style=_COLOURS.get(state, "dim")), (
        f"{task.duration:.1f}" if task.duration and state == "success" else ""
    )


def _numbers(moment: Moment) -> RenderableType:
    bar = Table.grid(padding=(0, 1))
    title = f"{moment.pipeline}:" if moment.pipeline else "pictures"
    bar.add_row(title, ProgressBar(moment.total, moment.done, width=40), f"{moment.done} of {moment.total}")
    colour = {"RUNNING": "bright_green", "STARTING": "yellow", "STOPPING": "yellow"}.get(
        moment.model.partition(" ")[0], "dim"
    )
    model = Text.assemble("model ", (moment.model, colour), f", on for {moment.model_on:.0f} s so far")
    waiting = Text(
        f"{moment.in_source} in the source bucket; queue: {moment.queue.visible} waiting, "
        f"{moment.queue.in_flight} in flight",
        style="dim",
    )
    return Group(bar, waiting, model)


def watch(
    world: World, runs: Sequence[PipelineRun], draw: Callable[[Sequence[Moment]], None], timeout: float
) -> list[str]:
    """Draw the runs every half second until all have ended, and return their states.

    :raises TimeoutError: after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        world.check()
        states = [world.api.run_state(run.pipeline.dag_id, run.run_id) for run in runs]
        draw([look(world, run) for run in runs])
        if all(state in ("success", "failed") for state in states):
            return states
        if time.monotonic() > deadline:
            going_on = ", ".join(
                f"{run.pipeline.dag_id} {run.run_id}: {state}" for run, state in zip(runs, states, strict=True)
            )
            raise TimeoutError(f"not all runs have ended after {timeout:.0f} seconds: {going_on}")
        time.sleep(0.5)
