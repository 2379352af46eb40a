"""
Writes `runs/<run id>/labels.csv` to the final bucket after each successful run of `label_detection`. The file has one
line per label, and one line per image without labels. This is an example of a DAG that runs after the pipeline: copy
it into the dags folder and change it as you need.

Airflow starts this DAG when `write_report` updates the Asset `s3://<final bucket>/runs`, which it does at the end of
each successful run. The asset event has the run's id, the key of its report, and the counts.

* Running it twice is safe: it writes the same file again. An image can have two sets of lines, if a worker was lost
  after it labelled the image and before it deleted the message. The lines with the later `at` are valid.
* If a spreadsheet would take a key or a label for a formula, it has a `'` before it, because anyone who uploads images
  can choose the keys.
* **When it is red:** its log has AWS's error. Correct the cause and clear the task.
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
#: Outcomes that are final for an image. Other journal lines are for messages that return to the queue, or without an
#: image.
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
        """Write one table per run; several runs may have ended since the last time. Returns the S3 keys."""
        s3 = S3Hook().conn
        runs = [event.extra for events in triggering_asset_events.values() for event in events]
        # an event made manually in Airflow's UI names no run; the bucket is never taken from an event
        return [_write(s3, FINAL_BUCKET, run["run_id"]) for run in runs if "run_id" in run]

    write_table()


def _write(s3: Any, bucket: str, run_id: str) -> str:
    key = f"{journal.run_prefix(run_id)}labels.csv"
    # a label may have half a surrogate pair, which UTF-8 cannot encode
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
    """A journal line as rows of the table. Boxes are ratios of the image's width and height."""
    source, error = line["source"] or {}, line.get("error") or {}
    what = [_text(source.get("key", "")), line["outcome"], _text(error.get("code", "")), _text(line.get("image") or "")]
    rows = []
    for label in line["labels"] or [{}]:
        box = (label.get("Geometry") or {}).get("BoundingBox") or {}
        edges = [box.get(edge, "") for edge in ("Left", "Top", "Width", "Height")]
        rows.append([*what, _text(label.get("Name", "")), label.get("Confidence", ""), *edges, line["at"]])
    return rows


def _text(text: str) -> str:
    """The text, with a `'` before it if a spreadsheet would take it for a formula (OWASP: CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
