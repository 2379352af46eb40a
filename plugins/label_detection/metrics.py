"""A run's metrics, sent through Airflow's own metrics (StatsD, OpenTelemetry) if its section `[metrics]` enables them.

Airflow puts its own prefix before the names. The DAG id is sent as a tag, which reaches OpenTelemetry, and StatsD with
`statsd_influxdb_enabled`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from airflow.providers.common.compat.sdk import Stats

from label_detection_core.run.report import Report

log = logging.getLogger(__name__)


class Metric(NamedTuple):
    """A metric: its description, and how to read its value from a report. None: not known, and not sent."""

    words: str
    value: Callable[[Report], float | None]


#: Counters: each run adds its value.
COUNTERS = {
    "label_detection.images.labelled": Metric("images labelled", lambda report: report.totals.images.labelled),
    "label_detection.images.rejected": Metric("images rejected", lambda report: report.totals.images.rejected),
    "label_detection.images.ignored": Metric(
        "messages and images that needed no work; `report.json` has their number by reason",
        lambda report: report.totals.images.ignored,
    ),
    "label_detection.images.failed": Metric(
        "deliveries that were returned to the queue", lambda report: report.totals.images.failed
    ),
    "label_detection.images.unreadable": Metric(
        "images that S3 does not let the pipeline read", lambda report: report.totals.images.unreadable
    ),
    "label_detection.throttled": Metric(
        "requests to the model that were throttled", lambda report: report.totals.calls.throttled
    ),
    "label_detection.model.seconds": Metric("seconds that the model was on", lambda report: round(report.minutes * 60)),
    "label_detection.model.unit_seconds": Metric(
        "seconds that the model was on, times its units: what AWS charges for",
        lambda report: round(report.unit_minutes * 60),
    ),
}
#: Gauges: their value at the end of a run.
GAUGES = {
    "label_detection.queue.visible": Metric(
        "messages that still wait in the queue at the end of the run",
        lambda report: report.queue.visible if report.queue else None,
    ),
    "label_detection.lag.p50": Metric(
        "median of the seconds from an image's announcement to its outcome",
        lambda report: report.totals.lag.p50,
    ),
    "label_detection.lag.longest": Metric(
        "longest time from an image's announcement to its outcome, in seconds", lambda report: report.totals.lag.longest
    ),
}
_KINDS = {"counter": COUNTERS, "gauge": GAUGES}


def table() -> str:
    """All metrics as a Markdown table, for docs/metrics.md."""
    rows = [f"| `{name}` | {kind} | {one.words} |" for kind, all_ in _KINDS.items() for name, one in all_.items()]
    return "\n".join(["| metric | type | |", "|---|---|---|", *rows])


def send(report: Report) -> None:
    """Send the metrics of a run. An error is only logged: it must not change the outcome of the run."""
    try:
        tags = {"dag_id": report.dag_id}
        for name, metric in COUNTERS.items():
            Stats.incr(name, int(metric.value(report) or 0), tags=tags)
        for name, metric in GAUGES.items():
            if (value := metric.value(report)) is not None:
                Stats.gauge(name, value, tags=tags)
    except Exception:
        log.exception("the metrics of run %s could not be sent", report.run_id)
