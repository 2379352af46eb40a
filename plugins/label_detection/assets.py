"""The Airflow Assets that a run updates. Other DAGs can be scheduled on them, to start when there are new labels."""

from __future__ import annotations

from airflow.sdk import Asset

from label_detection_core.config.pipeline import Pipeline


def runs_of(pipeline: Pipeline) -> list[Asset]:
    """The Asset `s3://<final bucket>/runs` of a pipeline. An empty list while `final_bucket` is missing or wrong."""
    bucket = pipeline.right().get("final_bucket")
    return [Asset(f"s3://{bucket}/runs")] if bucket else []
