"""The use of the model's time: its load, its idle seconds, and the cost with the schedule of the AWS sample."""

from __future__ import annotations

from typing import Any

from bench.measured_world import LATENCY, RATE, START_SECONDS, MeasuredWorld, RunFacts
from bench.measures import Measure, at_least, at_most
from label_detection_core.run.sample_schedule import sample_model_seconds

USE_UNITS = (1, 2, 5)
USE_IMAGES = 2000
IDLE_IMAGES = (1, 100)
#: Images and units of the long runs, each measured once.
SAMPLE_RUNS = ((1000, 1), (10_000, 5))
_PRICE = 4.0


def measure(place: MeasuredWorld, images: int, units: int) -> dict[str, Any]:
    """One run of `images` images with `units` inference units."""
    return facts(place.run(images, min_inference_units=units, max_inference_units=units, max_model_minutes=120), units)


def facts(run: RunFacts, units: int) -> dict[str, Any]:
    """The facts about a run that the rows need."""
    allowed = RATE * units
    detecting = run.last_detect_at - run.first_detect_at
    return {
        "state": run.state,
        "images": run.images,
        "units": units,
        "use": run.images / (allowed * run.running_seconds),
        "use_detecting": run.images / (allowed * detecting) if run.images > 1 else None,
        "throttled": run.throttled / (run.images + run.throttled),
        "first_detect": run.first_detect_at - run.running_at,
        "last_detect": run.stop_asked_at - run.last_detect_at,
        "on_seconds": run.on_seconds,
        "reported_use": run.report["model"]["use"],
        "calls": run.report["calls"],
    }


def rows(samples: list[dict[str, Any]]) -> list[Measure]:
    """The rows of the table, from the samples of all runs."""
    found: list[Measure] = []
    for units in USE_UNITS:
        mine = [s for s in samples if s["units"] == units and s["images"] == USE_IMAGES]
        if not mine:
            continue
        allowed = f"{RATE * units:g} images/s, the limit of {_units(units)}"
        bound = at_least(0.95) if units != 2 else None
        name = f"{_units(units)}, {_images(USE_IMAGES)}"
        found += [
            Measure(
                "use of the model", f"{name}: from RUNNING to the stop request", _all(mine, "use"), "", allowed, bound
            ),
            Measure(
                "use of the model",
                f"{name}: from the first to the last detect call",
                _all(mine, "use_detecting"),
                "",
                allowed,
            ),
            Measure(
                "use of the model",
                f"{name}: share of throttled calls",
                _all(mine, "throttled"),
                "",
                "all calls",
                at_most(0.02),
            ),
        ]
    found += _idle(samples)
    found += _against_the_sample(samples)
    return found


def _idle(samples: list[dict[str, Any]]) -> list[Measure]:
    found = []
    for images in (*IDLE_IMAGES, USE_IMAGES):
        mine = [s for s in samples if s["images"] == images]
        if mine:
            found += [
                Measure("idle model", f"{_images(images)}: from RUNNING to the first detect call",
                    _all(mine, "first_detect"), "s", "0 s, the ideal", at_most(5)),
                Measure("idle model", f"{_images(images)}: from the last detect call to the stop request",
                    _all(mine, "last_detect"), "s", "0 s, the ideal", at_most(4)),
            ]  # fmt: skip
    return found


def _against_the_sample(samples: list[dict[str, Any]]) -> list[Measure]:
    found = []
    for images, units in ((1, 1), (100, 1), *SAMPLE_RUNS):
        mine = [s for s in samples if (s["images"], s["units"]) == (images, units)]
        if not mine:
            continue
        theirs = sample_model_seconds(images, RATE * units, START_SECONDS)
        ratio = tuple(s["on_seconds"] / theirs for s in mine)
        cost = tuple(s["on_seconds"] * units * _PRICE / 3600 for s in mine)
        name = f"{_images(images)}, {_units(units)}"
        time_of_sample = f"computed: {theirs:,.0f} s"
        cost_of_sample = f"computed: {theirs * units * _PRICE / 3600:.2f} USD, at {_PRICE:.2f} USD per unit and hour"
        bound = at_most(1 / 40) if images == 100 else None
        found += [
            Measure(
                "the AWS sample's schedule",
                f"{name}: time with the model on",
                _all(mine, "on_seconds"),
                "s",
                time_of_sample,
            ),
            Measure(
                "the AWS sample's schedule", f"{name}: share of the sample's time", ratio, "", time_of_sample, bound
            ),
            Measure("the AWS sample's schedule", f"{name}: cost", cost, "USD", cost_of_sample),
        ]
    return found


def _images(count: int) -> str:
    return f"{count:,} image{'s' if count > 1 else ''}"


def _units(count: int) -> str:
    return f"{count} unit{'s' if count > 1 else ''}"


def _all(samples: list[dict[str, Any]], name: str) -> tuple[float, ...]:
    return tuple(sample[name] for sample in samples if sample[name] is not None)


CONDITIONS = (
    f"a model of {RATE:g} images/s per unit (a token bucket with a capacity of one second), {LATENCY:g} s per call, "
    f"{START_SECONDS:g} s to start"
)
