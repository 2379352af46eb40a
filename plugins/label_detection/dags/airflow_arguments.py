"""Arguments of the DAGs that follow the options, or Airflow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.configuration import conf
from airflow.utils.types import DagRunType

from label_detection_core.config.pipeline import Pipeline

#: How a run may begin. Not by Airflow's Backfill, which ignores max_active_runs: its runs would fight over the model.
RUN_TYPES: Any = [run_type for run_type in DagRunType if run_type is not DagRunType.BACKFILL_JOB]
#: No wait is longer than 12 hours, by the options' limits. As an execution_timeout it is right whether Airflow counts
#: the time of a deferral or not; the waits end themselves, each at its own time.
LONGER_THAN_ANY_WAIT = timedelta(hours=13)
#: A task that stops the model must not wait until those that analyse have ended.
_BESIDE_ANALYSIS = 1


def max_active_tasks(pipeline: Pipeline) -> int:
    """Room for all analysis tasks and the stop; not less than Airflow's default, since a run's params may want more."""
    usual: int = conf.getint("core", "max_active_tasks_per_dag")
    tasks: int = pipeline.option("max_tasks")
    return max(tasks + _BESIDE_ANALYSIS, usual)


def start_date(pipeline: Pipeline) -> datetime:
    """In the time zone of the schedule: Airflow takes a cron expression in that of the start date."""
    zone = pipeline.option("timezone")
    return datetime(2026, 1, 1, tzinfo=ZoneInfo(zone) if zone else None)  # None: Airflow's default_timezone
