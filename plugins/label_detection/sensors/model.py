"""Sensors that wait until the model runs: for the pipeline, and for your own DAG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue, TaskInstanceState
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection import lag, xcom
from label_detection.arguments import Arguments
from label_detection.hooks.clients import client_config
from label_detection.hooks.model import ModelHook, ModelState, Phase, hook_for, model_hook
from label_detection.triggers.model import ModelRunningTrigger
from label_detection.waits import Waits
from label_detection.xcom import PlannedModel

if TYPE_CHECKING:
    from airflow.sdk import Context

    from label_detection_core.config.settings import Settings


class WaitsForModel(BaseSensorOperator):
    """Base class of the sensors that wait for a model."""

    waits = Waits()

    def _seen_running(self, state: ModelState) -> str | None:
        """The current time in ISO 8601, if the model is running; else None."""
        if state.phase is not Phase.RUNNING:
            return None
        self.log.info("the model is running")
        return datetime.now(UTC).isoformat()

    def _check_starting(self, state: ModelState, asked_at: datetime) -> None:
        """Fail at once on a state from which the model will not start running.

        :param asked_at: time of the start request. For a minute after it, the state may be older than the request.
        """
        if lag.may_be_from_before(state, asked_at, self.waits):
            until = lag.lags_until(asked_at, self.waits)
            self.log.info(
                "the model is %s, which may be its state from before the start: it counts as starting until %s",
                state,
                until,
            )
        elif state.phase is not Phase.STARTING:
            raise AirflowFailException(
                f"the model is not starting but {state}: correct the cause, then start the model again"
            )

    def _defer_until_running(
        self,
        hook: ModelHook,
        model: Settings | PlannedModel,
        *,
        timeout: timedelta,
        asked_at: datetime,
        since: datetime,
        usual: tuple[float, float] | None = None,
    ) -> None:
        self.defer(
            trigger=ModelRunningTrigger(
                model_arn=model.model_arn,
                waiter_args=hook.waiter_args(),
                since=since.isoformat(),
                usual=usual,
                lags_until=lag.lags_until(asked_at, self.waits).isoformat(),
                aws_conn_id=model.aws_conn_id,
                region_name=model.model.region,
            ),
            method_name=self.execute_complete.__name__,
            timeout=timeout,
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | str) -> str:  # noqa: ARG002  # as Airflow calls it
        """Fail the task after an error of the trigger. The retry checks the model again, and fails at once if needed.

        After a success the trigger ends the task itself. Only `airflow dags test` calls this method in that case, with
        the event as text.
        """
        if event == TaskInstanceState.SUCCESS:
            return datetime.now(UTC).isoformat()
        raise AirflowException(event["message"] if isinstance(event, dict) else event)


class ModelRunningSensor(WaitsForModel):
    """
    Waits until the model is running, at most until the run's deadline. It is deferred, so it needs no worker slot. When
    the model has been starting for about as long as in the last runs, it checks the model every second, otherwise less
    often. A state from which the model cannot start running fails the task at once. A state that may be older than the
    start request (stopped, failed, stopping) fails it only when a minute has passed since that request.

    **When it is red:** its log has the model's state and the service's own reason. `stop_model` stops the model in any
    case. The images stay in the queue for the next run.
    """

    def execute(self, context: Context) -> str:
        """The time when the model was seen running, in ISO 8601. Defers while the model is starting."""
        plan = xcom.require_plan(context)
        hook = model_hook(plan.settings)
        state = hook.describe()
        if seen_at := self._seen_running(state):
            return seen_at
        started = xcom.require_started(context)
        self._check_starting(state, started.asked_at)
        deadline = started.deadline
        left = deadline - datetime.now(UTC)
        if left <= timedelta(0):
            raise AirflowFailException(
                f"the model is still {state}, and its time was up at {deadline:%H:%M:%S} UTC: "
                "if starts take longer, raise max_model_minutes"
            )
        self._defer_until_running(
            hook,
            plan.settings,
            timeout=left,
            asked_at=started.asked_at,
            since=started.requested_at,
            usual=plan.start_seconds,
        )
        raise AssertionError("a deferral does not return")


class CustomModelRunningSensor(WaitsForModel):
    """
    Waits until a custom model is running, in your own DAG. Put it after the task that starts the model. Returns the
    time when the model was seen running, in ISO 8601.

    A state from which the model cannot start running fails the task at once, without a retry. A state that may be older
    than the start request (stopped, failed, stopping) fails it a minute after this task has begun.

    :param model_arn: the model's ARN; AWS is called in its Region. (templated)
    :param aws_conn_id: the id of the Airflow connection to AWS. (templated)
    :param deferrable: whether to wait in the triggerer, without a worker slot. The triggerer checks the model at least
        every 5 seconds. Default: Airflow's option `default_deferrable`.
    :param poke_interval: seconds between two checks of the model, if not deferrable.
    :param timeout: seconds after which the task fails if the model is still starting.
    """

    template_fields: Sequence[str] = ("model_arn", "aws_conn_id")

    def __init__(
        self,
        *,
        model_arn: str,
        aws_conn_id: str = "aws_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: float = 15,
        timeout: float = 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.model_arn = model_arn
        self.aws_conn_id = aws_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """The time when the model was seen running, in ISO 8601."""
        self._began = datetime.now(UTC)
        if self.reschedule:  # each poke runs in a new process
            self._began = context["ti"].get_first_reschedule_date(context) or self._began
        model = Arguments().model(self.model_arn, self.aws_conn_id)
        self._hook = hook_for(model.model, model.aws_conn_id, client_config())
        if not self.deferrable:
            return super().execute(context)
        looked = self.poke(context)
        if not looked:
            timeout = timedelta(seconds=self.timeout)
            self._defer_until_running(self._hook, model, timeout=timeout, asked_at=self._began, since=self._began)
        return looked.xcom_value

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002  # as Airflow calls it
        """Check once whether the model is running."""
        state = self._hook.describe()
        seen_at = self._seen_running(state)
        if not seen_at:
            self._check_starting(state, self._began)
        return PokeReturnValue(seen_at is not None, seen_at)
