"""The model's life: start and stop. Each is safe to repeat."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection import lag, leases, xcom
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
from label_detection.xcom import PlannedModel
from label_detection_core.model.lease import Lease
from label_detection_core.run.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Seconds a model that was found off is looked at again: a start that was killed on its way lands within 3-4 s.
_LINGER_SECONDS = 15.0


@dataclass(frozen=True)
class _Asked:
    """A request for the model. `adopted`: its state where it was on already, and then there was no request."""

    adopted: ModelState | None
    accepted_at: datetime | None

    def units(self, wanted: int) -> int:
        """The inference units that it has or gets."""
        return (self.adopted.units if self.adopted else None) or wanted


class StartsModel(BaseOperator):
    """What both ways to start a model have in common."""

    operator_extra_links = (ModelLink(),)

    def _until_startable(self, context: Context, hook: ModelHook, model_arn: str) -> ModelState:
        """Wait out a model that is stopping.

        :raises RuntimeError: when another DAG holds it: then nothing of it is touched.
        :raises AirflowFailException: when it cannot be started.
        """
        leases.check_not_held(model_arn, context["ti"].dag_id)
        state = hook.describe()
        while state.remains or state.phase is Phase.STOPPING:  # again: a look may be older than the waiter's last one
            leases.check_not_held(model_arn, context["ti"].dag_id)
            if state.remains:
                self.log.info("the model is %s; what is left of it is taken away first", state)
                with suppress(LookupError):  # it is gone already
                    hook.stop()
            self.log.info("the model is still stopping; it is started once it is off")
            hook.get_waiter("model_stopped").wait(**hook.waiter_args())
            state = hook.describe()
        if state.phase is Phase.UNUSABLE:
            raise AirflowFailException(f"the model cannot be started: it is {state}")
        return state

    def _lease_of_earlier_try(self, context: Context, state: ModelState, model_arn: str) -> Lease | None:
        """This run's lease, if an earlier try of this task may have started the model: its deadline stays as it is.

        A model that seems off may be starting all the same: its state may be from before that request. A lease that has
        expired is of no use: somebody has cleared the task since, and wants the model again.
        """
        lease = leases.own_lease(context, model_arn)
        if lease is None or lease.has_expired(datetime.now(UTC)):
            return None
        if state.is_on:
            self.log.info("the model is %s already: adopted", state)
            return lease
        may_be_starting = lease.start_asked and lag.may_be_from_before(state, lease.since)
        return lease if may_be_starting else None

    def _without_switch(self, context: Context, lease: Lease) -> Lease:
        """Remove the switch that an earlier run has left, made when the option was set: it would stop this run's."""
        if lease.dead_man_switch:
            warning = switch.disarm(lease)
            xcom.push_warning(context, warning)
            if not warning:  # else the task that stops the model tries again
                lease = leases.put_lease(lease.model_copy(update={"dead_man_switch": False}))
        return lease

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
        """Right before the request: a run that was ended meanwhile has had its stop, and no other comes."""
        held = leases.read_lease(lease.model_arn)
        if held != lease:
            if held is None:  # else the switch is the holder's by now
                switch.disarm(lease)
            raise AirflowFailException("the run was ended, or another has taken the model, before it was asked for")

    def _start(self, hook: ModelHook, state: ModelState, units: int, max_units: int | None) -> ModelState | None:
        """Ask for the model. Where it is on already and did not seem so: its state, else None."""
        most = f", at most {max_units}" if max_units else ""
        self.log.info("the model is %s; starting it with %d inference units%s", state, units, most)
        try:
            hook.start(units, max_units)
        except QuotaExceededError as error:  # a retry would get the same answer
            raise AirflowFailException(str(error)) from error
        except ModelInUseError as error:  # somebody else was faster, or the first send of a repeated request
            state = lag.look_until(hook.describe, _explains_refusal, lag.lags_until(datetime.now(UTC)))
            if state.phase is Phase.STOPPING:  # the next try waits for that
                raise AirflowException(f"the model is {state}: {error}") from error
            if not state.is_on:
                raise AirflowFailException(f"the model cannot be started: it is {state}: {error}") from error
            self.log.info("the model is %s meanwhile: adopted", state)
            return state
        return None


def _explains_refusal(state: ModelState) -> bool:
    """Whether a state explains that a start was refused, or rules one out; a model that is off does neither."""
    return state.is_on or state.phase is Phase.UNUSABLE


