"""What Airflow learns from the installed wheel: the provider's name, its options and its links.

Airflow asks while it reads its own configuration, in every process: nothing here may import Airflow.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from label_detection_core.config.settings import SECTION, described_options

_LINKS = [
    *(
        f"label_detection.links.console.{link}Link"
        for link in ("Model", "Queue", "SourceBucket", "FinalBucket", "RunFolder")
    ),
    "label_detection.links.pages.PicturesLink",
]
#: The distribution's name.
PACKAGE = "airflow-label-detection"


def get_provider_info() -> dict[str, Any]:
    """Airflow's entry point `apache_airflow_provider`; shape: Airflow's `provider_info.schema.json`."""
    return {
        "package-name": PACKAGE,
        "name": "Label detection",
        "description": "Run a custom vision model over a stream of pictures, and never leave it on.",
        "versions": [version(PACKAGE)],
        "config": {SECTION: {"description": "Options of the pipelines.", "options": _options()}},
        "extra-links": _LINKS,
    }


def _options() -> dict[str, Any]:
    """The options as Airflow lists them. Without defaults there: the defaults are in `Settings`, for every source."""
    return {
        option: {
            "description": description,
            "version_added": None,
            "type": "string",
            "example": None,
            "default": None,
        }
        for option, description in described_options().items()
    }
