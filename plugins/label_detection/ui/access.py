"""Who may see what: Airflow's own login, and its own word on who may read which DAG's runs."""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, HTTPException, Query

from label_detection import configuration
from label_detection.docs import TAG
from label_detection.ui.airflow import Airflow, AirflowDep
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.settings import SECTION, Settings, SettingsError

#: On a path with `{dag_id}`: 401 without a login, 403 without the right to read that DAG's runs.
MAY_READ_RUNS = Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN))


def pipeline_of(dag_id: str, airflow: AirflowDep) -> Pipeline:
    """The pipeline whose images this very DAG labels, with the options that the DAG was made with.

    No other DAG's: who may read that one has not been asked about this pipeline.
    """
    pipeline = _pipeline(dag_id, airflow)
    if pipeline and dag_id == pipeline.backfill_dag_id:
        raise HTTPException(404, f"A backfill only announces pictures; they are in the runs of {pipeline.dag_id}.")
    if pipeline is None or dag_id != pipeline.dag_id:
        raise HTTPException(404, f"{dag_id} is not a DAG of label detection: it has no pictures.")
    return pipeline


def pipelines_of(airflow: Airflow) -> list[Pipeline]:
    """The pipelines whose DAGs the user may read, in the order of the DAGs' ids; none for one who may read no DAG."""
    try:
        dags = airflow.dags(TAG)
    except HTTPException as error:
        if error.status_code != 403:
            raise
        return []
    found = {dag["dag_id"]: _pipeline(dag["dag_id"], airflow) for dag in dags}
    return [pipeline for dag_id, pipeline in sorted(found.items()) if pipeline and dag_id == pipeline.dag_id]


def _pipeline(dag_id: str, airflow: Airflow) -> Pipeline | None:
    """The pipeline that a DAG is of; None: it is no pipeline's, or there is no such DAG."""
    try:
        default_args = airflow.dag_details(dag_id)["default_args"] or {}
    except HTTPException as error:
        if error.status_code != 404:
            raise
        return None
    return configuration.pipeline_of(default_args) if SECTION in default_args else None


def settings_of(pipeline: Annotated[Pipeline, Depends(pipeline_of)]) -> Settings:
    """Its options."""
    try:
        return pipeline.settings()
    except SettingsError as error:
        raise HTTPException(503, f"The configuration on the API server is not right:\n{error}") from None


SettingsDep = Annotated[Settings, Depends(settings_of)]
#: Airflow: a run's id has up to 250 characters.
RunId = Annotated[str, Query(min_length=1, max_length=250)]
