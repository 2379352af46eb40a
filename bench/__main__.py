"""`python -m bench [part ...] [--runs N]`: measure parts (default: all), and write the table and the plots.

Parts can be measured at different times: the table keeps the rows of the parts that are not measured now.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from bench import airflow_cost, alone, economics, kinds, measures, model_time, pages
from bench.measured_world import MeasuredWorld, measured_world
from sandbox.environment import PROJECT, clean_own
from sandbox.processes import signals_raise

RUNS = 3
BEGIN, END = "<!-- measured: written by make bench -->", "<!-- end of measured -->"
Samples = Iterator[dict[str, Any]]


def _model(here: MeasuredWorld, runs: int) -> Samples:
    """Measure each short size `runs` times, and the long sizes once."""
    short = [(images, 1) for images in model_time.IDLE_IMAGES]
    short += [(model_time.USE_IMAGES, units) for units in reversed(model_time.USE_UNITS)]
    for images, units in [size for _ in range(runs) for size in short] + list(model_time.SAMPLE_RUNS):
        yield model_time.measure(here, images, units)


def _per_image(here: MeasuredWorld, runs: int) -> Samples:
    for _ in range(runs):
        yield airflow_cost.compare(here)


def _scale(here: MeasuredWorld, runs: int) -> Samples:
    small, middle, large = airflow_cost.BACKLOGS
    for images in [small, middle] * runs + [large]:
        yield airflow_cost.scale(here, images)


def _pages(here: MeasuredWorld, runs: int) -> Samples:
    for _ in range(runs):
        for images in pages.IMAGES:
            yield pages.measure(here, images)


def _economics(here: MeasuredWorld, runs: int) -> Samples:  # noqa: ARG001  # the sizes are the repetitions
    for images, units in economics.SIZES:
        yield economics.measure(here, images, units)


def _rate(aws: alone.Aws, runs: int) -> Samples:
    for _ in range(runs):
        yield alone.measure_rate(aws)


def _profile(aws: alone.Aws, runs: int) -> Samples:  # noqa: ARG001  # one profile is enough
    yield alone.measure_profile(aws)


def _kinds(aws: alone.Aws, runs: int) -> Samples:
    for _ in range(runs):
        for name in kinds.MODELS:
            yield kinds.measure(aws, name)


def _pace(aws: alone.Aws, runs: int) -> Samples:
    for _ in range(runs):
        for pace in alone.PACES:
            for mode in (alone.OURS, alone.ADAPTIVE):
                yield alone.measure_pace(aws, *pace, mode)


def _million(runs: int) -> Samples:  # noqa: ARG001  # measured once: each takes minutes
    for images in alone.MILLION:
        yield alone.measure_million(images)


def _parse(runs: int) -> Samples:
    for _ in range(runs):
        for file in sorted((PROJECT / "dags").glob("*_dag.py")):
            yield alone.measure_parse(file)


ON_AIRFLOW: dict[str, Callable[[MeasuredWorld, int], Samples]] = {
    "per_image": _per_image,
    "scale": _scale,
    "model": _model,
    "pages": _pages,
    "economics": _economics,
}
ON_AWS: dict[str, Callable[[alone.Aws, int], Samples]] = {
    "rate": _rate,
    "kinds": _kinds,
    "profile": _profile,
    "pace": _pace,
}
ALONE: dict[str, Callable[[int], Samples]] = {"parse": _parse, "million": _million}
PARTS = (*ALONE, *ON_AWS, *ON_AIRFLOW)


def main() -> int:
    """Measure; returns 0 if every bound is kept, 1 if one is missed."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the pipeline; all parts take about 90 minutes.")
    parser.add_argument(
        "parts", nargs="*", help=f"parts to measure: {', '.join(PARTS)} (default: all); table: only write the table"
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS, help="repetitions of the short measurements (default: %(default)s)"
    )
    given = parser.parse_args()
    if unknown := set(given.parts) - {*PARTS, "table"}:
        parser.error(f"unknown part {', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    if given.runs < 1:
        parser.error("--runs must be 1 or more")
    began = time.monotonic()
    _measure(given.parts or list(PARTS), given.runs)
    found = _table()
    measures.show(found)
    print(
        f"measured in {time.monotonic() - began:.0f} s; written to docs/bench.json, docs/bench.md and docs/bench-*.png"
    )
    return int(not all(row.is_kept for row in found))


def _measure(parts: list[str], runs: int) -> None:
    for part in (part for part in parts if part in ALONE):
        _keep(part, ALONE[part](runs))
    if mine := [part for part in parts if part in ON_AWS]:
        with alone.embedded_aws() as aws:
            for part in mine:
                _keep(part, ON_AWS[part](aws, runs))
    if mine := [part for part in parts if part in ON_AIRFLOW]:
        with measured_world() as here:
            for part in mine:
                _keep(part, ON_AIRFLOW[part](here, runs))


def _table() -> list[measures.Measure]:
    from bench.plots import draw

    samples = {part: measures.kept(part) for part in PARTS}
    measured = [
        *model_time.rows(samples["model"]),
        *airflow_cost.compare_rows(samples["per_image"]),
        *airflow_cost.scale_rows(samples["scale"]),
        *alone.rows(samples),
        *kinds.rows(samples["kinds"]),
        *pages.rows(samples["pages"]),
        *economics.rows(samples["economics"]),
    ]
    found = measured if all(samples.values()) else measures.merged(measured, measures.read())
    measures.write(found)
    measures.put_between(measures.DOCS / "bench.md", BEGIN, END, measures.markdown(found))
    measures.put_between(
        measures.DOCS / "measured.md", "<!-- highlights -->", "<!-- end of highlights -->", measures.highlights(found)
    )
    draw(samples)
    return found


def _keep(part: str, samples: Samples) -> None:
    """Save each sample as soon as it is measured, because a long measurement may be interrupted."""
    found = []
    for sample in samples:
        Console(width=200).print(part, sample, soft_wrap=True)
        found.append(sample)
        measures.keep(part, found)


if __name__ == "__main__":
    clean_own()
    with signals_raise():
        sys.exit(main())
