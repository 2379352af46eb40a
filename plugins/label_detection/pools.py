"""Airflow pools that do not exist. Airflow never runs a task of such a pool, and a task cannot ask for pools.

So the scheduler, by way of `listener`, names them in an Airflow Variable when a run begins, and the run's first task
fails with one line.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException

from label_detection.configuration import option_place
from label_detection_core.model.lease import variable_name

if TYPE_CHECKING:
    from airflow.sdk import Context

DESCRIPTION = "Pools of a DAG's tasks that do not exist: task → pool"
_PREFIX = "label_detection_missing_pools."


def missing_pools_name(dag_id: str) -> str:
    """The name of the Variable for a DAG: a JSON object, task → pool. There is none while all pools exist."""
    return variable_name(_PREFIX, dag_id)


def check_pools(context: Context) -> None:
    """Check that the pools of the run's tasks existed when the run began.

    :raises AirflowFailException: with one line per task whose pool did not exist. A retry would not help.
    """
    text = Variable.get(missing_pools_name(context["ti"].dag_id), default=None)
    if text:
        place = option_place(context)
        raise AirflowFailException(
            "\n".join(
                f"{place.name('analysis_pool') if task == 'analyse_images' else task}: Airflow has no pool {pool!r}; "
                f"create it (airflow pools set '{pool}' 4 label-detection), or set {place.where('analysis_pool')}"
                for task, pool in json.loads(text).items()
            )
        )
