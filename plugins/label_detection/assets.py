"""Airflow's Assets: what other DAGs are scheduled by, when there are labels."""

from __future__ import annotations

from airflow.sdk import Asset

from label_detection_core.config.pipeline import Pipeline


def runs_of(pipeline: Pipeline) -> list[Asset]:
    """`s3://<final bucket>/runs`: a pipeline's runs. None while its final bucket is missing or wrong."""
    bucket = pipeline.right().get("final_bucket")
    return [Asset(f"s3://{bucket}/runs")] if bucket else []
