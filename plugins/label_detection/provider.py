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
_NAME = "Label detection"
#: What a DAG of somebody else's may use.
_MODULES = {
    "hooks": [f"label_detection.hooks.{service}" for service in ("rekognition", "sagemaker", "lookoutvision")],
    "operators": [f"label_detection.operators.{module}" for module in ("custom_model", "images")],
    "sensors": ["label_detection.sensors.model", "label_detection.sensors.sqs"],
    "triggers": ["label_detection.triggers.model", "label_detection.triggers.sqs"],
}
#: The distribution's name.
PACKAGE = "airflow-label-detection"


def get_provider_info() -> dict[str, Any]:
    """Airflow's entry point `apache_airflow_provider`; shape: Airflow's `provider_info.schema.json`."""
    return {
        "package-name": PACKAGE,
        "name": _NAME,
        "description": "Run a custom vision model over a stream of pictures, and never leave it on.",
        "versions": [version(PACKAGE)],
        "config": {SECTION: {"description": "Options of the pipelines.", "options": _options()}},
        "integrations": [{"integration-name": _NAME, "tags": ["aws"]}],
        **{kind: [{"integration-name": _NAME, "python-modules": modules}] for kind, modules in _MODULES.items()},
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
