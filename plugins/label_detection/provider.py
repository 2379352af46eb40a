"""Provider information for Airflow, from the installed wheel: the provider's name, options, modules and links.

Airflow calls this module in every process while it reads its own configuration, so it must not import Airflow.
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
#: The modules that users may import in their own DAGs.
_MODULES = {
    "hooks": [f"label_detection.hooks.{service}" for service in ("rekognition", "sagemaker", "lookoutvision")],
    "operators": [f"label_detection.operators.{module}" for module in ("custom_model", "images")],
    "sensors": ["label_detection.sensors.model", "label_detection.sensors.sqs"],
    "triggers": ["label_detection.triggers.model", "label_detection.triggers.sqs"],
}
#: The distribution's name.
PACKAGE = "airflow-label-detection"


def get_provider_info() -> dict[str, Any]:
    """Airflow's entry point `apache_airflow_provider`, in the format of Airflow's `provider_info.schema.json`."""
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
    """The options, as Airflow lists them. No defaults here: `Settings` has them, for every source of options."""
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
