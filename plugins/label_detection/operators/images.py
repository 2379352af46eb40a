"""Operators that label the images of a queue, one consumer per task: for the pipeline, and for your own DAG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection import lag, preflight, xcom
from label_detection.arguments import Arguments
from label_detection.hooks.clients import FEW_ATTEMPTS, IMAGE_ATTEMPTS, s3_client, sqs_client
from label_detection.hooks.model import ModelState, Phase, model_hook, paced_model_hook
from label_detection.links.console import FinalBucketLink, ModelLink
from label_detection.links.pages import PicturesLink
from label_detection.waits import Waits
from label_detection_core.config.settings import Settings
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.journal import Journal
from label_detection_core.drain.message_worker import RefusedError, Tally
from label_detection_core.drain.pace import Pace
from label_detection_core.drain.waits import Waits as DrainWaits
from label_detection_core.labelling.conditions import Conditions
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.labelling.labels import ModelInfo, RunInfo
from label_detection_core.labelling.naming import naming
from label_detection_core.queue.image_queue import VISIBILITY_SECONDS, ImageQueue
from label_detection_core.run.plan import MAX_WORKERS, Plan

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Seconds for which a retry waits for messages that the killed try still holds: visibility timeout plus a margin.
_RETRY_PATIENCE_SECONDS = VISIBILITY_SECONDS + 15.0
_ARGUMENTS = Arguments({"max_minutes": "max_model_minutes", "images_per_second": "images_per_second_per_unit"})


class DrainsQueue(BaseOperator):
    """Base class of the operators that label the images of a queue."""

    waits = Waits()
    drain_waits = DrainWaits()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._drain: Drain | None = None
        self._killed = False

    def on_kill(self) -> None:
        """Stop the drain; `execute` runs until it returns. Airflow asks a task to end only by this call."""
        self._killed = True
        if self._drain:
            self._drain.stop()

    def _look_at_model(self, settings: Settings, until: datetime) -> ModelState:
        """The model's state. Until the time `until`, a state other than RUNNING may be outdated, and is read again."""

        def is_final(state: ModelState) -> bool:
            return self._killed or state.phase in {Phase.RUNNING, Phase.UNUSABLE}

        return lag.look_until(model_hook(settings).describe, is_final, until, self.waits)

    def _empty(self, drain: Drain, context: Context) -> dict[str, int]:
        """Label the images until the queue is empty. Returns the tally: number of images by outcome."""
        self._drain = drain
        try:
            if not self._killed:
                drain.run()
        except RefusedError as error:
            if not self._killed:  # a retry would only keep the model on for longer
                raise AirflowFailException(str(error)) from error
        finally:
            context["images"] = str(drain.tally)  # type: ignore[typeddict-unknown-key]  # map_index_template
        if self._killed:
            raise AirflowException(f"the task was stopped: {drain.tally}; its other messages are back in the queue")
        return vars(drain.tally)

    def _make_drain(self, plan: Plan, context: Context, images_per_second: float, deadline: datetime) -> Drain:
        settings = plan.settings
        ti = context["ti"]
        pace = Pace(images_per_second, plan.seconds_per_image)
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
            deadline=deadline.timestamp(),
            on_progress=self._say,
            # Messages of the killed try become visible again after their visibility timeout.
            patience=_RETRY_PATIENCE_SECONDS if ti.try_number > 1 else 0.0,
            waits=self.drain_waits,
        )

    def _say(self, tally: Tally) -> None:
        self.log.info("so far: %s", tally)


class AnalyseImagesOperator(DrainsQueue):
    """
    Receives images from the queue until it is empty or the model's time is up. For each image, it detects labels,
    copies the image to the final bucket, writes the label document, deletes the image from the source bucket, and
    deletes the message from the queue. A file that is not an image, or that the model refuses, goes to `rejected/` in
    the final bucket, with the reason.

    The request rate adapts to the model: it grows while no request is throttled, and falls a little when one is.

    The name of each task in the grid shows its result. The task never starts a model: if it is cleared alone, it fails
    at once, and the images stay in the queue. Clear `start_model` with its downstream tasks instead, or wait for the
    next run.

    **When it is red:** nothing is lost; its messages are back in the queue. Its log names the AWS call that was refused
    (see docs/permissions.md), or reports that the model is not running or that a service is down. In the first minute
    after `wait_for_model` saw the model running, another state does not fail the task.
    """

    operator_extra_links = (PicturesLink(), FinalBucketLink(), ModelLink())

    def __init__(self, *, images_per_second: float, **kwargs: Any) -> None:
        """`images_per_second`: this task's first request rate, its share of what the plan expects of the model."""
        super().__init__(**kwargs)
        self.images_per_second = images_per_second

    def execute(self, context: Context) -> dict[str, int]:
        """The tally: number of images by outcome."""
        plan = xcom.require_plan(context)
        self.settings = plan.settings
        seen_at = xcom.pull_running_at(context)  # soon after this, a state other than RUNNING may be outdated
        until = lag.lags_until(seen_at, self.waits) if seen_at else datetime.now(UTC)
        state = self._look_at_model(plan.settings, until)
        if state.phase is not Phase.RUNNING:
            raise AirflowFailException(
                f"the model is {state}, not running: clear start_model and its downstream tasks, "
                "or wait for the next run"
            )
        started = xcom.require_started(context)
        images_per_second = self.images_per_second * started.units / plan.units
        return self._empty(self._make_drain(plan, context, images_per_second, started.deadline), context)


