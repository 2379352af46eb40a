"""Who holds the model, until when: one JSON value per model, found without the run that took it."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from pydantic import AwareDatetime, ConfigDict, ValidationError

from label_detection_core.config.model_kinds import NamesModel
from label_detection_core.config.pipeline import WATCHDOG_DAG

#: What the names of all leases begin with.
LEASE_PREFIX = "label_detection_lease."
#: A watchdog looks every ten minutes, and stops a model within eight. What is still there after three looks seems to
#: have none that can stop it.
_ABANDONED = timedelta(minutes=30)
#: Airflow: the longest key of a Variable. AWS: a project's and a version's name have up to 255 characters each.
_NAME_LIMIT = 250


class Lease(NamesModel):
    """A run's claim to a model that it switches on, and off by `until`; with all that is needed to do so without it."""

    model_config = ConfigDict(frozen=True)

    model_arn: str
    dag_id: str
    run_id: str
    since: AwareDatetime
    until: AwareDatetime
    units: int
    aws_conn_id: str = "aws_default"
    sns_topic_arn: str | None = None
    dead_man_switch: bool = False  # whether one was to be made, or an earlier run left one
    start_asked: bool = False  # whether the holder has asked for the model since, or was about to
    watchdog_dag_id: str = WATCHDOG_DAG  # the one that acts on it; leases of earlier versions name none

    def is_of(self, dag_id: str, run_id: str) -> bool:
        """Whether it is this run's."""
        return (self.dag_id, self.run_id) == (dag_id, run_id)

    def held_against(self, dag_id: str, now: datetime) -> bool:
        """Whether another DAG than `dag_id` holds the model now. A run takes its predecessor's place."""
        return self.dag_id != dag_id and not self.has_expired(now)

    def has_expired(self, now: datetime) -> bool:
        """Whether the model must be off by now."""
        return now >= self.until

    def seems_abandoned(self, now: datetime) -> bool:
        """Whether the watchdog that it names has not acted: it is paused, broken or was never there, or it cannot."""
        return now >= self.until + _ABANDONED


def lease_of(name: str, text: str) -> Lease:
    """The lease that is stored under a name. :raises ValueError: when it is none: somebody has edited it."""
    try:
        lease = Lease.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"the variable {name} is not a lease: {where} {first['msg']}".replace("  ", " ")) from None
    if lease_name(lease.model_arn) != name:
        raise ValueError(f"the variable {name} is not a lease: it is for another model, {lease.model_arn}")
    return lease


def watchdog_of(text: str) -> str | None:
    """The DAG of the watchdog that a stored lease names, also one that is broken otherwise; None: it names none."""
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = stored.get("watchdog_dag_id", WATCHDOG_DAG) if isinstance(stored, dict) else None
    return found if isinstance(found, str) else None


def lease_name(model_arn: str) -> str:
    """The name that a model's lease is kept under."""
    return variable_name(LEASE_PREFIX, model_arn)


def variable_name(prefix: str, model_arn: str) -> str:
    """The name of a Variable about a model: letters, digits, dots, hyphens and underscores."""
    kept = (c if c.isalnum() or c in "-_." else "." for c in model_arn.split(":", 5)[-1])
    name = prefix + "".join(kept)
    if len(name) <= _NAME_LIMIT and ":rekognition:" in model_arn:
        return name  # it ends in digits of its own; other models have names that another Region may have too
    digest = hashlib.sha256(model_arn.encode()).hexdigest()[:32]
    return f"{name[: _NAME_LIMIT - len(digest) - 1]}.{digest}"


def lease_until(since: datetime, max_model_minutes: float, grace_minutes: float) -> datetime:
    """When a lease that starts at `since` ends by itself: the deadline, and what a run may need to end after it."""
    return since + timedelta(minutes=max_model_minutes + grace_minutes)
