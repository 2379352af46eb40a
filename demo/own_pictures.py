"""`put` and `results`: upload a user's pictures to a running world, and print their labels."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.aftermath import depth, keys
from demo.standing import Standing
from sandbox.aws_clients import s3_client, sqs_client

#: S3's suffix filters are case-sensitive.
_ANNOUNCED = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")
_PREFIX = "AIRFLOW__LABEL_DETECTION__"


def put(console: Console, standing: Standing, files: Sequence[Path]) -> int:
    """Upload files with their names as keys, and all files of folders with keys that begin with the folder's name.

    Returns the exit code.
    """
    if missing := [str(path) for path in files if not path.exists()]:
        console.print(Text(f"no such file or folder: {', '.join(missing)}", style="red"), soft_wrap=True)
        return 1
    s3, bucket = s3_client(standing.aws), _setting(standing, "SOURCE_BUCKET")
    count = 0
    for path, key in _pictures(files):
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType=kind)
        console.print(Text(f"s3://{bucket}/{key}"), soft_wrap=True)
        count += 1
        if not key.endswith(_ANNOUNCED):
            console.print(
                Text(
                    "  S3 sends no event for this name: rename it to .png, .jpg, .jpeg, .PNG, .JPG or .JPEG",
                    style="yellow",
                ),
                soft_wrap=True,
            )
    console.print(f"{count} uploaded; the next run labels them, within minutes.")
    return 0


def results(console: Console, standing: Standing) -> int:
    """Print each document in the final bucket, and the pictures and messages that wait; returns the exit code."""
    s3, bucket = s3_client(standing.aws), _setting(standing, "FINAL_BUCKET")
    table = Table(box=None, pad_edge=False)
    for title in (f"in s3://{bucket}", "labels"):
        table.add_column(title, header_style="dim", overflow="fold")
    for key in keys(s3, bucket):
        if key.endswith(".json") and not key.startswith("runs/"):
            document = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            table.add_row(Text(key.removesuffix(".json")), _labels(document))
    if table.row_count:
        console.print(table)
    else:
        console.print("Nothing is labelled yet.")
    waiting = keys(s3, _setting(standing, "SOURCE_BUCKET"))
    queue = depth(sqs_client(standing.aws), _setting(standing, "QUEUE_URL"))
    console.print(
        f"\n{len(waiting)} in the source bucket; queue: {queue.visible} waiting, {queue.in_flight} in flight."
    )
    return 0


def _pictures(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """The files, each with its key."""
    for given in files:
        if given.is_dir():
            root = given.resolve().parent
            inside = (path for path in sorted(given.resolve().rglob("*")) if path.is_file())
            yield from ((path, path.relative_to(root).as_posix()) for path in inside)
        else:
            yield given, given.name


def _labels(document: dict[str, Any]) -> Text:
    if error := document.get("error"):
        return Text(f"rejected: {error['code']}: {error['message']}", style="yellow")
    if judged := document.get("anomaly"):
        return _judged(judged, document["labels"])
    found = [f"{label['Name']} {label['Confidence']:.1f} %{_box(label)}" for label in document["labels"]]
    return Text("\n".join(found), style="green") if found else Text("none", style="dim")


def _judged(anomaly: dict[str, Any], labels: Sequence[dict[str, Any]]) -> Text:
    """The judgement of a model that detects anomalies. Below `min_confidence` it has no labels."""
    if not anomaly["IsAnomalous"]:
        return Text(f"normal {anomaly['Confidence']:.1f} %", style="green")
    found = [f"{label['Name']}{_box(label)}" for label in labels]
    return Text("\n".join([f"anomalous {anomaly['Confidence']:.1f} %", *found]), style="magenta")


def _box(label: dict[str, Any]) -> str:
    box = label.get("Geometry", {}).get("BoundingBox")
    if not box:
        return ""
    left, top = box["Left"], box["Top"]
    return f" from {left:.0%}, {top:.0%} to {left + box['Width']:.0%}, {top + box['Height']:.0%}"


def _setting(standing: Standing, name: str) -> str:
    return standing.aws[_PREFIX + name]
