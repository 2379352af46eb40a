"""Operators that start and stop the model. Each is safe to repeat."""

from __future__ import annotations

import sys
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTerminated, AirflowTaskTimeout

from label_detection import lag, leases, ledger, xcom
from label_detection.hooks import switch
from label_detection.hooks.model import (
    ModelHook,
    ModelInUseError,
    ModelState,
    Phase,
    QuotaExceededError,
    model_hook,
)
from label_detection.leases import TakenOverError
from label_detection.links.console import ModelLink
from label_detection.stopping import Stopping
from label_detection.waits import Waits
from label_detection.xcom import PlannedModel
from label_detection_core.model.lease import Lease
from label_detection_core.run.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class _Asked:
    """Result of a start. `adopted`: the model's state, if it was on already; None: a start request was accepted.

    `accepted_at`: when the service had answered the start request; None: there was no request.
    """

    adopted: ModelState | None
    accepted_at: datetime | None

    def units(self, wanted: int) -> int:
        """The inference units that the model has, or will have."""
        return (self.adopted.units if self.adopted else None) or wanted


class StartsModel(BaseOperator):
    """Base class of the operators that start a model."""

    operator_extra_links = (ModelLink(),)
    waits = Waits()

    def on_kill(self) -> None:
        """End the task at once, also in the middle of a request. A request that is sent later would start a model that
        no run stops.

        botocore repeats a request after any `Exception`. `AirflowTaskTerminated` is a `BaseException`, so it does not.
        Airflow also calls this method when the task times out. It then raises an exception itself.
        """
        if not isinstance(sys.exc_info()[1], AirflowTaskTimeout):
            raise AirflowTaskTerminated("the task was ended before the model was started, or while it was started")

    def _until_startable(self, context: Context, hook: ModelHook, model_arn: str) -> ModelState:
        """The model's state, once it can be started or adopted. Waits while the model is stopping.

        :raises RuntimeError: when another DAG holds the model, which is then not changed.
        :raises AirflowFailException: when the model cannot be started.
        """
        leases.check_not_held(model_arn, context["ti"].dag_id)
        state = hook.describe()
        while state.remains or state.phase is Phase.STOPPING:  # Describe may lag behind the waiter, so check again
            leases.check_not_held(model_arn, context["ti"].dag_id)
            if state.remains:
                self.log.info("the model is %s; removing the leftovers of its last start first", state)
                with suppress(LookupError):  # already removed
                    hook.stop()
            self.log.info("the model is still stopping; waiting until it is off, to start it then")
            hook.get_waiter("model_stopped").wait(**hook.waiter_args())
            state = hook.describe()
        if state.phase is Phase.UNUSABLE:
            raise AirflowFailException(f"the model cannot be started: it is {state}")
        return state

    def _lease_of_earlier_try(self, context: Context, state: ModelState, model_arn: str) -> Lease | None:
        """This run's lease, if an earlier try of this task may have started the model. Its deadline stays valid.

        A model that seems off may be starting: Describe may still return the state from before the earlier request.
        An expired lease is not used: it means that a person has cleared the task later, to start the model again.
        """
        lease = leases.own_lease(context, model_arn)
        if lease is None or lease.kept_for_late_start or lease.has_expired(datetime.now(UTC)):
            return None
        if state.is_on:
            self.log.info("the model is %s already: adopted", state)
            return lease
        may_be_starting = lease.start_asked and lag.may_be_from_before(state, lease.since, self.waits)
        return lease if may_be_starting else None

    def _ask(
        self, hook: ModelHook, state: ModelState, lease: Lease | None, units: int, max_units: int | None
    ) -> _Asked:
        """Start the model, or adopt it."""
        if state.is_on:
            return _Asked(state, None)
        if lease:
            self._check_still_ours(lease)
        adopted = self._start(hook, state, units, max_units)
        return _Asked(adopted, datetime.now(UTC))

    def _check_still_ours(self, lease: Lease) -> None:
        """Check the lease right before the start request. If the run was ended meanwhile, its stop has already run."""
        held = leases.read_lease(lease.model_arn)
        if held != lease:
            if held is None or switch.switch_name(held) != switch.switch_name(lease):
                switch.disarm(lease)
            raise AirflowFailException(
                "the model was not started: meanwhile this run was ended, or another run took the model"
            )

    def _start(self, hook: ModelHook, state: ModelState, units: int, max_units: int | None) -> ModelState | None:
        """Send the start request. Returns None; or the model's state, if the model turns out to be on already."""
        most = f", at most {max_units}" if max_units else ""
        self.log.info("the model is %s; starting it with %d inference units%s", state, units, most)
        try:
            hook.start(units, max_units)
        except QuotaExceededError as error:  # a retry would fail in the same way
            raise AirflowFailException(str(error)) from error
        except ModelInUseError as error:  # someone else started it, or the first attempt of this request
            state = lag.look_until(
                hook.describe, _explains_refusal, lag.lags_until(datetime.now(UTC), self.waits), self.waits
            )
            if state.phase is Phase.STOPPING:  # the next try of the task waits until the model is off
                raise AirflowException(f"the model is {state}: {error}") from error
            if not state.is_on:
                raise AirflowFailException(f"the model cannot be started: it is {state}: {error}") from error
            self.log.info("the model is already %s: adopted", state)
            return state
        return None


