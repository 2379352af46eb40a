"""The analysis: one consumer of the queue per mapped task."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection import lag, xcom
from label_detection.hooks.clients import FEW_ATTEMPTS, IMAGE_ATTEMPTS, s3_client, sqs_client
from label_detection.hooks.model import ModelState, Phase, model_hook, paced_model_hook
from label_detection.links.console import FinalBucketLink, ModelLink
from label_detection.links.pages import PicturesLink
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.journal import Journal
from label_detection_core.drain.message_worker import RefusedError, Tally
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.labelling.labels import ModelInfo, RunInfo
from label_detection_core.labelling.naming import naming
from label_detection_core.queue.image_queue import VISIBILITY_SECONDS, ImageQueue
from label_detection_core.run.plan import MAX_WORKERS, Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

#: How long a retry waits for messages that the killed try before it held: their visibility timeout, and a little more.
_RETRY_PATIENCE_SECONDS = VISIBILITY_SECONDS + 15.0


class AnalyseImagesOperator(BaseOperator):
    """
    Takes images from the queue until it is empty or the model's time is up. For each: detects labels, copies the image
    to the final bucket, writes its label document, deletes it from the source bucket and its message from the queue.
    What is not an image, or what the model refuses, goes to `rejected/` in the final bucket with the reason.

    How often it asks the model follows the model: more while nothing is throttled, a little less when something is.

    The name of each task in the grid says what it did. It never starts a model: cleared alone, it fails at once and the
    images stay in the queue. Clear `start_model` with its downstream tasks instead, or wait for the next run.

    **When it is red:** nothing is lost; what it held is back in the queue. Its log names the call that was refused
    (see the permissions in the README), or says that the model is not running (which it believes only a minute after
    `wait_for_model` saw it running), or that a service is down.
    """

    operator_extra_links = (PicturesLink(), FinalBucketLink(), ModelLink())

    def __init__(self, *, images_per_second: float, **kwargs: Any) -> None:
        """`images_per_second`: this task's share of what the plan expects of the model, to begin with."""
        super().__init__(**kwargs)
        self.images_per_second = images_per_second
        self._drain: Drain | None = None
        self._killed = False

    def execute(self, context: Context) -> dict[str, int]:
        """The tally: images by outcome."""
        plan = xcom.require_plan(context)
        self.settings = plan.settings
        state = self._look_at_model(context, plan)
        if state.phase is not Phase.RUNNING:
            raise AirflowFailException(
                f"the model is {state}, not running: clear start_model, or wait for the next run"
            )
        self._drain = self._make_drain(plan, context)
        try:
            if not self._killed:
                self._drain.run()
        except RefusedError as error:
            if not self._killed:  # a retry here and now would only keep the model on
                raise AirflowFailException(str(error)) from error
        finally:
            context["images"] = str(self._drain.tally)  # type: ignore[typeddict-unknown-key]  # map_index_template
        if self._killed:
            raise AirflowException(f"told to end: {self._drain.tally}; what was in hand is back in the queue")
        return vars(self._drain.tally)

    def _look_at_model(self, context: Context, plan: Plan) -> ModelState:
        """Whether the model runs. Right after wait_for_model has seen it run, another state may be an old one."""
        seen_at = xcom.pull_running_at(context)
        until = lag.lags_until(seen_at) if seen_at else datetime.now(UTC)

        def is_final(state: ModelState) -> bool:
            return self._killed or state.phase in {Phase.RUNNING, Phase.UNUSABLE}

        return lag.look_until(model_hook(plan.settings).describe, is_final, until)

    def on_kill(self) -> None:
        """Airflow's only word that the task must end; `execute` goes on until the drain returns."""
        self._killed = True
        if self._drain:
            self._drain.stop()

    def _make_drain(self, plan: Plan, context: Context) -> Drain:
        settings = plan.settings
        ti = context["ti"]
        started = xcom.require_started(context)
        pace = Pace(self.images_per_second * started.units / plan.units, plan.seconds_per_image)
        run = RunInfo(ti.dag_id, ti.run_id, max(ti.map_index or 0, 0))
        labeller = Labeller(
            s3=s3_client(settings, MAX_WORKERS, IMAGE_ATTEMPTS),
            detect=naming(paced_model_hook(settings, MAX_WORKERS, pace).detect, settings.class_names),
            source_bucket=settings.source_bucket,
            final_bucket=settings.final_bucket,
            model=ModelInfo(settings.model_arn, settings.least_confidence),
            max_receives=settings.max_receives,
            run=run,
            conditions=plan.conditions,
            storage_class=settings.final_storage_class,
        )
        return Drain(
            ImageQueue(sqs_client(settings, attempts=FEW_ATTEMPTS), settings.queue_url),
            labeller,
            Journal(s3_client(settings, attempts=FEW_ATTEMPTS), settings.final_bucket, run),
            pace,
            workers=MAX_WORKERS,
            deadline=started.deadline.timestamp(),
            on_progress=self._say,
            # What the killed try before this one held comes back within its visibility timeout.
            patience=_RETRY_PATIENCE_SECONDS if ti.try_number > 1 else 0.0,
        )

    def _say(self, tally: Tally) -> None:
        self.log.info("so far: %s", tally)
