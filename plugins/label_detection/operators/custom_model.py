"""Operators that start and stop a custom model in your own DAG, without options in `[label_detection]`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from label_detection import leases, xcom
from label_detection.arguments import Arguments
from label_detection.hooks import switch
from label_detection.hooks.clients import client_config
from label_detection.hooks.model import hook_for
from label_detection.leases import TakenOverError
from label_detection.operators.model import StartsModel, StopsModel
from label_detection.xcom import PlannedModel
from label_detection_core.config.pipeline import WATCHDOG_DAG
from label_detection_core.model.lease import Lease, lease_until

if TYPE_CHECKING:
    from airflow.sdk import Context


class StartCustomModelOperator(StartsModel):
    """
    Starts a custom model in your own DAG. Make it the setup of a `StopCustomModelOperator`. The model costs money from
    the start request on.

    A model that is starting or running already is adopted, so a retry and a cleared task are safe. If the model is
    stopping, the task waits until it is off and then starts it. If another DAG holds the model by a lease, the task
    fails. The task does not wait until the model runs: use `CustomModelRunningSensor` for that. Returns `requested_at`,
    `adopted` and `units`.

    :param model_arn: the model's ARN; AWS is called in its Region. (templated)
    :param min_inference_units: inference units to start with. The number of instances of a SageMaker endpoint is that
        of its configuration. (templated)
    :param max_inference_units: maximum number of units to which AWS may scale; None: no scaling. (templated)
    :param max_model_minutes: how long the model may be on. The watchdog DAG stops the model after this time, or as soon
        as the run has ended without its stop task. Until then, another DAG cannot start the model. None: no watchdog
        checks the model. (templated)
    :param watchdog_dag_id: the id of the watchdog DAG. (templated)
    :param sns_topic_arn: the SNS topic that gets a notice when the watchdog had to stop the model; None: no notice.
        (templated)
    :param aws_conn_id: the id of the Airflow connection to AWS. (templated)
    """

    template_fields: Sequence[str] = (
        *("model_arn", "min_inference_units", "max_inference_units", "max_model_minutes", "watchdog_dag_id"),
        *("sns_topic_arn", "aws_conn_id"),
    )

    def __init__(
        self,
        *,
        model_arn: str,
        min_inference_units: int = 1,
        max_inference_units: int | None = None,
        max_model_minutes: float | None = None,
        watchdog_dag_id: str = WATCHDOG_DAG,
        sns_topic_arn: str | None = None,
        aws_conn_id: str = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_arn = model_arn
        self.min_inference_units = min_inference_units
        self.max_inference_units = max_inference_units
        self.max_model_minutes = max_model_minutes
        self.watchdog_dag_id = watchdog_dag_id
        self.sns_topic_arn = sns_topic_arn
        self.aws_conn_id = aws_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """`requested_at`: ISO 8601; `adopted`: whether the model was on already; `units`: its inference units."""
        self.settings = Arguments().model(self.model_arn, self.aws_conn_id)
        units, max_units = self._units()
        minutes, topic_arn = self._minutes(), self._topic()
        hook = hook_for(self.settings.model, self.settings.aws_conn_id, client_config())
        state = self._until_startable(context, hook, self.settings.model_arn)
        requested_at, lease = datetime.now(UTC), None
        if minutes is not None:
            lease = self._lease_of_earlier_try(context, state, self.settings.model_arn)
            if lease is None:
                lease = self._new_lease(context, minutes, units, topic_arn)
                xcom.push_warning(context, leases.claim(lease))
            self._warn_without_watchdog(context)
            requested_at = lease.since
        if lease is None:  # again, because the wait may have been long; with a lease, `claim` has checked
            held = leases.check_not_held(self.settings.model_arn, context["ti"].dag_id)
            if held and held.kept_for_late_start:  # from now on the model is this run's, which has no lease
                xcom.push_warning(context, switch.disarm(held))
                leases.end_lease(held)
        asked = self._ask(hook, state, lease, units, max_units)
        adopted = asked.adopted is not None
        return {"requested_at": requested_at.isoformat(), "adopted": adopted, "units": asked.units(units)}

    def _units(self) -> tuple[int, int | None]:
        given: dict[str, Any] = {"min_inference_units": self.min_inference_units}
        if self.max_inference_units is not None:
            given["max_inference_units"] = self.max_inference_units
        found = Arguments().checked(**given)
        units, most = found["min_inference_units"], found.get("max_inference_units")
        if most is not None and most < units:
            raise AirflowFailException(
                f"argument max_inference_units is {most}, less than min_inference_units ({units})"
            )
        return units, most

    def _minutes(self) -> float | None:
        if self.max_model_minutes is None:
            return None
        return float(Arguments().checked(max_model_minutes=self.max_model_minutes)["max_model_minutes"])

    def _topic(self) -> str | None:
        if self.sns_topic_arn is None:
            return None
        topic_arn: str | None = Arguments().checked(sns_topic_arn=self.sns_topic_arn)["sns_topic_arn"]
        return topic_arn

    def _warn_without_watchdog(self, context: Context) -> None:
        try:
            looks = context["ti"].get_dr_count(dag_id=self.watchdog_dag_id, states=["running", "success", "failed"])
        except Exception as error:  # noqa: BLE001  # any error: the start does not depend on the watchdog
            self.log.info("cannot find out whether the watchdog %s runs: %s", self.watchdog_dag_id, error)
            return
        if not looks:
            self.log.warning(
                "the watchdog DAG %s has never run: if this DAG does not stop the model, nothing does. "
                "Unpause the watchdog, see docs/operators.md",
                self.watchdog_dag_id,
            )

    def _new_lease(self, context: Context, minutes: float, units: int, topic_arn: str | None) -> Lease:
        ti, now = context["ti"], datetime.now(UTC)
        return Lease(
            model_arn=self.settings.model_arn,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            since=now,
            until=lease_until(now, minutes, 0),
            units=units,
            aws_conn_id=self.settings.aws_conn_id,
            sns_topic_arn=topic_arn,
            start_asked=True,
            watchdog_dag_id=self.watchdog_dag_id,
        )


class StopCustomModelOperator(StopsModel):
    """
    Stops a custom model in your own DAG, and waits until it is off. Make it the teardown of the start, with retries. It
    keeps its worker slot while it waits and cannot be deferred, so that the stop depends on nothing else.

    If the model is off at first, the task checks its state for one more minute: a start request sent just before may
    still take effect, and Describe may still return the state from before it. If another run holds the model by a lease
    now, the task leaves the model on for that run, and is **skipped**. The task also ends the lease that this run's
    start took. Returns `stopped_at`, `on_since` and `asked_at`.

    **When it is red: the model may still be running and costs money.** Its log begins with the command that stops the
    model manually: run it now.

    :param model_arn: the model's ARN. (templated)
    :param aws_conn_id: the id of the Airflow connection to AWS. (templated)
    """

    template_fields: Sequence[str] = ("model_arn", "aws_conn_id")

    def __init__(self, *, model_arn: str, aws_conn_id: str = "aws_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_arn = model_arn
        self.aws_conn_id = aws_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """`xcom.Stopped`, as JSON."""
        # The connection id is not checked: a check that an upgrade made stricter must not prevent the stop.
        model_arn = Arguments().checked(model_arn=self.model_arn)["model_arn"]
        self.settings = PlannedModel(model_arn=model_arn, aws_conn_id=str(self.aws_conn_id))
        try:
            return self._stop(context, self.settings)
        except TakenOverError as error:
            raise AirflowSkipException(f"{error}: the model is left on for that run, and not stopped") from error

    def _knows_start(self, context: Context) -> bool:  # noqa: ARG002  # as below
        return False

    def _start_asked_at(self, context: Context, model_arn: str) -> datetime | None:  # noqa: ARG002  # the signature of the base class
        """Now, because the time is not known. So a model that is off must stay off for as long as Describe can lag."""
        return datetime.now(UTC)
