"""What runs have seen of a model, for those that come after: an Airflow Variable for each model.

It is a convenience: no run fails because it cannot be read or written.
"""

from __future__ import annotations

import logging

from airflow.sdk import Variable

from label_detection_core.model.history import HISTORY_PREFIX, History
from label_detection_core.model.lease import variable_name

log = logging.getLogger(__name__)


def read_history(model_arn: str) -> History:
    """What earlier runs have seen of a model; nothing, when there were none."""
    try:
        value = Variable.get(_name(model_arn), default=None)
        return History.model_validate_json(value) if value else History()
    except Exception as error:  # noqa: BLE001  # whatever it is, also a variable that somebody has edited
        log.warning("what earlier runs have seen of the model is not known: %s", error)
        return History()


def write_history(model_arn: str, history: History) -> None:
    """Keep it, instead of what was there."""
    try:
        Variable.set(
            _name(model_arn), history.model_dump_json(), description="How long the model starts and an image takes"
        )
    except Exception as error:  # noqa: BLE001  # as above
        log.warning("what this run has seen of the model is not kept: %s", error)


def _name(model_arn: str) -> str:
    return variable_name(HISTORY_PREFIX, model_arn)
