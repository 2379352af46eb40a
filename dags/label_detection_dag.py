"""The pipelines that Airflow's configuration names, and a backfill of each."""

from __future__ import annotations

from label_detection.dags import labels  # without the word airflow, Airflow would not parse this file

labels(with_watchdog=False)
