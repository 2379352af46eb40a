"""Remembers, in one Airflow Variable per DAG, that a series of failed runs has sent its notice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk import Variable

from label_detection_core.model.lease import variable_name
from label_detection_core.stored import Stored

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_PREFIX = "label_detection_series."


class Series(Stored):
    """A series of failed runs. `run_id`: the first of them, which sent the notice."""

    run_id: str


def series_name(dag_id: str) -> str:
    """The name of the Variable of a DAG's series."""
    return variable_name(_PREFIX, dag_id)


def has_notice(context: Context) -> bool:
    """Whether an earlier run of the series sent its notice. If not, this run begins a series. An error counts as no."""
    ti, name = context["ti"], series_name(context["ti"].dag_id)
    try:
        text = Variable.get(name, default=None)
        first = Series.parse(text.encode()) if text else None
        if first is None:
            begun = Series(run_id=ti.run_id).model_dump_json()
            Variable.set(name, begun, description="The first failed run of a series: the later ones send no notice")
    except Exception:  # a notice too many is better than none
        log.exception("the series of failed runs is not known")
        return False
    return first is not None and first.run_id != ti.run_id


def end(context: Context) -> None:
    """A run of the DAG succeeded: the next failure begins a new series. An error is only logged."""
    name = series_name(context["ti"].dag_id)
    try:
        if Variable.get(name, default=None):
            Variable.delete(name)
    except Exception:  # as above
        log.exception("the series of failed runs could not be ended: the next failure sends no notice")
