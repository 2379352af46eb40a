"""DAG arguments that depend on the options or on Airflow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.configuration import conf
from airflow.utils.types import DagRunType

from label_detection_core.config.pipeline import Pipeline

#: Allowed run types. Not Airflow's Backfill, which ignores max_active_runs: its runs would use one model in parallel.
RUN_TYPES: Any = [run_type for run_type in DagRunType if run_type is not DagRunType.BACKFILL_JOB]
#: An execution_timeout longer than any wait: the options allow at most 12 hours. It fits whether or not Airflow counts
#: the time of a deferral. Each wait has its own, shorter limit.
LONGER_THAN_ANY_WAIT = timedelta(hours=13)
#: One more task slot, so that stop_model never waits for the analysis tasks.
_BESIDE_ANALYSIS = 1


def max_active_tasks(pipeline: Pipeline) -> int:
    """Enough for all analysis tasks and the stop. At least Airflow's default, because a run's params may raise it."""
    usual: int = conf.getint("core", "max_active_tasks_per_dag")
    tasks: int = pipeline.option("max_tasks")
    return max(tasks + _BESIDE_ANALYSIS, usual)


def start_date(pipeline: Pipeline) -> datetime:
    """The start date, in the time zone of the schedule: Airflow evaluates cron in the time zone of the start date."""
    zone = pipeline.option("timezone")
    return datetime(2026, 1, 1, tzinfo=ZoneInfo(zone) if zone else None)  # None: Airflow's default_timezone


def analysis_place(pipeline: Pipeline) -> dict[str, Any]:
    """`pool` and `queue` of the analysis tasks, as far as they are configured."""
    found = {"pool": pipeline.option("analysis_pool"), "queue": pipeline.option("analysis_queue")}
    return {argument: value for argument, value in found.items() if value}


def control_place(*pipelines: Pipeline) -> dict[str, Any]:
    """`queue` of the tasks between the start of a model and its stop: of the first pipeline that has one."""
    queues = (pipeline.option("control_queue") for pipeline in pipelines)
    return next(({"queue": queue} for queue in queues if queue), {})
