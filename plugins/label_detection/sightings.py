"""Remembers what the watchdog saw of a run whose tasks only wait, in one Airflow Variable per model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from airflow.sdk import Variable

from label_detection_core.model.at_work import SEEN_PREFIX, Seen, seen_still
from label_detection_core.model.lease import Lease, variable_name

log = logging.getLogger(__name__)


def still_for(lease: Lease, tasks: Mapping[str, str | None]) -> timedelta:
    """For how long the watchdog has seen the tasks of a run wait without any change. An error is only logged.

    :param tasks: task id → Airflow's state, now.
    """
    now = datetime.now(UTC)
    try:
        before = _read(lease)
        after = seen_still(before, lease.run_id, tasks, now)
        if after is None:
            forget(lease)
            return timedelta(0)
        if after != before:
            description = "What the watchdog saw of a run whose tasks wait"
            Variable.set(_name(lease), after.model_dump_json(), description=description)
    except Exception as error:  # noqa: BLE001  # the watchdog must go on
        log.warning("%s: what the watchdog saw before is not known: %s", lease.model_arn, error)
        return timedelta(0)
    return now - after.since


def forget(lease: Lease) -> None:
    """Delete the Variable of a lease's model, if there is one. An error is only logged."""
    try:
        if Variable.get(_name(lease), default=None):
            Variable.delete(_name(lease))
    except Exception as error:  # noqa: BLE001  # as above
        log.warning("%s: what the watchdog saw could not be deleted: %s", lease.model_arn, error)


def _read(lease: Lease) -> Seen | None:
    text = Variable.get(_name(lease), default=None)
    return Seen.parse(text.encode()) if text else None


def _name(lease: Lease) -> str:
    return variable_name(SEEN_PREFIX, lease.model_arn)