class DetectLabelsFromQueueOperator(DrainsQueue):
    """
    Labels the images that an SQS queue announces, in your own DAG, with a custom model that is running. It ends when
    the queue is empty or `max_minutes` have passed. Images that are not labelled by then stay in the queue.

    For each image, it detects labels, copies the image to the final bucket, writes its label document there, deletes
    the image from the source bucket, and deletes the message from the queue. An image that the model refuses goes to
    `rejected/` in the final bucket, with the reason. The task first checks the queue and the buckets. It never starts a
    model. Several such tasks may work on one queue. Returns how many images were `labelled`, `rejected`, `ignored`,
    `failed` and `unreadable`.

    **When it is red:** nothing is lost; its messages are back in the queue. Its log names the argument that is wrong or
    the AWS call that was refused, or reports that the model is not running.

    :param queue_url: the URL of the SQS queue to which S3 sends its events. (templated)
    :param source_bucket: the bucket with the uploaded images; an image is deleted from it once labelled. (templated)
    :param final_bucket: the bucket for images and label documents; not the source bucket. (templated)
    :param model_arn: the model's ARN; the images and the queue must be in its Region. (templated)
    :param min_confidence: the lowest confidence of a label, 0-100; `model`: the model's own thresholds hold.
        (templated)
    :param max_minutes: minutes from the task's start until it receives no more images. (templated)
    :param images_per_second: the first request rate; then the rate adapts to the model. (templated)
    :param class_names: the names of the classes, from class 0 on, for a model that returns numbers. (templated)
    :param max_receives: number of the delivery at which an image that the model fails on is rejected. (templated)
    :param final_storage_class: the storage class of the copies; None: that of each original. (templated)
    :param aws_conn_id: the id of the Airflow connection to AWS. (templated)
    """

    operator_extra_links = (FinalBucketLink(), ModelLink())
    template_fields: Sequence[str] = (
        *("queue_url", "source_bucket", "final_bucket", "model_arn", "min_confidence", "max_minutes"),
        *("images_per_second", "class_names", "max_receives", "final_storage_class", "aws_conn_id"),
    )

    def __init__(
        self,
        *,
        queue_url: str,
        source_bucket: str,
        final_bucket: str,
        model_arn: str,
        min_confidence: float | str = 70,
        max_minutes: float = 60,
        images_per_second: float = 5,
        class_names: Sequence[str] = (),
        max_receives: int = 5,
        final_storage_class: str | None = None,
        aws_conn_id: str = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.queue_url = queue_url
        self.source_bucket = source_bucket
        self.final_bucket = final_bucket
        self.model_arn = model_arn
        self.min_confidence = min_confidence
        self.max_minutes = max_minutes
        self.images_per_second = images_per_second
        self.class_names = class_names
        self.max_receives = max_receives
        self.final_storage_class = final_storage_class
        self.aws_conn_id = aws_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """The tally: number of images by outcome."""
        began = datetime.now(UTC)
        settings = self.settings = _ARGUMENTS.settings({name: getattr(self, name) for name in self.template_fields})
        state = self._look_at_model(settings, lag.lags_until(began, self.waits))
        if state.phase is not Phase.RUNNING and not self._killed:
            raise AirflowFailException(
                f"the model is {state}, not running: start the model first, and wait until it runs"
            )
        plan = Plan(
            settings=settings,
            backlog=0,
            units=1,
            tasks=1,
            reason="one task, without a plan",
            conditions=self._conditions(settings, context),
        )
        deadline = began + timedelta(minutes=settings.max_model_minutes)
        return self._empty(self._make_drain(plan, context, settings.images_per_second_per_unit, deadline), context)

    def _conditions(self, settings: Settings, context: Context) -> Conditions:
        """Check the queue and both buckets. Returns the conditional requests that the final bucket supports."""
        preflight.check_queue(settings, _ARGUMENTS)
        warnings = preflight.check_buckets(settings, _ARGUMENTS)
        ti = context["ti"]
        probe = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"  # a key per task: several may test at a time
        conditions, weaker = preflight.probe_conditions(settings, probe, _ARGUMENTS)
        for warning in settings.doubts() + warnings + weaker:
            self.log.warning("%s", warning)
        return conditions
