"""The schedule of a pipeline's DAG: times, and the start rule of its queue."""

from __future__ import annotations

from typing import Any

from airflow.sdk import (
    Asset,
    AssetOrTimeSchedule,
    AssetWatcher,
    CronTriggerTimetable,
    MultipleCronTriggerTimetable,
)

from label_detection.configuration import zone_of
from label_detection.triggers.sqs import StartRuleTrigger
from label_detection.variables import LISTS_NAMES
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.settings import SettingsError

#: Schedules that are no cron expressions: with them, `watch_queue` changes nothing.
_WITHOUT_WATCHER = {"@once", "@continuous"}
#: On Airflow 3.2, a run looks at the queue this often instead.
_OFTEN = "*/10 * * * *"


def schedule_of(pipeline: Pipeline) -> Any:
    """The schedule of a pipeline's DAG: its times, and with `watch_queue` also the queue's start rule.

    Options that are wrong leave the times alone: the first task of a run shows the error.
    """
    times = pipeline.schedule()
    if not pipeline.option("watch_queue") or times in _WITHOUT_WATCHER:
        return times
    zone = zone_of(pipeline.option("timezone"))
    if not LISTS_NAMES:  # Airflow 3.2, where a watcher could block the triggerer
        return MultipleCronTriggerTimetable(*([times] if times else []), _OFTEN, timezone=zone)
    try:
        queue = _watched(pipeline)
    except (SettingsError, ValueError):  # also a URL that Airflow refuses as a URI
        return times
    if times is None:
        return [queue]
    return AssetOrTimeSchedule(timetable=CronTriggerTimetable(times, timezone=zone), assets=[queue])


def _watched(pipeline: Pipeline) -> Asset:
    settings = pipeline.settings()
    trigger = StartRuleTrigger(
        queue_url=settings.queue_url,
        model_arn=settings.model_arn,
        images=settings.start_at_images,
        minutes=settings.start_at_minutes,
        aws_conn_id=settings.aws_conn_id,
        region_name=settings.region,
    )
    name = f"{pipeline.dag_id}: images wait"
    return Asset(name=name, uri=settings.queue_url, watchers=[AssetWatcher(name=name, trigger=trigger)])
