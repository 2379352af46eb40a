"""Waiting for the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, TaskInstanceState
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection import lag, xcom
from label_detection.hooks.model import Phase, model_hook
from label_detection.triggers.model import ModelRunningTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class ModelRunningSensor(BaseSensorOperator):
    """
    Waits until the model is running, without a worker (deferred), and at the longest until the run's deadline. Around
    the time that the last runs' starts took it looks every second, else less often. A state from which the model
    cannot come to run fails the task at once; one that may be from before the start request (stopped, failed, stopping)
    only once a minute has passed since that request.

    **When it is red:** its log has the model's state and the service's own reason. The model is stopped by
    `stop_model` whatever happened here; the images stay in the queue for the next run.
    """

    def execute(self, context: Context) -> str:
        """When the model was seen running; defers while it is starting."""
        plan = xcom.require_plan(context)
        settings = plan.settings
        hook = model_hook(settings)
        state = hook.describe()
        if state.phase is Phase.RUNNING:
            self.log.info("the model is running")
            return datetime.now(UTC).isoformat()
        started = xcom.require_started(context)
        if lag.may_be_from_before(state, started.asked_at):
            until = lag.lags_until(started.asked_at)
            self.log.info(
                "the model is %s, maybe from before the start: until %s that counts as starting", state, until
            )
        elif state.phase is not Phase.STARTING:
            raise AirflowFailException(f"the model is not starting but {state}")
        deadline = started.deadline
        left = deadline - datetime.now(UTC)
        if left <= timedelta(0):
            raise AirflowFailException(f"the model is still {state}, and its time was up at {deadline:%H:%M:%S} UTC")
        self.defer(
            trigger=ModelRunningTrigger(
                model_arn=settings.model_arn,
                waiter_args=hook.waiter_args(),
                since=started.requested_at.isoformat(),
                usual=plan.start_seconds,
                lags_until=lag.lags_until(started.asked_at).isoformat(),
                aws_conn_id=settings.aws_conn_id,
                region_name=settings.region,
            ),
            method_name=self.execute_complete.__name__,
            timeout=left,
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | str) -> str:  # noqa: ARG002  # as Airflow calls it
        """After the deferral, in trouble. It is looked at again by the retry, which fails at once on a hopeless state.

        When all is well the trigger ends the task. Only `airflow dags test` calls this then, with the event's text.
        """
        if event == TaskInstanceState.SUCCESS:
            return datetime.now(UTC).isoformat()
        raise AirflowException(event["message"] if isinstance(event, dict) else event)
