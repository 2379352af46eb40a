"""What AWS's own services would have sent to CloudWatch: worked out when it is asked for."""

from datetime import timedelta
from typing import Any

from moto.cloudwatch import urls as moto_urls
from moto.cloudwatch.models import CloudWatchBackend, MetricDatum, MetricDatumBase, cloudwatch_backends
from moto.core.utils import utcnow
from moto.sqs.models import sqs_backends

from local_aws.sqs.models import LocalQueue


class LocalCloudWatchBackend(CloudWatchBackend):
    """moto's CloudWatch; of AWS's own metrics it has AWS/SQS ApproximateAgeOfOldestMessage alone, in seconds.

    moto's own of S3 are left out: it adds them up while others write to the buckets.
    """

    @property
    def _url_module(self) -> Any:
        return moto_urls

    @property
    def aws_metric_data(self) -> list[MetricDatumBase]:
        """The ages now, as of the last full minute: AWS's points are of full minutes. None for an empty queue."""
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
    """Make moto serve this CloudWatch; before its first request."""
    cloudwatch_backends.backend = LocalCloudWatchBackend
