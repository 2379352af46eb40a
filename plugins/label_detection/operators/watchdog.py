"""The operator of the watchdog: stops models that a run has left on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError

from label_detection import lag, leases, ledger, notifications
from label_detection.hooks import switch
from label_detection.leases import TakenOverError
from label_detection.stopping import Stopping
from label_detection.waits import Waits
from label_detection_core.model.at_work import IDLE, why_left
from label_detection_core.model.lease import Lease
from label_detection_core.run import notices

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Seconds after which the task ends in any case, before its execution_timeout of 15 minutes.
_WHOLE_SECONDS = 840.0


@dataclass(frozen=True)
class _Overdue:
    lease: Lease
    why: str
    stopping: Stopping

    def may_be_starting(self) -> bool:
        """Whether the model may be starting although Describe, which lags, returns it as off."""
        return self.stopping.asked_at is None and _now() < lag.lags_until(self.lease.since, self.stopping.waits)


class StopExpiredModelsOperator(BaseOperator):
    """
    Checks every lease that names this watchdog. A lease records which run holds which model, and until when. It also
    checks leases of other watchdogs that expired half an hour ago or earlier, because those watchdogs seem not to run.

    It acts on a lease that has expired, or whose run was deleted, has ended without ending the lease, or has had no
    task at work for two minutes (its DAG is paused, or its file is broken). It **stops** the model and removes the
    lease and its dead man's switch. Which run left the model, and since when, is in its log, in a notice to
    `sns_topic_arn`, and in its return value. It never stops the model of a run that is at work within its lease, and
    never a model without a lease.

    It needs no configuration: the lease has all that it needs. It calls AWS only if there is something to do.

    **When it is red: a model may be running and costs money.** Its log has a line for each model that it could not
    stop, with AWS's error and the command that stops the model manually: run it now. The watchdog tries again in ten
    minutes. A Variable that "is not a lease" was edited: check that its model is off, then delete the Variable.
    """

    waits = Waits()

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """One dict per lease that it acted on: the lease, `why`, and `stopped`, whether the model had to be stopped."""
        began = time.monotonic()
        found = leases.all_leases(context["ti"].dag_id)
        trouble = list(found.problems)
        overdue: list[_Overdue] = []
        going_on: list[Lease] = []
        for lease in found.leases:
            with self._minding(lease, trouble):
                if why := self._why_overdue(context, lease):
                    overdue.append(self._take_up(lease, why))
                else:
                    going_on.append(lease)
                state = why or "the run is not over and keeps the model"
                self.log.info("%s: run %s of DAG %s: %s", lease.model_arn, lease.run_id, lease.dag_id, state)
        end = began + _WHOLE_SECONDS
        acted = self._stop(overdue, trouble, end)
        acted += self._stop(self._stuck(context, going_on), trouble, end)
        acted += self._stop_abandoned(found.abandoned, end)
        if trouble:
            # The retry, seconds later, is for temporary errors, such as an API server that did not return a lease.
            long = time.monotonic() - began > self.waits.each_stop
            raise (AirflowFailException if long else AirflowException)("\n".join(trouble))
        return acted

    def _why_overdue(self, context: Context, lease: Lease) -> str | None:
        """Why the watchdog must act on a lease; None: the run may keep the model."""
        if why := self._why_left(context, lease, timedelta(0)):
            return why
        return f"its lease expired at {lease.until:%Y-%m-%d %H:%M:%S %Z}" if lease.has_expired(_now()) else None

    def _why_left(self, context: Context, lease: Lease, idle_for: timedelta) -> str | None:
        """Why the lease's run will not stop the model any more; None: it still may, or Airflow does not answer."""
        ti = context["ti"]
        try:
            run = ti.get_dagrun_state(dag_id=lease.dag_id, run_id=lease.run_id)
            states = ti.get_task_states(dag_id=lease.dag_id, run_ids=[lease.run_id])
        except Exception as error:  # noqa: BLE001  # any error: the watchdog must still act on an expired lease
            if _says_not_found(error):
                return why_left(None, {}, idle_for)
            self.log.warning(
                "cannot get the state of run %s from Airflow; only the end of its lease counts: %s", lease.run_id, error
            )
            return None
        return why_left(run, states.get(lease.run_id, {}), idle_for)

    def _stuck(self, context: Context, leases: list[Lease]) -> list[_Overdue]:
        """The leases of running runs that have no task at work. If there are any, it watches them for two minutes."""
        until = time.monotonic() + self.waits.stuck
        while left := [(lease, why) for lease in leases if (why := self._why_left(context, lease, IDLE))]:
            if time.monotonic() > until:
                return [self._take_up(lease, why) for lease, why in left]
            leases = [lease for lease, _ in left]
            time.sleep(self.waits.stuck_look)
        return []

    def _stop_abandoned(self, abandoned: list[Lease], end: float) -> list[dict[str, Any]]:
        """Stop the models of other watchdogs' leases. Errors are only logged: they must not make this watchdog red."""
        theirs: list[str] = []
        overdue: list[_Overdue] = []
        for lease in abandoned:
            with self._minding(lease, theirs):
                overdue.append(
                    self._take_up(
                        lease,
                        f"{lease.watchdog_dag_id} has not acted on its lease, which expired at {lease.until:%H:%M}",
                    )
                )
        acted = self._stop(overdue, theirs, end)
        for line in theirs:
            self.log.warning("cannot stop the model of another watchdog: %s", line)
        return acted

    def _stop(self, overdue: list[_Overdue], trouble: list[str], end: float) -> list[dict[str, Any]]:
        """Stop the models in parallel, until `end` at the latest, so that a slow stop does not delay the others."""
        acted: list[dict[str, Any]] = []
        until = min(time.monotonic() + self.waits.each_stop, end)
        while overdue:
            going_on: list[_Overdue] = []
            for one in overdue:
                with self._minding(one.lease, trouble):
                    if (state := one.stopping.step()) is None or not state.is_gone or one.may_be_starting():
                        going_on.append(one)
                    else:
                        acted.append(self._finish(one))
            overdue = going_on
            if overdue and time.monotonic() > until:
                trouble += [f"{_left(one.lease)}: {one.why}, and the model is not off yet" for one in overdue]
                break
            if overdue:
                time.sleep(self.waits.on)
        return acted

    def _take_up(self, lease: Lease, why: str) -> _Overdue:
        def still_left() -> None:
            if leases.read_lease(lease.model_arn) != lease:
                raise TakenOverError

        return _Overdue(lease, why, Stopping(lease.model, lease.aws_conn_id, self.waits, before_stop=still_left))

    def _finish(self, one: _Overdue) -> dict[str, Any]:
        """Finish after a model is off. The lease is removed last, so that a killed watchdog repeats the other steps."""
        lease = one.lease
        taken_over = leases.read_lease(lease.model_arn) != lease
        if taken_over and not one.stopping.asked_at:
            raise TakenOverError
        stopped = notices.Stopped(lease, one.why, one.stopping.asked_at is not None, _now(), notifications.base_url())
        self.log.warning("%s", stopped)
        if not taken_over:
            switch.disarm(lease)
        ledger.end(lease, stopped.at, was_on=one.stopping.was_on)
        notifications.publish(lease.sns_topic_arn, lease.aws_conn_id, notices.watchdog_acted(stopped))
        leases.end_lease(lease)
        return {**lease.model_dump(mode="json"), "why": one.why, "stopped": one.stopping.asked_at is not None}

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
