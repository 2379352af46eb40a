"""What a run says to Airflow's own metrics (StatsD, OpenTelemetry), where they are switched on: `[metrics]`.

Names begin with Airflow's own prefix; the DAG is a tag, and with `statsd_influxdb_enabled` or OpenTelemetry a real one.
"""

from __future__ import annotations

import logging

from airflow.providers.common.compat.sdk import Stats

from include.report import Report

log = logging.getLogger(__name__)

#: Counted up by a run: its metric, and what it is.
COUNTERS = {
    "label_detection.images.labelled": "images labelled",
    "label_detection.images.rejected": "images rejected",
    "label_detection.images.ignored": "messages and images that there was nothing to do for",
    "label_detection.images.failed": "deliveries that were given back",
    "label_detection.throttled": "sends that the model throttled",
    "label_detection.model.seconds": "how long the model was on",
    "label_detection.model.unit_seconds": "what the model is paid for: seconds times units",
}
#: As they are at the end of a run.
GAUGES = {
    "label_detection.queue.visible": "messages that still wait at the end of the run",
    "label_detection.lag.p50": "seconds from an image's announcement to its outcome: half of the images at the most",
    "label_detection.lag.longest": "the longest of them all",
}
_KINDS = {"counter": COUNTERS, "gauge": GAUGES}


def table() -> str:
    """All of them as a Markdown table, for the README."""
    rows = [f"| `{name}` | {kind} | {words} |" for kind, all_ in _KINDS.items() for name, words in all_.items()]
    return "\n".join(["| metric | kind | |", "|---|---|---|", *rows])


def send(report: Report) -> None:
    """Send a run's. Whatever goes wrong is a line in the log: the run's outcome is not changed by telling it."""
    try:
        _send(report)
    except Exception:
        log.exception("the run's metrics could not be sent")


def _send(report: Report) -> None:
    tags = {"dag_id": report.dag_id}
    totals = report.totals
    values = {
        **{f"label_detection.images.{outcome}": n for outcome, n in totals.images.model_dump().items()},
        "label_detection.throttled": totals.calls.throttled,
        "label_detection.model.seconds": round(report.minutes * 60),
        "label_detection.model.unit_seconds": round(report.unit_minutes * 60),
    }
    for name in COUNTERS:
        Stats.incr(name, values[name], tags=tags)
    gauges = {
        "label_detection.queue.visible": report.queue.visible if report.queue else None,
        "label_detection.lag.p50": totals.lag.p50,
        "label_detection.lag.longest": totals.lag.longest,
    }
    for name in GAUGES:
        if (value := gauges[name]) is not None:
            Stats.gauge(name, value, tags=tags)
