"""What a run says to Airflow's own metrics (StatsD, OpenTelemetry), where they are switched on: `[metrics]`.

Names begin with Airflow's own prefix; the DAG is a tag, and with `statsd_influxdb_enabled` or OpenTelemetry a real one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from airflow.providers.common.compat.sdk import Stats

from label_detection_core.run.report import Report

log = logging.getLogger(__name__)


class Metric(NamedTuple):
    """What it is, and its value; None: not known, and not sent."""

    words: str
    value: Callable[[Report], float | None]


#: Counted up by a run.
COUNTERS = {
    "label_detection.images.labelled": Metric("images labelled", lambda report: report.totals.images.labelled),
    "label_detection.images.rejected": Metric("images rejected", lambda report: report.totals.images.rejected),
    "label_detection.images.ignored": Metric(
        "messages and images that there was nothing to do for; `report.json` has their number by reason",
        lambda report: report.totals.images.ignored,
    ),
    "label_detection.images.failed": Metric(
        "deliveries that were returned to the queue", lambda report: report.totals.images.failed
    ),
    "label_detection.images.unreadable": Metric(
        "images that S3 does not let the pipeline read", lambda report: report.totals.images.unreadable
    ),
    "label_detection.throttled": Metric("sends that the model throttled", lambda report: report.totals.calls.throttled),
    "label_detection.model.seconds": Metric("how long the model was on", lambda report: round(report.minutes * 60)),
    "label_detection.model.unit_seconds": Metric(
        "what the model is paid for: seconds times units", lambda report: round(report.unit_minutes * 60)
    ),
}
#: As they are at the end of a run.
GAUGES = {
    "label_detection.queue.visible": Metric(
        "messages that still wait at the end of the run",
        lambda report: report.queue.visible if report.queue else None,
    ),
    "label_detection.lag.p50": Metric(
        "seconds from an image's announcement to its outcome: at most so long for half of the images",
        lambda report: report.totals.lag.p50,
    ),
    "label_detection.lag.longest": Metric("the longest of them all", lambda report: report.totals.lag.longest),
}
_KINDS = {"counter": COUNTERS, "gauge": GAUGES}


def table() -> str:
    """All of them as a Markdown table, for docs/metrics.md."""
    rows = [f"| `{name}` | {kind} | {one.words} |" for kind, all_ in _KINDS.items() for name, one in all_.items()]
    return "\n".join(["| metric | kind | |", "|---|---|---|", *rows])


def send(report: Report) -> None:
    """Send a run's. Whatever goes wrong is a line in the log: the run's outcome is not changed by telling it."""
    try:
        tags = {"dag_id": report.dag_id}
        for name, metric in COUNTERS.items():
            Stats.incr(name, int(metric.value(report) or 0), tags=tags)
        for name, metric in GAUGES.items():
            if (value := metric.value(report)) is not None:
                Stats.gauge(name, value, tags=tags)
    except Exception:
        log.exception("the run's metrics could not be sent")
