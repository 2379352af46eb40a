"""The history of a model: how long its starts and its images took in earlier runs. One Airflow Variable per model.

Later runs use it for their plans. A history that cannot be read or written never fails a run.
"""

from __future__ import annotations

import logging

from airflow.sdk import Variable

from label_detection_core.model.history import HISTORY_PREFIX, History
from label_detection_core.model.lease import variable_name

log = logging.getLogger(__name__)


def read_history(model_arn: str) -> History:
    """The history of a model; an empty one when no run has written it, or when it cannot be read."""
    try:
        value = Variable.get(_name(model_arn), default=None)
        return History.model_validate_json(value) if value else History()
    except Exception as error:  # noqa: BLE001  # any error, also from a variable that a person has edited
        log.warning("cannot read the history of the model %s, continuing without it: %s", model_arn, error)
        return History()


def write_history(model_arn: str, history: History) -> None:
    """Write the history of a model, over the old one. An error is only logged."""
    try:
        Variable.set(
            _name(model_arn), history.model_dump_json(), description="How long a start and an image of this model take"
        )
    except Exception as error:  # noqa: BLE001  # as above
        log.warning("cannot write the history of the model %s: later plans do not know this run: %s", model_arn, error)


def _name(model_arn: str) -> str:
    return variable_name(HISTORY_PREFIX, model_arn)
