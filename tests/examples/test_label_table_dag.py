"""The example DAG that follows a run, and the table that it writes."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from examples import label_table_dag
from tests.conftest import Aws

BOX = {"Left": 0.1, "Top": 0.2, "Width": 0.3, "Height": 0.4}


def table(aws: Aws, run_id: str, *lines: dict[str, Any]) -> list[dict[str, str]]:
    """The table written for a run's journal lines."""
    bucket = aws.settings.final_bucket
    body = "\n".join(map(json.dumps, lines)).encode()
    aws.s3.put_object(Bucket=bucket, Key=f"runs/{run_id}/images/000-0123abcd-000000.jsonl", Body=body)
    key = label_table_dag._write(aws.s3, bucket, run_id)
    assert key == f"runs/{run_id}/labels.csv"
    return list(csv.DictReader(io.StringIO(aws.read(key).decode(), newline="")))


def line(key: str, *labels: dict[str, Any], outcome: str = "labelled") -> dict[str, Any]:
    return {"outcome": outcome, "source": {"key": key}, "labels": list(labels), "at": "2026-11-22T06:00:00Z"}


@pytest.mark.parametrize("run_id", ["manual__2026-11-22T06:00:00+00:00", "a b/../é?#%2F=;"], ids=ascii)
def test_a_run_has_its_table_whatever_its_id(aws: Aws, run_id: str) -> None:
    cat = {"Name": "cat", "Confidence": 90.5, "Geometry": {"BoundingBox": BOX}}
    (row,) = table(aws, run_id, line('a,"b"\n.png', cat), line("c.png", outcome="failed"))
    assert (row["key"], row["label"], row["confidence"], row["height"]) == ('a,"b"\n.png', "cat", "90.5", "0.4")


def test_a_rejected_image_has_its_reason_and_where_it_lies(aws: Aws) -> None:
    error = {"code": "InvalidImageFormatException", "message": "no"}
    image = {"error": error, "image": "rejected/bad-0123456789.png"}
    (row,) = table(aws, "run", line("bad.png", outcome="rejected") | image)
    assert (row["reason"], row["image"]) == ("InvalidImageFormatException", "rejected/bad-0123456789.png")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"], ids=ascii)
def test_a_key_or_a_label_is_no_formula(aws: Aws, text: str) -> None:
    (row,) = table(aws, "run", line(text, {"Name": text, "Confidence": 90}))
    assert (row["key"], row["label"]) == (f"'{text}", f"'{text}")


@pytest.mark.parametrize("geometry", [None, {}, {"BoundingBox": None}], ids=str)
def test_a_label_without_a_box_has_no_edges(aws: Aws, geometry: Any) -> None:
    (row,) = table(aws, "run", line("a.png", {"Name": "\ud800", "Confidence": 90, "Geometry": geometry}))
    assert (row["label"], row["left"], row["height"]) == ("\\ud800", "", "")


def test_a_manually_created_event_belongs_to_no_run(aws: Aws) -> None:
    event = type("Event", (), {"extra": {"from_rest_api": True}})
    write_table: Any = label_table_dag.write_table
    assert write_table.function(triggering_asset_events={"asset": [event]}) == []
