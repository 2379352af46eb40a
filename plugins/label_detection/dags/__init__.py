"""The DAGs, for a DAG file of two lines.

from label_detection.dags import labels  # Airflow parses files in which it finds the words airflow and dag
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
    """The DAGs of each configured pipeline, in the DAG file that calls this; when a task reads the file, its own alone.

    :param prefix: what the id of each DAG begins with: 1 to 100 letters of A-Z and a-z, digits, `_`, `-` or `.`. Each
        prefix has its own watchdog.
    :param with_watchdog: also the watchdog's. Without it, another DAG file must call `watchdog` with the same prefix: a
        file of its own goes on when the pipelines' file no longer parses.
    :param options: options of the section `[label_detection]`. They win over the pipelines' file, which wins over the
        section. What is wrong with one fails the first task of a run, with a line for each.
    :raises ValueError: when the prefix is wrong.
    """
    call, folder = _call(inspect.currentframe(), prefix, options)
    pipelines = read_pipelines(folder, call)
    for pipeline in pipelines:
        if _is_wanted(pipeline.dag_id):
            labelling(pipeline)
        if _is_wanted(pipeline.backfill_dag_id):
            backfill(pipeline)
    if with_watchdog:
        _watchdog(prefix, pipelines)


def watchdog(prefix: str = "", **options: Any) -> None:
    """The DAG that stops the models of a prefix's pipelines, for a DAG file of its own.

    :param prefix: that of `labels`.
    :param options: those of `labels`, of which `pipelines`, `sns_topic_arn` and `aws_conn_id` say who is told when it
        fails.
    :raises ValueError: when the prefix is wrong.
    """
    call, folder = _call(inspect.currentframe(), prefix, options)
    _watchdog(prefix, read_pipelines(folder, call))


def _watchdog(prefix: str, pipelines: Iterable[Pipeline]) -> None:
    if _is_wanted(f"{prefix}{WATCHDOG_DAG}"):
        watchdog_dag(prefix, pipelines)


def _is_wanted(dag_id: str) -> bool:
    """Whether Airflow reads the file for this DAG, or for all that are in it."""
    return get_parsing_context().dag_id in {None, dag_id}


def _call(frame: FrameType | None, prefix: str, options: dict[str, Any]) -> tuple[Call, Path]:
    """A call, and the DAG file's folder; `frame`: that of the function which the DAG file has called."""
    caller = frame.f_back if frame else None
    file = Path(caller.f_code.co_filename if caller else "")
    name = frame.f_code.co_name if frame else ""
    return Call(f"the call of {name}() in {file.name}", prefix, options), file.parent
