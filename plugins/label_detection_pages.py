"""The pages, for an Airflow that has the folders and no wheel: it loads what stands directly in its plugins folder."""

from __future__ import annotations

from label_detection.ui.plugin import LabelDetectionPages

__all__ = ["LabelDetectionPages"]
