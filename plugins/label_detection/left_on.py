"""A model that a run has left on: how it is stopped, and how its lease ends."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from label_detection import lag, leases, ledger, notifications, sightings
from label_detection.hooks import switch
from label_detection.leases import TakenOverError
from label_detection.stopping import Stopping
from label_detection.waits import Waits
from label_detection_core.model.lease import Lease
from label_detection_core.run import notices

if TYPE_CHECKING:
    from airflow.sdk import DAG

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeftOn:
    """A lease that somebody else than its run must end. `why`: the reason, for the log and the notice."""

    lease: Lease
    why: str
    stopping: Stopping

    @classmethod
    def of(cls, lease: Lease, why: str, waits: Waits) -> LeftOn:
        """Take up a lease. Before each stop request, `stopping` checks that the lease has not changed."""

        def still_left() -> None:
            if leases.read_lease(lease.model_arn) != lease:
                raise TakenOverError

        return cls(lease, why, Stopping(lease.model, lease.aws_conn_id, waits, before_stop=still_left))

    def may_be_starting(self) -> bool:
        """Whether the model may be starting although Describe, which lags, returns it as off."""
        believed_at = lag.lags_until(self.lease.since, self.stopping.waits)
        return self.stopping.asked_at is None and datetime.now(UTC) < believed_at

    def finish(self, dag: DAG | None = None) -> dict[str, Any] | None:
        """Finish after the model is off. The lease is removed last: if this is killed, it is repeated.

        :param dag: the watchdog's DAG, which knows the channels of its pipelines. Without it, a notice goes to the
            lease's topic, and to the channels of the pipeline that the section configures.
        :return: the lease, `why`, and `stopped`, whether the model had to be stopped. None: the lease was only kept for
            a late start, and the model was off.
        :raises TakenOverError: when the lease has changed, and the model was not stopped here.
        """
        lease, was_on, is_stopped = self.lease, self.stopping.was_on, self.stopping.asked_at is not None
        taken_over = leases.read_lease(lease.model_arn) != lease
        if taken_over and not is_stopped:
            raise TakenOverError
        stopped = notices.Stopped(lease, self.why, is_stopped, datetime.now(UTC), notifications.base_url())
        log.log(logging.WARNING if was_on else logging.INFO, "%s", stopped)
        left = None if taken_over else switch.disarm(lease)
        ledger.end(lease, stopped.at, was_on=was_on)
        if lease.kept_for_late_start and not was_on:  # as expected: nothing to report
            leases.end_lease(lease)
            return None
        notifications.watchdog_acted(dag, stopped)
        leases.end_lease(lease, switch_left=left is not None)
        sightings.forget(lease)
        return {**lease.model_dump(mode="json"), "why": self.why, "stopped": is_stopped}
