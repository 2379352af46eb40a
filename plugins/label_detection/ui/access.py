"""Who may see what: Airflow's own login, and its own word on who may read which DAG's runs."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, HTTPException, Query

from label_detection.configuration import read_pipelines
from label_detection_core.config.pipelines import LABELS_DAG, Pipeline
from label_detection_core.config.settings import Settings, SettingsError

#: On a path with `{dag_id}`: 401 without a login, 403 without the right to read that DAG's runs.
MAY_READ_RUNS = Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN))


def pipeline_of(dag_id: str) -> Pipeline:
    """The pipeline whose images this very DAG labels, as it is configured now.

    No other DAG's: who may read that one has not been asked about this pipeline.
    """
    pipelines = read_pipelines()
    for pipeline in pipelines:
        if dag_id == pipeline.dag_id:
            return pipeline
        if dag_id == pipeline.backfill_dag_id:
            raise HTTPException(404, f"A backfill only announces pictures; they are in the runs of {pipeline.dag_id}.")
    broken = pipelines.all[0].unreadable
    if broken and dag_id.startswith(LABELS_DAG):
        raise HTTPException(503, f"The pipelines cannot be read on the API server: {broken}")
    raise HTTPException(404, f"{dag_id} is not a DAG of label detection, as it is configured now: it has no pictures.")


def settings_of(pipeline: Annotated[Pipeline, Depends(pipeline_of)]) -> Settings:
    """Its options."""
    try:
        return pipeline.settings()
    except SettingsError as error:
        raise HTTPException(503, f"The configuration on the API server is not right:\n{error}") from None


SettingsDep = Annotated[Settings, Depends(settings_of)]
#: Airflow: a run's id has up to 250 characters.
RunId = Annotated[str, Query(min_length=1, max_length=250)]
