"""The measurements as pictures: `docs/bench-model.png` and `docs/bench-airflow.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from bench.alone import OURS, PACES
from bench.measured_world import RATE, START_SECONDS
from bench.measures import DOCS
from bench.model_time import IDLE_IMAGES, SAMPLE_RUNS, USE_IMAGES, USE_UNITS
from label_detection_core.run.sample_schedule import sample_model_seconds

_OURS, _THEIRS = "#3b7dd8", "#c9a227"


def draw(samples: dict[str, list[dict[str, Any]]], folder: Path = DOCS) -> None:
    """Draw the plots whose parts were all measured."""
    if model := samples.get("model"):
        figure, axes = plt.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
        _use(axes[0], model)
        _idle(axes[1], model)
        _sample(axes[2], model)
        figure.savefig(folder / "bench-model.png", dpi=110)
    if (per_image := samples.get("per_image")) and (scale := samples.get("scale")) and (pace := samples.get("pace")):
        figure, axes = plt.subplots(1, 4, figsize=(18, 4.2), layout="constrained")
        _per_image(axes[0], axes[1], per_image)
        _scale(axes[2], scale)
        _pace(axes[3], pace)
        figure.savefig(folder / "bench-airflow.png", dpi=110)
    plt.close("all")


def _use(axes: Any, samples: list[dict[str, Any]]) -> None:
    for units in USE_UNITS:
        values = [100 * s["use"] for s in samples if (s["images"], s["units"]) == (USE_IMAGES, units)]
        axes.plot([str(units)] * len(values), values, "o", color=_OURS, alpha=0.7)
    axes.axhline(95, color="grey", linestyle="--", linewidth=1)
    axes.set(
        title=f"Use of the model while RUNNING\n{USE_IMAGES:,} images; dashed: the bound",
        xlabel="inference units",
        ylabel=f"% of {RATE:g} images/s per unit",
        ylim=(80, 104),
    )


def _idle(axes: Any, samples: list[dict[str, Any]]) -> None:
    for name, words, color in (
        ("first_detect", "RUNNING to first detect", _OURS),
        ("last_detect", "last detect to stop request", _THEIRS),
    ):
        for number, images in enumerate((*IDLE_IMAGES, USE_IMAGES)):
            values = [s[name] for s in samples if s["images"] == images]
            label = words if not number else None
            axes.plot([f"{images:,}"] * len(values), values, "o", color=color, alpha=0.7, label=label)
    axes.set(title="Seconds in which the model is on but idle", xlabel="images", ylabel="seconds", ylim=(0, 5.2))
    axes.legend()


def _sample(axes: Any, samples: list[dict[str, Any]]) -> None:
    runs = [(1, 1), (100, 1), *SAMPLE_RUNS]
    names = [f"{images:,}\n({units} unit{'s' if units > 1 else ''})" for images, units in runs]
    theirs = [sample_model_seconds(images, RATE * units, START_SECONDS) / 60 for images, units in runs]
    axes.plot(names, theirs, "s", color=_THEIRS, label="the AWS sample's schedule, computed")
    for number, (images, units) in enumerate(runs):
        values = [s["on_seconds"] / 60 for s in samples if (s["images"], s["units"]) == (images, units)]
        label = "this project, measured" if not number else None
        axes.plot([names[number]] * len(values), values, "o", color=_OURS, alpha=0.7, label=label)
    axes.set(title=f"Model on, with a start of {START_SECONDS:g} s", xlabel="images", ylabel="minutes", yscale="log")
    _plain(axes)
    axes.legend(loc=(0.03, 0.68))


def _per_image(throughput: Any, cpu: Any, samples: list[dict[str, Any]]) -> None:
    for axes, title, of in (
        (throughput, "Images per second", lambda s: s["images"] / s["seconds"]),
        (cpu, "CPU of all of Airflow, ms per image", lambda s: 1000 * s["cpu"] / s["images"]),
    ):
        for who, name, color in (
            ("ours", "this project", _OURS),
            ("theirs", "one mapped task\nper image", _THEIRS),
        ):
            values = [of(s[who]) for s in samples]
            axes.plot([name] * len(values), values, "o", color=color, alpha=0.7)
        axes.set(title=title, yscale="log")
        _plain(axes)
        axes.margins(x=0.4)


def _plain(axes: Any) -> None:
    """Label a logarithmic axis with plain numbers."""
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _scale(axes: Any, samples: list[dict[str, Any]]) -> None:
    for sample in samples:
        axes.plot(sample["images"], sample["peak_bytes"] / 1024**2, "o", color=_OURS, alpha=0.7)
        axes.plot(sample["images"], sample["rows"], "s", color=_THEIRS, alpha=0.7)
    axes.plot([], [], "o", color=_OURS, label="peak memory of a task, MB")
    axes.plot([], [], "s", color=_THEIRS, label="rows in Airflow's database")
    axes.set(title="By the size of the backlog", xlabel="images", xscale="log")
    axes.set_ylim(bottom=0)
    axes.legend()


def _pace(axes: Any, samples: list[dict[str, Any]]) -> None:
    for sample in samples:
        color = _OURS if sample["mode"] == OURS else _THEIRS
        marker = "o" if sample["rate"] == PACES[0][0] else "s"
        axes.plot(100 * sample["throttled"], 100 * sample["use"], marker, color=color, alpha=0.7)
    for mode, color in ((OURS, _OURS), ("botocore's adaptive mode", _THEIRS)):
        axes.plot([], [], "o", color=color, label="this project" if mode == OURS else mode)
    axes.axvline(2, color="grey", linestyle="--", linewidth=1)
    axes.set(
        title=f"Pace of the calls: dots {PACES[0][0]:g}, squares {PACES[1][0]:g} images/s",
        xlabel="throttled, % of all calls",
        ylabel="use of the model, %",
    )
    axes.legend()
