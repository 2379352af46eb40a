"""The state of the queue: the number of messages from SQS, the age of the oldest message from CloudWatch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException

from label_detection.ui import clients
from label_detection.ui.responses import said_in_words
from label_detection_core.queue.image_queue import ImageQueue

if TYPE_CHECKING:
    from label_detection_core.config.settings import Settings

#: AWS: SQS sends one data point per minute if the queue was used in the last six hours.
_PERIOD_SECONDS = 60
_LOOK_BACK = timedelta(minutes=10)


def queue(settings: Settings) -> dict[str, Any]:
    """`queue`: the number of messages, and the age of the oldest one in seconds.

    `queue_problem`, `age_problem`: why the counts or the age cannot be read; None: they can. `oldest_seconds` is None
    when no message waits, when CloudWatch has no data point, and when there is an `age_problem`.
    """
    try:
        with said_in_words("The queue", "sqs:GetQueueAttributes on it"):
            depth = ImageQueue(clients.sqs_client(settings), settings.queue_url).depth()
    except HTTPException as error:
        return {"queue": None, "queue_problem": error.detail, "age_problem": None}
    oldest, problem = _oldest_seconds(settings) if depth.visible else (None, None)
    counts = {"waiting": depth.visible, "in_flight": depth.in_flight, "oldest_seconds": oldest}
    return {"queue": counts, "queue_problem": None, "age_problem": problem}


def _oldest_seconds(settings: Settings) -> tuple[float | None, str | None]:
    now = datetime.now(UTC)
    try:
        with said_in_words("The age of the oldest message", "cloudwatch:GetMetricStatistics"):
            cloudwatch = clients.cloudwatch_client(settings)
            points = cloudwatch.get_metric_statistics(
                Namespace="AWS/SQS",
                MetricName="ApproximateAgeOfOldestMessage",
                Dimensions=[{"Name": "QueueName", "Value": settings.queue_url.rpartition("/")[2]}],
                StartTime=now - _LOOK_BACK,
                EndTime=now,
                Period=_PERIOD_SECONDS,
                Statistics=["Maximum"],
            )["Datapoints"]
    except HTTPException as error:
        return None, str(error.detail)
    if not points:
        return None, None
    return float(max(points, key=lambda point: point["Timestamp"])["Maximum"]), None
