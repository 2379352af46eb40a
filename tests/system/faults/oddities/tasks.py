"""A run's own tasks, executed without Airflow's services, with the options of a default installation."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowException

from label_detection import xcom
from label_detection.operators.images import AnalyseImagesOperator
from label_detection.operators.model import StartModelOperator, StopModelOperator
from label_detection.operators.run import PlanRunOperator
from label_detection_core.drain.journal import read_lines
from label_detection_core.drain.message_worker import DrainError
from tests.conftest import Aws
from tests.plugins.conftest import Run


@dataclass(frozen=True)
class Analysed:
    """The result of one `analyse_images`. `error`: its failure, or empty; times in seconds.

    `idle`: from the model's last answer to the task's end; `on_for_the_rest`: from the last labelled image to the
    task's end.
    """

    tally: dict[str, int]
    error: str
    took: float
    idle: float
    on_for_the_rest: float
    lines: list[dict[str, Any]]

    def count(self, outcome: str) -> int:
        """The number of journal lines with this outcome."""
        return sum(line["outcome"] == outcome for line in self.lines)


@dataclass
class Tasks:
    """The tasks of consecutive runs on one pipeline."""

    aws: Aws
    runs: int = 0
    run: Run = field(default_factory=Run)

    def plan(self) -> None:
        """Start a new run: execute `plan_run`."""
        self.runs += 1
        self.run = Run(run_id=f"oddities-{self.runs}")
        self.run.execute(PlanRunOperator(task_id="plan_run"))

    def warnings(self) -> list[str]:
        """The warnings of `plan_run` for the report."""
        context: Any = self.run.context("write_report")
        return xcom.pull_warnings(context)

    def start(self) -> None:
        """Execute `start_model`."""
        self.run.execute(StartModelOperator(task_id="start_model"))

    def stop(self) -> None:
        """Execute `stop_model`."""
        self.run.execute(StopModelOperator(task_id="stop_model"))

    def plan_and_analyse(self, status: str = "RUNNING") -> Analysed:
        """Start a new run with the model in a state: execute `plan_run` and one `analyse_images`."""
        self.plan()
        self.aws.put_model(status)
        now = datetime.now(UTC)
        self.run.started(now, now + timedelta(minutes=10))
        return self.analyse()

    def analyse(self) -> Analysed:
        """Execute one `analyse_images` to its end."""
        task = AnalyseImagesOperator(task_id="analyse_images", images_per_second=100)
        begun, error, tally = time.time(), "", dict[str, int]()
        try:
            tally = self.run.execute(task, self.run.context("analyse_images", map_index=0))
        except (AirflowException, DrainError) as failure:
            error = str(failure)
        ended, lines = time.time(), self.lines()
        answered = self.aws.model()["last_detect_at"]
        labelled = [_seconds(line["at"]) for line in lines if line["outcome"] == "labelled"]
        return Analysed(
            tally,
            error,
            ended - begun,
            ended - _seconds(answered) if answered else 0.0,
            ended - max(labelled) if labelled else 0.0,
            lines,
        )

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the run's journal."""
        return list(read_lines(self.aws.s3, self.aws.settings.final_bucket, self.run.run_id))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def upload(aws: Aws, count: int, picture: bytes, name: str = "good") -> list[str]:
    """Upload pictures with different bytes; return their keys."""
    keys = [f"line 3/{name}-{number}.png" for number in range(count)]
    for number, key in enumerate(keys):
        aws.s3.put_object(Bucket=aws.settings.source_bucket, Key=key, Body=picture + str(number).encode())
    aws.settle()
    return keys


def labelled(aws: Aws, keys: Iterable[str]) -> int:
    """The number of keys that have a label document and are gone from the source bucket."""
    sources, finals = {*aws.source_keys()}, aws.final_keys()
    return sum(_has_document(key, finals) and key not in sources for key in keys)


def _has_document(key: str, finals: list[str]) -> bool:
    stem = key.removesuffix(".png")
    return any(name.startswith(f"{stem}-") and name.endswith(".png.json") for name in finals)


def rejected(aws: Aws) -> int:
    """The number of rejected images and messages."""
    return sum(key.startswith("rejected/") and key.endswith(".json") for key in aws.final_keys())
