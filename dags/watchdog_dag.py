"""The watchdog DAG, in a separate file, so that it still works when the pipelines' file no longer parses."""

from __future__ import annotations

from label_detection.dags import watchdog  # Airflow parses a file only if it contains the text airflow

watchdog()
