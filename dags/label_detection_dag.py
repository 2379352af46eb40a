"""The labelling and backfill DAGs of all pipelines in Airflow's configuration."""

from __future__ import annotations

from label_detection.dags import labels  # Airflow parses a file only if it contains the text airflow

labels(with_watchdog=False)