class StartModelOperator(StartsModel):
    """
    Asks for the model, with the inference units that the plan chose. A model that is starting or running already is
    **adopted**; one that is stopping is waited out and then started; one that cannot be started fails the task at once.
    From the request on the model costs money, until `stop_model`.

    With `dead_man_switch_role_arn` set, it makes the switch before the request: a schedule that stops the model even
    when Airflow is gone. A switch that cannot be made is an error in the log and a warning in the report, no more.

    **When it is red:** its log has the model's state and what to do about it, or AWS's own error: a missing
    permission (`rekognition:StartProjectVersion`, `sagemaker:CreateEndpoint`). A quota of the account (inference units,
    running models, instances) is named with its place in Service Quotas, and the request is not repeated: stop what is
    not needed, ask for fewer units, or ask AWS for a higher quota. `stop_model` runs all the same, in case that the
    request arrived.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """`xcom.Started`, as JSON."""
        plan = xcom.require_plan(context)
        self.settings = plan.settings
        hook = model_hook(plan.settings)
        state = self._until_startable(context, hook, plan.settings.model_arn)
        lease = self._lease_of_earlier_try(context, state, plan.settings.model_arn)
        if lease is None:
            lease = leases.take_lease(context, plan, start_asked=True)
        lease = self._arm(context, plan, lease, hook)
        asked = self._ask(hook, state, lease, plan.units, plan.max_units)
        return xcom.Started(
            requested_at=lease.since,
            adopted=asked.adopted is not None,
            units=asked.units(plan.units),
            deadline=lease.since + timedelta(minutes=plan.settings.max_model_minutes),
            accepted_at=asked.accepted_at,
        ).model_dump(mode="json")

    def _arm(self, context: Context, plan: Plan, lease: Lease, hook: ModelHook) -> Lease:
        if role_arn := plan.settings.dead_man_switch_role_arn:
            xcom.push_warning(context, switch.arm(lease, hook, role_arn))
            return lease
        self.log.info("no dead man's switch: dead_man_switch_role_arn is not set")
        return self._without_switch(context, lease)


class StopsModel(BaseOperator):
    """What both ways to stop a model have in common."""

    operator_extra_links = (ModelLink(),)

    def _stop(self, context: Context, settings: PlannedModel) -> dict[str, Any]:
        """`xcom.Stopped`, as JSON. :raises TakenOverError: when another run holds the model, which is left to that."""
        self.log.info("what stops the model by hand, should this fail: %s", settings.model.stop_command)
        stopping = Stopping(
            settings.model, settings.aws_conn_id, before_stop=lambda: self._spare(context, settings.model_arn)
        )
        stopping.until_off(_LINGER_SECONDS, self._start_asked_at(context, settings.model_arn))
        if not stopping.asked_at:
            self.log.info("the model was off, and stayed off for at least %g seconds", _LINGER_SECONDS)
        lease = leases.own_lease(context, settings.model_arn)
        on_since = lease.since if lease and stopping.was_on else None
        stopped = xcom.Stopped(stopped_at=datetime.now(UTC), on_since=on_since, asked_at=stopping.asked_at)
        if lease:
            xcom.push_warning(context, switch.disarm(lease))
            leases.end_lease(lease)
        return stopped.model_dump(mode="json")

    @abstractmethod
    def _start_asked_at(self, context: Context, model_arn: str) -> datetime | None:
        """When this run asked for the model; None: it never did."""

    def _spare(self, context: Context, model_arn: str) -> None:
        """Not another run's model: a lost first try of this task can live on into the next run."""
        try:
            held = leases.read_lease(model_arn)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not stand between this and the model
            self.log.warning("who holds the model is not known: %s", error)
            return
        ours = held is None or held.is_of(context["ti"].dag_id, context["ti"].run_id)
        if held and not ours and not held.has_expired(datetime.now(UTC)):
            raise TakenOverError(f"the model is held by {held.dag_id}, run {held.run_id}, until {held.until}")


class StopModelOperator(StopsModel):
    """
    Stops the model and waits until it **is** stopped: the teardown of `plan_run`, `start_model` and `wait_for_model`,
    which runs whatever became of the analysis. A model that is found off is looked at for 15 seconds more, because a
    start that was killed on its way may still arrive, and until a minute after the start request, because its state
    may be older than that; one that another run holds by now is left to that run.
    Throttling, 5xx and lost connections are borne for two minutes a try. Then it removes the dead man's switch, if
    there is one, and gives up the lease.

    **When it is red: the model may still be running and costs money.** Its log has AWS's error, and begins with the
    command that stops the model by hand: do that now (for Rekognition `aws rekognition stop-project-version
    --project-version-arn <model_arn> --region <region>`, for SageMaker `aws sagemaker delete-endpoint --endpoint-name
    <the one in the log> --region <region>`). Then mend the cause, often the missing permission
    `rekognition:StopProjectVersion` or `sagemaker:DeleteEndpoint`. Clearing the task tries again; the watchdog DAG does
    so by itself.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """`xcom.Stopped`, as JSON."""
        self.settings = xcom.require_planned_model(context)
        try:
            return self._stop(context, self.settings)
        except TakenOverError as error:
            self.log.warning("%s: it is left to that", error)
            return xcom.Stopped(stopped_at=datetime.now(UTC)).model_dump(mode="json")

    def _start_asked_at(self, context: Context, model_arn: str) -> datetime | None:
        """When this run asked for the model; None: it never did."""
        if started := xcom.pull_started(context):
            return started.asked_at
        try:
            lease = leases.own_lease(context, model_arn)  # start_model died before it could return the moment
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not stand between this and the model
            self.log.warning("when the model was asked for is not known: %s", error)
            return datetime.now(UTC)
        return lease.since if lease and lease.start_asked else None
