"""Metrics that AWS's services send to CloudWatch, computed when a client requests them."""

from datetime import timedelta
from typing import Any

from moto.cloudwatch import urls as moto_urls
from moto.cloudwatch.models import CloudWatchBackend, MetricDatum, MetricDatumBase, cloudwatch_backends
from moto.core.utils import utcnow
from moto.sqs.models import sqs_backends

from local_aws.sqs.models import LocalQueue


class LocalCloudWatchBackend(CloudWatchBackend):
    """moto's CloudWatch; its only AWS metric is AWS/SQS ApproximateAgeOfOldestMessage, in seconds.

    moto's S3 metrics are left out: moto computes them without a lock while other threads write to the buckets.
    """

    @property
    def _url_module(self) -> Any:
        return moto_urls

    @property
    def aws_metric_data(self) -> list[MetricDatumBase]:
        """The present ages, dated to the last full minute, as AWS's points are. An empty queue has no point."""
        at = utcnow().replace(second=0, microsecond=0) - timedelta(minutes=1)
        queues = sqs_backends[self.account_id][self.region_name].queues
        ages = {name: queue.oldest_age for name, queue in list(queues.items()) if isinstance(queue, LocalQueue)}
        return [
            MetricDatum(
                namespace="AWS/SQS",
                name="ApproximateAgeOfOldestMessage",
                value=age,
                dimensions=[{"Name": "QueueName", "Value": name}],
                timestamp=at,
                unit="Seconds",
            )
            for name, age in ages.items()
            if age is not None
        ]


def install() -> None:
    """Make moto serve this CloudWatch; call it before moto's first request."""
    cloudwatch_backends.backend = LocalCloudWatchBackend
