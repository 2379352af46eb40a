"""Access to the pages: by Airflow's login, and by Airflow's permission to read the runs of a DAG."""

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

#: For paths with `{dag_id}`. It answers 401 without a login, and 403 without the permission to read the DAG's runs.
MAY_READ_RUNS = Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN))


def pipeline_of(dag_id: str, airflow: AirflowDep) -> Pipeline:
    """The pipeline whose pictures this DAG labels, with the options of the DAG.

    Other DAGs of the pipeline, such as its backfill, are refused: the permission was checked for `dag_id` alone.

    :raises HTTPException: 404 when the DAG labels no pictures.
    """
    pipeline = _pipeline(dag_id, airflow)
    if pipeline and dag_id == pipeline.backfill_dag_id:
        raise HTTPException(404, f"{dag_id} only announces pictures. Open a run of {pipeline.dag_id} to see them.")
    if pipeline is None or dag_id != pipeline.dag_id:
        raise HTTPException(404, f"{dag_id} is not a DAG that labels pictures. Open a run of a DAG that does.")
    return pipeline


def pipelines_of(airflow: Airflow) -> list[Pipeline]:
    """The pipelines whose DAGs the user may read, sorted by DAG id; empty when the user may read no DAG."""
    try:
        dags = airflow.dags(TAG)
    except HTTPException as error:
        if error.status_code != 403:
            raise
        return []
    found = {dag["dag_id"]: _pipeline(dag["dag_id"], airflow) for dag in dags}
    return [pipeline for dag_id, pipeline in sorted(found.items()) if pipeline and dag_id == pipeline.dag_id]


def _pipeline(dag_id: str, airflow: Airflow) -> Pipeline | None:
    """The pipeline of a DAG; None when the DAG does not exist or belongs to no pipeline."""
    try:
        default_args = airflow.dag_details(dag_id)["default_args"] or {}
    except HTTPException as error:
        if error.status_code != 404:
            raise
        return None
    return configuration.pipeline_of(default_args) if SECTION in default_args else None


def settings_of(pipeline: Annotated[Pipeline, Depends(pipeline_of)]) -> Settings:
    """The options of the pipeline.

    :raises HTTPException: 503 when an option is wrong.
    """
    try:
        return pipeline.settings()
    except SettingsError as error:
        raise HTTPException(503, f"The configuration of the API server is wrong:\n{error}") from None


SettingsDep = Annotated[Settings, Depends(settings_of)]
#: Airflow: a run id has at most 250 characters.
RunId = Annotated[str, Query(min_length=1, max_length=250)]
