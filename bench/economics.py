"""Whether the replay of arrivals costs what runs really cost, and a month replayed with two rules."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from bench.measured_world import MeasuredWorld
from bench.measures import Measure, at_most
from label_detection_core.drain.journal import read_journal
from label_detection_core.run.economics import made_up
from label_detection_core.run.replay import Speed, Strategy, replay
from label_detection_core.run.start_rule import StartRule
from label_detection_core.run.stored_report import StoredReport

#: Images and inference units of the measured runs.
SIZES = ((1, 1), (60, 1), (250, 1), (400, 2), (1200, 5))

_PRICE = 4.0


def measure(place: MeasuredWorld, images: int, units: int) -> dict[str, Any]:
    """One run: its report, and when its images arrived, as pairs of second (Unix time) and number of images."""
    run = place.run(images, min_inference_units=units, max_inference_units=units)
    lines = read_journal(place.world.s3, place.world.setting("final_bucket"), run.run_id)
    arrived = Counter(int(line.moment.timestamp() - (line.lag or 0)) for line in lines if line.moment)
    return {"report": run.report, "arrivals": sorted(arrived.items())}


def rows(samples: list[dict[str, Any]]) -> list[Measure]:
    """The error of the replay for each measured run, and the month replayed with both rules."""
    return [*_errors(samples), *_month()] if samples else []


def _errors(samples: list[dict[str, Any]]) -> list[Measure]:
    reports = [StoredReport.model_validate(sample["report"]) for sample in samples]
    found = []
    for number, (sample, report) in enumerate(zip(samples, reports, strict=True)):
        speed = Speed.measured(reports[:number] + reports[number + 1 :])
        arrivals = [datetime.fromtimestamp(second, UTC) for second, count in sample["arrivals"] for _ in range(count)]
        units, cost = report.model.units, report.model.cost_usd or 0.0
        strategy = Strategy("* * * * *", StartRule(len(arrivals), 0), (units, units))
        replayed = replay(arrivals, strategy, speed).unit_hours * _PRICE
        what = f"{len(arrivals):,} image(s), {units} unit(s): error of the replayed cost"
        against = f"the run's report: {cost:.4f} USD; the speed is from the other runs"
        found.append(Measure("economics", what, (abs(replayed / cost - 1),), "", against, at_most(0.1)))
    return found


def _month() -> list[Measure]:
    past, found = made_up(), []
    for name, strategy in (
        ("every two hours", Strategy("0 */2 * * *", StartRule(1, 0))),
        ("200 pictures or 4 hours", Strategy("*/10 * * * *", StartRule(200, 240))),
    ):
        outcome = replay(past.arrivals, strategy, past.speed)
        against = f"computed: {len(past.arrivals):,} pictures, {outcome.starts} starts"
        for what, value, unit in (
            ("cost", outcome.unit_hours * _PRICE, "USD"),
            ("median wait", (outcome.waited(0.5) or 0) / 3600, "h"),
            ("95 % wait at most", (outcome.waited(0.95) or 0) / 3600, "h"),
        ):
            found.append(Measure("economics", f"a month, {name}: {what}", (value,), unit, against))
    return found
