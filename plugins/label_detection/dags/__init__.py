"""The DAGs, for a DAG file of two lines.

from label_detection.dags import labels  # Airflow parses files in which it finds the words airflow and dag
labels()
"""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from label_detection.configuration import read_pipelines
from label_detection.dags.backfill import backfill
from label_detection.dags.labelling import labelling
from label_detection.dags.watchdog import DAG_ID, watchdog

__all__ = ["labels", "watchdog"]


def labels(*, with_watchdog: bool = True) -> None:
    """The DAGs of each configured pipeline, in the DAG file that calls this; when a task reads the file, its own alone.

    :param with_watchdog: also the watchdog's. Without it, another DAG file must call `watchdog`: a file of its own goes
        on when the pipelines' file no longer parses.
    """
    wanted = get_parsing_context().dag_id
    for pipeline in read_pipelines():
        if wanted in {None, pipeline.dag_id}:
            labelling(pipeline)
        if wanted in {None, pipeline.backfill_dag_id}:
            backfill(pipeline)
    if with_watchdog and wanted in {None, DAG_ID}:
        watchdog()
