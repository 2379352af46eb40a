"""
Writes `runs/<run id>/labels.csv` into the final bucket when a run of `label_detection` has labels: a line for each
label, and one for each image without any. An example of a DAG that follows: copy it into the dags folder, and make it
yours.

Airflow starts it by the Asset `s3://<final bucket>/runs`, which `write_report` updates. It runs once for each run that
succeeded; what it is told with it are the run's id, where the report is, and the counts.

* Running it twice is safe: it writes the same file again. An image that was labelled twice (a worker was lost between
  its label and its message's end) is there twice: the last `at` counts.
* A key or a label that a spreadsheet would take for a formula has a `'` before it: whoever uploads chooses the keys.
* **When it is red:** its log has AWS's error. Clear it.
"""

from __future__ import annotations

import csv
import tempfile
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import DAG, Asset, task
from airflow.sdk.configuration import conf

from label_detection_core.drain import journal

FINAL_BUCKET = conf.get("label_detection", "final_bucket", fallback="my-final-bucket")
#: Of a run's lines, those of an image that has its end; others are messages that come again, or were no image's.
OUTCOMES = {"labelled", "rejected"}
COLUMNS = ("key", "outcome", "reason", "image", "label", "confidence", "left", "top", "width", "height", "at")

with DAG(
    "label_table",
    description="A table of a run's labels, as soon as there are labels",
    schedule=[Asset(f"s3://{FINAL_BUCKET}/runs")],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    doc_md=__doc__,
    tags=["example"],
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(hours=1)},
):

    @task
    def write_table(triggering_asset_events: Any = None) -> list[str]:
        """The keys that were written: several runs may have ended since the last time."""
        s3 = S3Hook().conn
        runs = [event.extra for events in triggering_asset_events.values() for event in events]
        # one that a person made in Airflow's UI tells of no run, and nobody's tells where to write
        return [_write(s3, FINAL_BUCKET, run["run_id"]) for run in runs if "run_id" in run]

    write_table()


def _write(s3: Any, bucket: str, run_id: str) -> str:
    key = f"{journal.run_prefix(run_id)}labels.csv"
    # half a surrogate pair in a label is no UTF-8
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for line in journal.read_lines(s3, bucket, run_id):
            if line["outcome"] in OUTCOMES:
                table.writerows(_rows(line))
        file.flush()
        s3.upload_file(file.name, bucket, key, ExtraArgs={"ContentType": "text/csv; charset=utf-8"})
    return key


def _rows(line: dict[str, Any]) -> list[list[Any]]:
    """A line of the run's record, as rows of the table; its boxes are in ratios of the image's size."""
    source, error = line["source"] or {}, line.get("error") or {}
    what = [_text(source.get("key", "")), line["outcome"], _text(error.get("code", "")), _text(line.get("image") or "")]
    rows = []
    for label in line["labels"] or [{}]:
        box = (label.get("Geometry") or {}).get("BoundingBox") or {}
        edges = [box.get(edge, "") for edge in ("Left", "Top", "Width", "Height")]
        rows.append([*what, _text(label.get("Name", "")), label.get("Confidence", ""), *edges, line["at"]])
    return rows


def _text(text: str) -> str:
    """A text that is one in a spreadsheet too (OWASP: CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