def _explains_refusal(state: ModelState) -> bool:
    """Whether a state explains why a start was refused. OFF does not: it may be outdated."""
    return state.is_on or state.phase is Phase.UNUSABLE


class StartModelOperator(StartsModel):
    """
    Starts the model with the number of inference units from the plan. A model that is starting or running already is
    **adopted**. If the model is stopping, the task waits until it is off and then starts it. If the model cannot be
    started, the task fails at once. The model costs money from the start request until `stop_model` has stopped it.

    If `dead_man_switch_role_arn` is set, the task first creates the dead man's switch: a schedule that stops the model
    even if Airflow is down. A switch that cannot be created is an error in the log and a warning in the report; the run
    continues.

    **When it is red:** its log has the model's state and what to do about it, or AWS's own error, such as a missing
    permission (`rekognition:StartProjectVersion`, `sagemaker:CreateEndpoint`). If a quota of the account is used up
    (inference units, running models, instances), the log names the quota and its place in Service Quotas, and the task
    does not repeat the request: stop models that are not needed, configure fewer units, or ask AWS for a higher quota.
    `stop_model` runs in any case, because the start request may have reached AWS.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """`xcom.Started`, as JSON."""
        plan = xcom.require_plan(context)
        self.settings = plan.settings
        hook = model_hook(plan.settings)
        state = self._until_startable(context, hook, plan.settings.model_arn)
        lease = self._lease_of_earlier_try(context, state, plan.settings.model_arn)
        left = None
        if lease is None:
            lease, left = leases.take_lease(context, plan, start_asked=True)
        lease, unarmed = self._arm(plan, lease, hook)
        xcom.push_warning(context, left, unarmed)
        ledger.begin(lease, plan, (state.units if state.is_on else None) or plan.units)
        asked = self._ask(hook, state, lease, plan.units, plan.max_units)
        return xcom.Started(
            requested_at=lease.since,
            adopted=asked.adopted is not None,
            units=asked.units(plan.units),
            deadline=lease.since + timedelta(minutes=plan.settings.max_model_minutes),
            accepted_at=asked.accepted_at,
        ).model_dump(mode="json")

    def _arm(self, plan: Plan, lease: Lease, hook: ModelHook) -> tuple[Lease, str | None]:
        """Make the switch. Returns the lease, and a warning when there is no switch although one is configured."""
        role_arn = plan.settings.dead_man_switch_role_arn
        if role_arn is None:
            self.log.info("this run has no dead man's switch: dead_man_switch_role_arn is not set")
            return lease, None
        if not lease.dead_man_switch:  # the lease of plan_run, kept because the model is on already
            lease = leases.put_lease(lease.model_copy(update={"dead_man_switch": True}))
        return lease, switch.arm(lease, hook, role_arn)


class StopsModel(BaseOperator):
    """Base class of the operators that stop a model."""

    operator_extra_links = (ModelLink(),)
    waits = Waits()

    def _stop(self, context: Context, settings: PlannedModel) -> dict[str, Any]:
        """`xcom.Stopped`, as JSON. :raises TakenOverError: when another run holds the model, which stays on."""
        self.log.info("if this task fails, stop the model manually with: %s", settings.model.stop_command)
        stopping = Stopping(
            settings.model,
            settings.aws_conn_id,
            self.waits,
            before_stop=lambda: self._spare(context, settings.model_arn),
        )
        stopping.until_off(self._start_asked_at(context, settings.model_arn))
        if not stopping.asked_at:
            self.log.info("the model was off, and stayed off for at least %g seconds", self.waits.linger)
        lease = leases.own_lease(context, settings.model_arn)
        on_since = lease.since if lease and stopping.was_on else None
        stopped = xcom.Stopped(stopped_at=datetime.now(UTC), on_since=on_since, asked_at=stopping.asked_at)
        if lease:
            counts = stopping.was_on or self._was_started(context)
            not_kept = ledger.end(lease, stopped.stopped_at if counts else lease.since, was_on=counts)
            xcom.push_warning(context, not_kept)
        if lease and lease.start_asked and not stopping.was_on and not self._knows_start(context):
            self.log.info("the start request may still arrive: the lease and the switch stay for ten minutes more")
            leases.keep_for_late_start(lease)
        elif lease:
            left = switch.disarm(lease)
            xcom.push_warning(context, not_kept, left)
            leases.end_lease(lease, switch_left=left is not None)
        return stopped.model_dump(mode="json")

    @abstractmethod
    def _knows_start(self, context: Context) -> bool:
        """Whether the start of this run has returned. If not, its request may still be on its way."""

    @abstractmethod
    def _start_asked_at(self, context: Context, model_arn: str) -> datetime | None:
        """When this run sent its start request; None: it sent none."""

    def _was_started(self, context: Context) -> bool:  # noqa: ARG002  # an override needs it
        """Whether the time until now counts as the model's cost, if the model was found off."""
        return True

    def _spare(self, context: Context, model_arn: str) -> None:
        """Check that no other run holds the model: a lost try of this task may still run during the next run.

        :raises TakenOverError: when another run holds it.
        """
        try:
            held = leases.read_lease(model_arn)
        except Exception as error:  # noqa: BLE001  # any error: it must not prevent the stop
            self.log.warning("cannot read the lease, stopping the model without it: %s", error)
            return
        ours = held is None or held.kept_for_late_start or held.is_of(context["ti"].dag_id, context["ti"].run_id)
        if held and not ours and not held.has_expired(datetime.now(UTC)):
            raise TakenOverError(f"the model is held by {held.dag_id}, run {held.run_id}, until {held.until}")


