"""Sensor that waits for messages in the SQS queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from label_detection import leases, pools, preflight, waiting
from label_detection.configuration import option_place, read_settings
from label_detection.hooks.clients import sqs_client
from label_detection.hooks.model import model_hook
from label_detection.links.console import QueueLink, SourceBucketLink
from label_detection.triggers.sqs import QueueDepthTrigger
from label_detection_core import aws_errors
from label_detection_core.config.settings import Settings
from label_detection_core.queue.image_queue import Depth, ImageQueue
from label_detection_core.run.start_rule import StartRule

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Error codes for a queue that does not exist: AWS's, and that of other makers.
_NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
#: Added to the deferral's timeout, so that the trigger can fire at the end of its wait before the task times out.
_SLACK = timedelta(minutes=2)


class QueueDepthSensor(BaseSensorOperator):
    """
    Checks the configuration, then whether images are waiting in the queue. If there are none, it watches the queue for
    `wait_minutes`, deferred, without a worker slot. If there are still none, the run is **skipped**, and no model is
    started. The same holds when fewer messages wait than `start_at_images`, until they have waited for
    `start_at_minutes`; the skipped task's log says so.

    If an earlier run of this DAG left the model on, because its stop failed or the run was deleted, this run continues
    without images and stops the model.

    It only reads the number of messages and receives none, so all messages stay visible for the analysis. Messages that
    SQS delays do not start a model, because they cannot be received yet. The log reports their number.

    **When it is red:** its log names each option that is missing or wrong, or reports that the queue cannot be reached
    (check its URL, the Region, and the permission `sqs:GetQueueAttributes`). Nothing was started. Correct the cause and
    clear the task.
    """

    operator_extra_links = (QueueLink(), SourceBucketLink())

    def execute(self, context: Context) -> int:
        """Number of messages that wait. Defers when there are none yet."""
        settings = self.settings = read_settings(context)
        pools.check_pools(context)
        preflight.check_queue(settings, option_place(context))
        depth = _look(context, settings)
        if depth.visible or not settings.wait_minutes:
            return self._decide(context, settings, depth)
        if _left_on(context, settings):
            return self._stop_only()
        wait = timedelta(minutes=settings.wait_minutes)
        minutes = settings.wait_minutes
        self.log.info(
            "no images are waiting yet%s; watching the queue for %g minutes", _delayed(depth.delayed), minutes
        )
        self.defer(
            trigger=QueueDepthTrigger(
                queue_url=settings.queue_url,
                until=(datetime.now(UTC) + wait).isoformat(),
                aws_conn_id=settings.aws_conn_id,
                region_name=settings.region,
            ),
            method_name=self.execute_complete.__name__,
            timeout=wait + _SLACK,
        )

    def execute_complete(self, context: Context, event: dict[str, int]) -> int:
        """Continue after the deferral. Returns the number of messages, or skips the run when there are none."""
        self.settings = read_settings(context)  # for the task's links: this runs in a new process
        return self._decide(context, self.settings, Depth(event["visible"], 0, event.get("delayed", 0)), "came")

    def _decide(self, context: Context, settings: Settings, depth: Depth, verb: str = "are waiting") -> int:
        """The number of messages, if the run goes on. :raises AirflowSkipException: when it starts nothing."""
        since, now = waiting.seen_since(settings, depth.visible), datetime.now(UTC)
        rule = StartRule.of(settings)
        if rule.is_met(depth.visible, since, now):
            self.log.info("%d messages are waiting", depth.visible)
            return depth.visible
        if _left_on(context, settings):
            return self._stop_only(depth.visible)
        if depth.visible:
            raise AirflowSkipException(rule.why_not(depth.visible, since))
        raise AirflowSkipException(f"no images {verb}{_delayed(depth.delayed)}")

    def _stop_only(self, visible: int = 0) -> int:
        self.log.warning("an earlier run left the model on: this run goes on, to stop it")
        return visible


def _left_on(context: Context, settings: Settings) -> bool:
    """Whether an earlier run of this DAG still holds the model, and the model is on and not stopping."""
    lease = leases.read_lease(settings.model_arn)
    if lease is None or lease.dag_id != context["ti"].dag_id:
        return False
    return model_hook(settings).describe().is_held


def _delayed(messages: int) -> str:
    return f" ({messages} delayed by SQS: they cannot be received yet)" if messages else ""


def _look(context: Context, settings: Settings) -> Depth:
    try:
        return ImageQueue(sqs_client(settings), settings.queue_url).depth()
    except ClientError as error:
        if aws_errors.code(error) not in _NO_QUEUE:
            raise
        place = option_place(context)
        raise AirflowFailException(
            f"{place.name('queue_url')}: there is no queue {settings.queue_url}; "
            f"set {place.where('queue_url')} to the URL of an existing queue"
        ) from None
