"""Stops the model of a run whose time is over, in the triggerer: it needs no worker, so it works when all are busy.

Airflow calls `stop_overdue_model` when a run has not ended in the time that its DAG allows it: a deadline alert.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from label_detection import leases, ledger, notifications
from label_detection.hooks import switch
from label_detection.leases import TakenOverError
from label_detection.stopping import Stopping
from label_detection.waits import Waits
from label_detection_core.run import notices

if TYPE_CHECKING:
    from label_detection_core.model.lease import Lease

log = logging.getLogger(__name__)

#: Reason of the stop, for the log and the notice.
_WHY = "its lease expired, and no worker has stopped the model; the triggerer did"
waits = Waits()


async def stop_overdue_model(context: dict[str, Any] | None = None) -> str:
    """Stop the model when the lease of the DAG's run has expired, and end the lease. Returns what it did.

    It waits while the lease is valid: a run's params may give it more time than the DAG's options. It does nothing when
    there is no lease: the run has stopped its model.

    :param context: Airflow's context of the callback, with the run as `dag_run`.
    """
    run = (context or {}).get("dag_run") or {}
    # Not in the thread that all sync calls of the triggerer share: a stop takes seconds to minutes.
    find = sync_to_async(_lease_of, thread_sensitive=False)
    stop = sync_to_async(_stop, thread_sensitive=False)
    while lease := await find(run.get("dag_id")):
        left = (lease.until - datetime.now(UTC)).total_seconds()
        if left <= 0:
            return await stop(lease)
        await asyncio.sleep(left)
    return "there is no lease: the model was stopped, or was never started"


def _lease_of(dag_id: str | None) -> Lease | None:
    """The lease of a run of this DAG. A DAG has one run at a time."""
    return next((lease for lease in leases.all_leases().leases if lease.dag_id == dag_id), None)


def _stop(lease: Lease) -> str:
    def still_left() -> None:
        if leases.read_lease(lease.model_arn) != lease:
            raise TakenOverError

    stopping = Stopping(lease.model, lease.aws_conn_id, waits, before_stop=still_left)
    try:
        stopping.until_off(lease.since)
        still_left()
    except TakenOverError:
        return "its lease was ended or replaced meanwhile"
    stopped = notices.Stopped(lease, _WHY, stopping.asked_at is not None, datetime.now(UTC), notifications.base_url())
    log.log(logging.WARNING if stopping.was_on else logging.INFO, "%s", stopped)
    left = switch.disarm(lease)
    ledger.end(lease, stopped.at, was_on=stopping.was_on)
    if stopping.was_on or not lease.kept_for_late_start:
        notifications.watchdog_acted(None, stopped)
    leases.end_lease(lease, switch_left=left is not None)
    return str(stopped)
