"""The watchdog, in a file of its own: it goes on when the pipelines' file no longer parses."""

from __future__ import annotations

from label_detection.dags import watchdog  # without the word airflow, Airflow would not parse this file

watchdog()
