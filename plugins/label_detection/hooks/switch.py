"""The dead man's switch: a one-time EventBridge schedule that stops a model even if Airflow is down."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from label_detection.hooks.clients import aws_hook, brief_config
from label_detection.hooks.model import ModelHook
from label_detection_core.model.lease import Lease

if TYPE_CHECKING:
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

log = logging.getLogger(__name__)

_GONE = "it has fired, or was never made, or an earlier try has removed it"

#: A service refuses to stop a model that is still starting when the switch fires, so EventBridge Scheduler retries for
#: an hour. Not longer: a late retry must not stop the model of a run hours later. AWS: 60-86,400 s, at most 185
#: attempts, with back-off.
_RETRIES = {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 185}


def switch_name(lease: Lease) -> str:
    """The name of the lease's schedule. AWS: at most 64 characters of [0-9a-zA-Z-_.].

    Each lease has its own, also if a run is cleared and takes a new one: a request to remove the switch of an earlier
    lease may arrive late, and must not remove this one.
    """
    since = lease.since.astimezone(UTC).isoformat()
    return _name("\n".join((lease.model_arn, lease.dag_id, lease.run_id, since)))


def arm(lease: Lease, hook: ModelHook, role_arn: str) -> str | None:
    """Create the switch for a lease, or set it to the end of this lease.

    :return: a warning when this failed, else None. The run must not fail because of its switch.
    """
    try:
        _put(_client(lease), lease, hook, role_arn)
    except Exception as error:  # noqa: BLE001  # any error: a safety net must never end the run
        return _said(f"there is no dead man's switch for this run: {error}")
    log.info("the dead man's switch %s is set to %s", switch_name(lease), lease.until)
    return None


def disarm(lease: Lease) -> str | None:
    """Remove the switch of a lease, if it has one. :return: a warning when this failed, else None."""
    if not lease.dead_man_switch:
        return None
    names = [switch_name(lease)]
    if lease.may_be_of_1_0:  # version 1.0.0 had one name per model
        names.append(_name(lease.model_arn))
    return "; ".join(warning for name in names if (warning := _remove(lease, name))) or None


def _name(text: str) -> str:
    return f"label-detection-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _remove(lease: Lease, name: str) -> str | None:
    try:
        scheduler = _client(lease)
        try:
            scheduler.delete_schedule(Name=name)
        except scheduler.exceptions.ResourceNotFoundException:
            log.info("the dead man's switch %s was gone: %s", name, _GONE)
            return None
    except Exception as error:  # noqa: BLE001  # as above
        left = "could not be removed, and stops the model at its time if it is there"
        return _said(f"the dead man's switch {name} {left}: {error}")
    log.info("the dead man's switch %s is removed", name)
    return None


def _put(scheduler: EventBridgeSchedulerClient, lease: Lease, hook: ModelHook, role_arn: str) -> None:
    target = hook.stop_target()
    at = datetime.fromtimestamp(math.ceil(lease.until.timestamp()), UTC)  # AWS: whole seconds
    # UpdateSchedule resets each field that the request omits, so both requests have all fields.
    schedule: dict[str, Any] = {
        "Name": switch_name(lease),
        "Description": f"Stops {lease.model_arn} unless DAG {lease.dag_id} has stopped it"[:512],
        "ScheduleExpression": f"at({at:%Y-%m-%dT%H:%M:%S})",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "State": "ENABLED",
        "Target": {
            "Arn": target.arn,
            "RoleArn": role_arn,
            "Input": json.dumps(target.input),
            "RetryPolicy": _RETRIES,
        },
    }
    try:
        scheduler.create_schedule(**schedule)
    except scheduler.exceptions.ConflictException:  # an earlier try of the task, or the first attempt of this request
        scheduler.update_schedule(**schedule)


def _client(lease: Lease) -> EventBridgeSchedulerClient:
    hook = aws_hook("scheduler", lease.aws_conn_id, lease.model.region, config=brief_config())
    client: EventBridgeSchedulerClient = hook.conn
    return client


def _said(warning: str) -> str:
    log.error("%s", warning)
    return warning
