"""`make economics`: the table of `label_detection_core.run.economics`, for a bucket too, and a plot of it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from label_detection_core.run import economics
from label_detection_core.run.replay import Outcome

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The plot, in the folder where the command is called.
PLOT = Path(".results/economics.png")
#: A bucket's runs that are copied: those of a year.
_DAYS = 366


def copy_runs(s3: S3Client, bucket: str, folder: Path) -> None:
    """Copy reports and journals of a final bucket into a folder. Reads only."""
    since = datetime.now(UTC) - timedelta(days=_DAYS)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="runs/"):
        for entry in page.get("Contents", []):
            place = _place(entry["Key"], folder)
            if place is None or entry["LastModified"] < since:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())


def draw(outcomes: Sequence[Outcome], price: float, file: Path) -> None:
    """Draw cost against waiting: the best strategies are at the lower left."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    axes.set(xlabel="hours that 95 % of the pictures waited at most", ylabel="USD", title="Cost and waiting")
    for outcome in outcomes:
        x, y = (outcome.waited(0.95) or 0.0) / 3600, outcome.unit_hours * price
        rule = outcome.strategy.rule
        units = "-".join(map(str, sorted(set(outcome.strategy.units))))
        label = f"{outcome.strategy.schedule}  at {rule.images}, {units} unit(s)" + (
            f" or {rule.minutes:g} min" if rule.minutes else ""
        )
        axes.plot(x, y, "o", label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.legend(fontsize="small")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main(argv: Sequence[str], s3: Any = None) -> None:
    """Print the table and draw the plot. The argument `--bucket NAME` reads a bucket; the others are the core's."""
    arguments = list(argv)
    with tempfile.TemporaryDirectory() as folder:
        if arguments[:1] == ["--bucket"] and len(arguments) > 1:
            try:
                copy_runs(s3 or boto3.client("s3"), arguments[1], Path(folder))
            except (BotoCoreError, ClientError) as error:
                sys.exit(f"economics: cannot read the bucket {arguments[1]}: {error}")
            arguments = [folder, *arguments[2:]]
        outcomes = economics.main(arguments)
        price = economics.parser().parse_args(arguments).price
    draw(outcomes, price, PLOT)
    sys.stdout.write(f"\ndrawn: {PLOT}\n")


def _place(key: str, folder: Path) -> Path | None:
    """Where a copy of an object goes; None: it is neither a report nor a part of a journal, or leads out of it."""
    parts = key.split("/")
    is_report = len(parts) == 3 and parts[2] == "report.json"
    is_journal = len(parts) == 4 and parts[2] == "images" and parts[3].endswith(".jsonl")
    if not (is_report or is_journal) or {"", ".", ".."} & set(parts):
        return None
    return folder.joinpath(*parts[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
