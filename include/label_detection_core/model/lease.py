"""The lease on a model: which run holds it, and until when. One JSON value per model, readable without that run."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from pydantic import AwareDatetime, ConfigDict, ValidationError

from label_detection_core.config.model_types import NamesModel
from label_detection_core.config.pipeline import WATCHDOG_DAG

#: The prefix of the Airflow Variables that keep leases.
LEASE_PREFIX = "label_detection_lease."
#: The watchdog runs every ten minutes and needs at most eight to stop a model. If a lease still exists after three of
#: its runs, probably no watchdog can stop the model.
_ABANDONED = timedelta(minutes=30)
#: A start request that arrives later than this after the stop of its run is not expected.
_LATE = timedelta(minutes=10)
#: Airflow: the longest key of a Variable. It can be too short: AWS allows 255 characters each for project and version.
_NAME_LIMIT = 250


class Lease(NamesModel):
    """The lease of a run on a model: the run must stop it by `until`. Others can stop it with the lease alone."""

    model_config = ConfigDict(frozen=True)

    model_arn: str
    dag_id: str
    run_id: str
    since: AwareDatetime
    until: AwareDatetime
    units: int
    aws_conn_id: str = "aws_default"
    sns_topic_arn: str | None = None
    # Whether a switch was made for this lease, or is about to be. Version 1.0.0: also whether an earlier run left one.
    dead_man_switch: bool = False
    start_asked: bool = False  # whether the run has sent the start request, or is about to
    watchdog_dag_id: str = WATCHDOG_DAG  # the watchdog for this lease; leases of earlier versions lack this field
    # Whether the run has ended and found the model off, but its start request may still arrive. New in 1.1.
    kept_for_late_start: bool = False

    def is_of(self, dag_id: str, run_id: str) -> bool:
        """Whether this run holds the lease."""
        return (self.dag_id, self.run_id) == (dag_id, run_id)

    @property
    def may_be_of_1_0(self) -> bool:
        """Whether version 1.0.0 may have made the lease, and its switch. A lease that is kept now may be older."""
        return self.kept_for_late_start or "kept_for_late_start" not in self.model_fields_set

    def held_against(self, dag_id: str, now: datetime) -> bool:
        """Whether another DAG holds the model now. A run may take over the lease of an earlier run of the same DAG."""
        return self.dag_id != dag_id and not self.has_expired(now) and not self.kept_for_late_start

    def kept(self, now: datetime) -> Lease:
        """Return the lease as its run leaves it when it found the model off, but its start may still arrive."""
        return self.model_copy(update={"until": now + _LATE, "kept_for_late_start": True})

    def has_expired(self, now: datetime) -> bool:
        """Whether the model must be off by now."""
        return now >= self.until

    def seems_abandoned(self, now: datetime) -> bool:
        """Whether the watchdog has not acted on the expired lease: it is paused, broken or missing, or it fails."""
        return now >= self.until + _ABANDONED


def lease_of(name: str, text: str) -> Lease:
    """Read the lease in the Variable `name`. :raises ValueError: when the text is not a lease of that name."""
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
    """Return the watchdog DAG id in a stored lease, even if the rest is invalid; None if it cannot be read."""
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = stored.get("watchdog_dag_id", WATCHDOG_DAG) if isinstance(stored, dict) else None
    return found if isinstance(found, str) else None


def lease_name(model_arn: str) -> str:
    """Return the name of the Variable that keeps the lease on a model."""
    return variable_name(LEASE_PREFIX, model_arn)


def variable_name(prefix: str, model_arn: str) -> str:
    """Return the name of a Variable about a model, made of letters, digits, dots, hyphens and underscores."""
    kept = (c if c.isalnum() or c in "-_." else "." for c in model_arn.split(":", 5)[-1])
    name = prefix + "".join(kept)
    if len(name) <= _NAME_LIMIT and ":rekognition:" in model_arn:
        return name  # unique: it ends with its own number. Other models may have one name in two Regions
    digest = hashlib.sha256(model_arn.encode()).hexdigest()[:32]
    return f"{name[: _NAME_LIMIT - len(digest) - 1]}.{digest}"


def lease_until(since: datetime, max_model_minutes: float, grace_minutes: float) -> datetime:
    """Return when a lease expires: after the model's time and the minutes that the run needs to end."""
    return since + timedelta(minutes=max_model_minutes + grace_minutes)
