"""The model's life: start and stop. Each is safe to repeat."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from label_detection import exchange
from label_detection.hooks.by_arn import model_hook
from label_detection.hooks.model import ModelHook, ModelInUseError, ModelState, Phase

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Seconds a model that was found off is looked at again: a start that was killed on its way lands within 3-4 s.
_LINGER_SECONDS = 15.0
_LOOK_SECONDS = 1.0
#: Seconds between two requests to stop a model that is still starting, which the service refuses.
_IN_USE_SECONDS = 5.0


class StartModelOperator(BaseOperator):
    """
    Asks for the model, with the inference units that the plan chose. A model that is starting or running already is
    **adopted**; one that is stopping is waited out and then started; one that cannot be started fails the task at once.
    From the request on the model costs money, until `stop_model`.

    **When it is red:** its log has the model's state and what to do about it, or AWS's own error: a missing
    permission `rekognition:StartProjectVersion`, or the account's limit of inference units. `stop_model` runs all the
    same, in case that the request arrived.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """`exchange.Started`, as JSON."""
        plan = exchange.require_plan(context)
        hook = model_hook(plan.settings)
        state = hook.describe()
        if state.phase is Phase.STOPPING:
            self.log.info("the model is still stopping; it is started once it is off")
            hook.get_waiter("model_stopped").wait(**hook.waiter_args())
            state = hook.describe()
        if state.phase is Phase.UNUSABLE:
            raise AirflowFailException(f"the model cannot be started: it is {state}")
        lease = exchange.own_lease(context, plan.settings.model_arn) if state.is_on else None
        if lease:
            self.log.info("the model is %s already: adopted", state)
        else:
            lease = exchange.take_lease(context, plan)
        if not state.is_on:
            self._start(hook, state, plan.units)
        return exchange.Started(
            requested_at=lease.since,
            adopted=state.is_on,
            units=state.units if state.is_on and state.units else plan.units,
            deadline=lease.since + timedelta(minutes=plan.settings.max_model_minutes),
        ).model_dump(mode="json")

    def _start(self, hook: ModelHook, state: ModelState, units: int) -> None:
        self.log.info("the model is %s; starting it with %d inference units", state, units)
        try:
            hook.start(units)
        except ModelInUseError as error:  # somebody else was faster, or the first send of a repeated request
            state = hook.describe()
            if not state.is_on:
                raise AirflowFailException(f"the model cannot be started: it is {state}: {error}") from error
            self.log.info("the model is %s meanwhile: adopted", state)


class StopModelOperator(BaseOperator):
    """
    Stops the model and waits until it **is** stopped: the teardown of `plan_run`, `start_model` and `wait_for_model`,
    which runs whatever became of the analysis. A model that is found off is looked at for 15 seconds more, because a
    start that was killed on its way may still arrive.

    **When it is red: the model may still be running and costs money.** Its log has AWS's error. Stop it by hand
    (`aws rekognition stop-project-version --project-version-arn <model_arn>`), then mend the cause, often the missing
    permission `rekognition:StopProjectVersion`. Clearing the task tries again.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """`exchange.Stopped`, as JSON."""
        model_arn = exchange.require_plan(context).settings.model_arn
        lease = exchange.own_lease(context, model_arn)
        hook = model_hook(exchange.require_plan(context).settings)
        was_on = asked = False
        while not asked and self._found_on(hook):
            was_on = True
            asked = self._stop(hook)  # not asked: it was stopping by itself, and a late start may still follow
        if not asked:
            self.log.info("the model was off, and stayed off for %g seconds", _LINGER_SECONDS)
        stopped = exchange.Stopped(stopped_at=datetime.now(UTC), on_since=lease.since if lease and was_on else None)
        exchange.end_lease(context, model_arn)
        return stopped.model_dump(mode="json")

    def _found_on(self, hook: ModelHook) -> bool:
        until = time.monotonic() + _LINGER_SECONDS
        while not self._state(hook).is_on:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def _state(self, hook: ModelHook) -> ModelState:
        try:
            return hook.describe()
        except LookupError as error:
            return ModelState(Phase.OFF, "gone", str(error))  # deleted meanwhile: it costs nothing any more

    def _stop(self, hook: ModelHook) -> bool:
        """Until it is off; whether a request to stop was accepted.

        A model that is starting refuses to be stopped: asked again until it is running.
        """
        asked = False
        while (state := self._state(hook)).is_on:
            self.log.info("the model is %s", state)
            if state.phase is not Phase.STOPPING:
                try:
                    hook.stop()
                    asked = True
                except ModelInUseError as error:
                    self.log.info("it cannot be stopped now: %s; trying again in %g s", error, _IN_USE_SECONDS)
                    time.sleep(_IN_USE_SECONDS)
                    continue
            hook.get_waiter("model_stopped").wait(**hook.waiter_args())
        self.log.info("the model is %s", state)
        return asked