class StopModelOperator(StopsModel):
    """
    Stops the model and waits until it **is** stopped. This task is the teardown of `plan_run`, `start_model` and
    `wait_for_model`, so it runs whether the analysis succeeds or fails.

    If the model is off at first, the task checks its state for 15 more seconds, because the start request of a killed
    task may still take effect, and at least until a minute after the start request, because Describe may return an
    older state. If another run holds the model now, the task leaves it on for that run. Throttling, 5xx and lost
    connections are retried for two minutes per try. In the end, the task removes the dead man's switch, if there is
    one, and ends the lease.

    If `start_model` never returned, its request may arrive even later. Lease and switch then stay for ten minutes more;
    the watchdog removes them after that time, or stops the model.

    **When it is red: the model may still be running and costs money.** Its log has AWS's error, and begins with the
    command that stops the model manually: run it now (for Rekognition `aws rekognition stop-project-version
    --project-version-arn <model_arn> --region <region>`, for SageMaker `aws sagemaker delete-endpoint --endpoint-name
    <name in the log> --region <region>`). Then correct the cause, often the missing permission
    `rekognition:StopProjectVersion` or `sagemaker:DeleteEndpoint`. Clear the task to try again; the watchdog DAG tries
    by itself.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """`xcom.Stopped`, as JSON."""
        self.settings = xcom.require_planned_model(context)
        try:
            return self._stop(context, self.settings)
        except TakenOverError as error:
            self.log.warning("%s: the model is left on for that run", error)
            return xcom.Stopped(stopped_at=datetime.now(UTC)).model_dump(mode="json")

    def _knows_start(self, context: Context) -> bool:
        return xcom.pull_started(context) is not None

    def _start_asked_at(self, context: Context, model_arn: str) -> datetime | None:
        """When this run sent its start request; None: it sent none."""
        if started := xcom.pull_started(context):
            return started.asked_at
        try:
            lease = leases.own_lease(context, model_arn)  # start_model died before it could return the time
        except Exception as error:  # noqa: BLE001  # any error: it must not prevent the stop
            self.log.warning("cannot read the lease, so the time of the start request counts as now: %s", error)
            return datetime.now(UTC)
        return lease.since if lease and lease.start_asked else None

    def _was_started(self, context: Context) -> bool:
        return xcom.pull_started(context) is not None
