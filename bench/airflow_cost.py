"""The cost of a run in Airflow: compared with one mapped task per image, and for backlogs of several sizes."""

from __future__ import annotations

from typing import Any

from bench.measured_world import RATE, MeasuredWorld, RunFacts
from bench.measures import Measure, at_least, at_most

IMAGES = 500
BACKLOGS = (200, 2000, 20_000)
#: Parameters of a run with a model without a rate limit; they make two analysis tasks.
_UNLIMITED: dict[str, Any] = {"min_inference_units": 1, "max_inference_units": 1, "images_per_second_per_unit": 100}


def compare(place: MeasuredWorld) -> dict[str, Any]:
    """Run the pipeline, and a DAG of one mapped task per image, on equal images with a model without a rate limit."""
    place.set_model(rate=0)
    try:
        ours = place.run(IMAGES, **_UNLIMITED)
        place.set_model(status="RUNNING")
        theirs = place.run(IMAGES, dag_id="one_task_per_image")
    finally:
        place.set_model(rate=RATE, status="STOPPED")
    return {"ours": _analysis(ours), "theirs": _analysis(theirs)}


def _analysis(run: RunFacts) -> dict[str, Any]:
    begin, end = run.analysis
    return {
        "state": run.state,
        "seconds": end - begin,
        "cpu": run.usage.airflow_between(begin, end),
        "images": run.images,
    }


def compare_rows(samples: list[dict[str, Any]]) -> list[Measure]:
    """The rows of the table, from the samples of all runs."""
    if not samples:
        return []
    part, against = "one mapped task per image", "a DAG with one mapped task per image, same images and scheduler"
    rate, cpu = ({who: tuple(of(s[who]) for s in samples) for who in ("ours", "theirs")} for of in (_rate, _cpu))
    times = tuple(ours / theirs for ours, theirs in zip(rate["ours"], rate["theirs"], strict=True))
    share = tuple(theirs / ours for ours, theirs in zip(cpu["ours"], cpu["theirs"], strict=True))
    ours, theirs = f"the pipeline, {IMAGES} images", f"one mapped task per image, {IMAGES} images"
    return [
        Measure(part, f"{ours}: images/s", rate["ours"], "", "the next row"),
        Measure(part, f"{theirs}: images/s", rate["theirs"], "", "the row before"),
        Measure(part, "throughput of the pipeline, divided by that of the other DAG", times, "", against, at_least(10)),
        Measure(part, f"{ours}: CPU of all of Airflow per image", tuple(1000 * v for v in cpu["ours"]), "ms",
            "the next row"),
        Measure(part, f"{theirs}: CPU of all of Airflow per image", tuple(1000 * v for v in cpu["theirs"]), "ms",
            "the row before"),
        Measure(part, "CPU of the other DAG, divided by that of the pipeline", share, "", against, at_least(50)),
    ]  # fmt: skip


def _rate(sample: dict[str, Any]) -> float:
    return float(sample["images"] / sample["seconds"])


def _cpu(sample: dict[str, Any]) -> float:
    return float(sample["cpu"] / sample["images"])


def scale(place: MeasuredWorld, images: int) -> dict[str, Any]:
    """One run of `images` images, with a model without a rate limit."""
    place.set_model(rate=0)
    try:
        run = place.run(images, max_model_minutes=120, **_UNLIMITED)
    finally:
        place.set_model(rate=RATE)
    begin, end = run.analysis
    return {
        "state": run.state,
        "images": images,
        "peak_bytes": max(run.peak_bytes),
        "xcom_bytes": max(run.xcom_bytes.values()),
        "rows": run.rows,
        "scheduler_share": run.usage.scheduler_share(begin, end),
        "cpu_per_image": run.usage.airflow_between(begin, end) / images,
        "rate": images / (run.last_detect_at - run.first_detect_at),
    }


def scale_rows(samples: list[dict[str, Any]]) -> list[Measure]:
    """The rows of the table, from the samples of all runs."""
    by_size = {images: [s for s in samples if s["images"] == images] for images in BACKLOGS}
    found: list[Measure] = []
    for images, mine in by_size.items():
        if mine:
            first = "the run of 200 images"
            found += [
                Measure("scale", f"{images:,} images: peak memory of a task", _mb(mine), "MB", first),
                Measure("scale", f"{images:,} images: largest XCom of a task", _all(mine, "xcom_bytes"), "bytes",
                    "2 KB", at_most(2048)),
                Measure("scale", f"{images:,} images: rows in Airflow's database", _all(mine, "rows"), "", first),
                Measure("scale", f"{images:,} images: CPU of the scheduler during the analysis",
                    _all(mine, "scheduler_share"), "cores", first),
                Measure("scale", f"{images:,} images: images/s, model without a limit",
                    _all(mine, "rate"), "", "two cores, shared with the embedded AWS"),
            ]  # fmt: skip
    few, many = by_size[BACKLOGS[0]], by_size[BACKLOGS[-1]]
    if few and many:
        memory = max(_all(many, "peak_bytes")) / max(_all(few, "peak_bytes"))
        rows = max(_all(many, "rows")) / max(_all(few, "rows"))
        found += [
            Measure(
                "scale",
                "peak memory at 20,000 images, divided by that at 200",
                (memory,),
                "",
                "1: no growth",
                at_most(1.1),
            ),
            Measure("scale", "rows at 20,000 images, divided by those at 200", (rows,), "", "1: no growth", at_most(1)),
        ]
    return found


def _mb(samples: list[dict[str, Any]]) -> tuple[float, ...]:
    return tuple(value / 1024**2 for value in _all(samples, "peak_bytes"))


def _all(samples: list[dict[str, Any]], name: str) -> tuple[float, ...]:
    return tuple(sample[name] for sample in samples)
