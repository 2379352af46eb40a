"""The operator of the watchdog: stops models that a run has left on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError

from label_detection import leases, sightings
from label_detection.hooks.clients import brief_config
from label_detection.hooks.model import hook_for
from label_detection.leases import TakenOverError
from label_detection.left_on import LeftOn
from label_detection.waits import Waits
from label_detection_core.model.at_work import IDLE, why_left
from label_detection_core.model.lease import Lease
from label_detection_core.run import notices

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Seconds after which the task ends in any case, before its execution_timeout of 15 minutes.
_WHOLE_SECONDS = 840.0
#: Leases that it looks after at a time, each in a thread.
_AT_ONCE = 64


class StopExpiredModelsOperator(BaseOperator):
    """
    Checks every lease that names this watchdog. A lease records which run holds which model, and until when. It also
    checks leases of other watchdogs that expired half an hour ago or earlier, because those watchdogs seem not to run.

    It acts on a lease that has expired, or whose run was deleted or has ended without ending the lease. It also acts if
    no task of the run was active for two minutes and none will be: the DAG is paused, its file is broken, or only
    `stop_model` is left and gets no worker. If other tasks wait for a worker or for their retry, it waits for 20
    minutes without any change. It **stops** the model and removes the lease and its dead man's switch. Which run left
    the model, and since when, is in its log, in a notice to `sns_topic_arn`, and in its return value. It never stops
    the model of a run that is at work within its lease, and never a model without a lease.

    A run that found the model off, although its start request may still arrive, leaves its lease for ten minutes. The
    watchdog stops the model if it is on in that time, and then removes the lease without a notice.

    It needs no configuration: the lease has all that it needs. It calls AWS only if there is something to do.

    **When it is red: a model may be running and costs money.** Its log has a line for each model that it could not
    stop, with AWS's error and the command that stops the model manually: run it now. The watchdog tries again in ten
    minutes. A Variable that "is not a lease" was edited: check that its model is off, then delete the Variable.
    """

    waits = Waits()

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """One dict per lease that it acted on: the lease, `why`, and `stopped`, whether the model had to be stopped."""
        began = time.monotonic()
        end = began + _WHOLE_SECONDS
        found = leases.all_leases(context["ti"].dag_id)
        trouble, theirs = list(found.problems), list[str]()
        with ThreadPoolExecutor(_AT_ONCE) as threads:  # so that no model waits for another one's service
            ours = threads.map(lambda lease: self._attend(context, lease, trouble, end), found.leases)
            others = threads.map(lambda lease: self._stop_abandoned(lease, theirs, end), found.abandoned)
            acted = [one for one in (*ours, *others) if one]
        for line in theirs:  # they must not make this watchdog red
            self.log.warning("cannot stop the model of another watchdog: %s", line)
        if trouble:
            # The retry, seconds later, is for temporary errors, such as an API server that did not return a lease.
            long = time.monotonic() - began > self.waits.each_stop
            raise (AirflowFailException if long else AirflowException)("\n".join(trouble))
        return acted

    def _attend(self, context: Context, lease: Lease, trouble: list[str], end: float) -> dict[str, Any] | None:
        """Stop the model of a lease, if its run will not. Errors become lines in `trouble`."""
        with self._minding(lease, trouble):
            why = self._why_overdue(context, lease)
            state = why or "the run is not over and keeps the model"
            self.log.info("%s: run %s of DAG %s: %s", lease.model_arn, lease.run_id, lease.dag_id, state)
            if why := why or (None if lease.kept_for_late_start else self._why_stuck(context, lease)):
                return self._stop(lease, why, end)
        return None

    def _why_overdue(self, context: Context, lease: Lease) -> str | None:
        """Why the watchdog must act on a lease; None: the run may keep the model."""
        if lease.kept_for_late_start and not lease.has_expired(_now()):
            return "its start request arrived after its stop" if self._is_on(lease) else None
        if why := self._why_left(context, lease, timedelta(0)):
            return why
        return f"its lease expired at {lease.until:%Y-%m-%d %H:%M:%S %Z}" if lease.has_expired(_now()) else None

    def _is_on(self, lease: Lease) -> bool:
        try:
            return hook_for(lease.model, lease.aws_conn_id, brief_config()).describe().is_on
        except LookupError:  # deleted
            return False

    def _why_stuck(self, context: Context, lease: Lease) -> str | None:
        """Why a run goes on no more, although it is not over; None: it goes on. Watches an idle run for two minutes."""
        until = time.monotonic() + self.waits.stuck
        while why := self._why_left(context, lease, IDLE):
            if time.monotonic() > until:
                return why
            time.sleep(self.waits.stuck_look)
        return None

    def _why_left(self, context: Context, lease: Lease, idle_for: timedelta) -> str | None:
        """Why the lease's run will not stop the model any more; None: it still may, or Airflow does not answer."""
        ti = context["ti"]
        try:
            run = ti.get_dagrun_state(dag_id=lease.dag_id, run_id=lease.run_id)
            states = ti.get_task_states(dag_id=lease.dag_id, run_ids=[lease.run_id]).get(lease.run_id, {})
            is_paused = ti.get_dag(lease.dag_id).is_paused
        except Exception as error:  # noqa: BLE001  # any error: the watchdog must still act on an expired lease
            if _says_not_found(error):
                return why_left(None, {}, idle_for)
            self.log.warning(
                "cannot get the state of run %s from Airflow; only the end of its lease counts: %s", lease.run_id, error
            )
            return None
        if idle_for:
            idle_for = max(idle_for, sightings.still_for(lease, states))
        return why_left(run, states, idle_for, is_paused=is_paused)

    def _stop_abandoned(self, lease: Lease, theirs: list[str], end: float) -> dict[str, Any] | None:
        """Stop the model of another watchdog's lease. Errors become lines in `theirs`."""
        expired = f"which expired at {lease.until:%H:%M}"
        with self._minding(lease, theirs):
            return self._stop(lease, f"{lease.watchdog_dag_id} has not acted on its lease, {expired}", end)
        return None

    def _stop(self, lease: Lease, why: str, end: float) -> dict[str, Any] | None:
        """Stop a model and end its lease. None: the lease was only kept, and the model was off.

        :raises AirflowException: when the model is not off in time.
        """
        one = LeftOn.of(lease, why, self.waits)
        until = min(time.monotonic() + self.waits.each_stop, end)
        while (state := one.stopping.step()) is None or not state.is_gone or one.may_be_starting():
            if time.monotonic() > until:
                raise AirflowException(f"{why}, and the model is not off yet")
            time.sleep(self.waits.on)
        return one.finish(self.get_dag())

    @contextmanager
    def _minding(self, lease: Lease, trouble: list[str]) -> Iterator[None]:
        try:
            yield
        except TakenOverError:
            self.log.info("%s: not stopped, because its lease was ended or replaced meanwhile", lease.model_arn)
        except Exception as error:  # any error: one model's error must not keep the watchdog from the others
            self.log.exception("%s", lease.model_arn)
            trouble.append(f"{_left(lease)}: {error}")


def _left(lease: Lease) -> str:
    command = notices.stop_command(lease.model_arn)
    return f"{lease.model_arn}, left by run {lease.run_id} of DAG {lease.dag_id} (stop it manually: {command})"


def _says_not_found(error: Exception) -> bool:
    """Whether an error means that the run does not exist. A 404 without a reason only means an unknown API path."""
    detail: Any = error.error.detail if isinstance(error, AirflowRuntimeError) else None
    if not detail or detail.get("status_code") != 404:
        return False
    answer = detail.get("detail")
    said = answer.get("detail") if isinstance(answer, dict) else None
    return isinstance(said, dict) and said.get("reason") == "not_found"


def _now() -> datetime:
    return datetime.now(UTC)
