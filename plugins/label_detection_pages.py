"""The UI pages, for an installation without the wheel: Airflow loads only the files directly in its plugins folder."""

from __future__ import annotations

from label_detection.ui.plugin import LabelDetectionPages

__all__ = ["LabelDetectionPages"]
