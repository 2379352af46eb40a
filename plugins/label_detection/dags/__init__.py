"""Makes the DAGs. A DAG file needs two lines:

from label_detection.dags import labels  # Airflow parses a file only if it contains the texts airflow and dag
labels()
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from airflow.sdk import get_parsing_context

from label_detection.configuration import read_pipelines
from label_detection.dags.backfill import backfill
from label_detection.dags.labelling import labelling
from label_detection.dags.watchdog import watchdog as watchdog_dag
from label_detection_core.config.pipeline import WATCHDOG_DAG, Pipeline
from label_detection_core.config.pipelines import Call

__all__ = ["labels", "watchdog"]


def labels(prefix: str = "", *, with_watchdog: bool = True, **options: Any) -> None:
    """Make the DAGs of all configured pipelines in the calling DAG file. For a task, make only the task's own DAG.

    :param prefix: prefix of all DAG ids: 1 to 100 letters A-Z and a-z, digits, `_`, `-` or `.`. Each prefix has its own
        watchdog.
    :param with_watchdog: whether to make the watchdog DAG too. If False, another DAG file must call `watchdog` with the
        same prefix. The watchdog in a separate file still works when the pipelines' file no longer parses.
    :param options: options of the section `[label_detection]`. They override the pipelines' file, which overrides the
        section. Wrong options fail the first task of a run, with one line per option.
    :raises ValueError: when the prefix is wrong.
    """
    call, folder = _call(inspect.currentframe(), prefix, options)
    pipelines = read_pipelines(folder, call)
    if with_watchdog:  # first: no error of a pipeline may take it away
        _watchdog(prefix, pipelines)
    for pipeline in pipelines:
        if _is_wanted(pipeline.dag_id):
            labelling(pipeline)
        if _is_wanted(pipeline.backfill_dag_id):
            backfill(pipeline)


def watchdog(prefix: str = "", **options: Any) -> None:
    """Make the watchdog DAG, in a separate DAG file. It stops models that the pipelines of a prefix have left on.

    :param prefix: the prefix of the `labels` call.
    :param options: the options of the `labels` call. Of these, `pipelines`, `sns_topic_arn` and `aws_conn_id` set where
        a notice goes when the watchdog fails.
    :raises ValueError: when the prefix is wrong.
    """
    call, folder = _call(inspect.currentframe(), prefix, options)
    _watchdog(prefix, read_pipelines(folder, call))


def _watchdog(prefix: str, pipelines: Iterable[Pipeline]) -> None:
    if _is_wanted(f"{prefix}{WATCHDOG_DAG}"):
        watchdog_dag(prefix, pipelines)


def _is_wanted(dag_id: str) -> bool:
    """Whether Airflow parses the file for this DAG, or for all DAGs in it."""
    return get_parsing_context().dag_id in {None, dag_id}


def _call(frame: FrameType | None, prefix: str, options: dict[str, Any]) -> tuple[Call, Path]:
    """The call in the DAG file, and the folder of the DAG file. `frame`: of the function that the DAG file calls."""
    caller = frame.f_back if frame else None
    file = Path(caller.f_code.co_filename if caller else "")
    name = frame.f_code.co_name if frame else ""
    return Call(f"the call of {name}() in {file.name}", prefix, options), file.parent
