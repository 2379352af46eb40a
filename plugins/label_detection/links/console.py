"""Links from a task to its queue, buckets and model in the AWS console.

The links read the task's attribute `settings`, which the task sets once it knows them. Before that, they are empty.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.sdk import BaseOperatorLink

from label_detection_core.config.model_types import Model
from label_detection_core.config.settings import Settings
from label_detection_core.drain import journal

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class ConsoleLink(BaseOperatorLink):
    """A page of the AWS console. There is no link if AWS_ENDPOINT_URL points to another server than AWS."""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The page's URL; empty when it is not known, or when there is no such page."""
        settings: Settings | None = getattr(operator, "settings", None)
        if settings is None or os.environ.get("AWS_ENDPOINT_URL"):
            return ""
        model = settings.model
        domain = BaseAwsLink.get_aws_domain(model.partition)
        return f"https://{model.region}.console.{domain}/{self.page(settings, model, ti_key)}" if domain else ""

    @abstractmethod
    def page(self, settings: Settings, model: Model, ti_key: Any) -> str:
        """The part of the URL after the console's host."""


class QueueLink(ConsoleLink):
    """The SQS queue."""

    name = "Queue"

    def page(self, settings: Settings, model: Model, ti_key: Any) -> str:  # noqa: ARG002  # one signature for all
        """The queue's page."""
        return f"sqs/v3/home?region={model.region}#/queues/{quote(settings.queue_url, safe='')}"


class SourceBucketLink(ConsoleLink):
    """The source bucket, where images wait."""

    name = "Source bucket"

    def page(self, settings: Settings, model: Model, ti_key: Any) -> str:  # noqa: ARG002
        """The bucket's page."""
        return _bucket(settings.source_bucket, model)


class FinalBucketLink(ConsoleLink):
    """The final bucket, for images and labels."""

    name = "Final bucket"

    def page(self, settings: Settings, model: Model, ti_key: Any) -> str:  # noqa: ARG002
        """The bucket's page."""
        return _bucket(settings.final_bucket, model)


class RunFolderLink(ConsoleLink):
    """The run's folder in the final bucket, with its report and journal."""

    name = "Report in the final bucket"

    def page(self, settings: Settings, model: Model, ti_key: Any) -> str:
        """The folder's page."""
        return _bucket(settings.final_bucket, model, journal.run_prefix(ti_key.run_id))


class ModelLink(ConsoleLink):
    """The model in the console of its service."""

    name = "Model"

    def page(self, settings: Settings, model: Model, ti_key: Any) -> str:  # noqa: ARG002
        """The page of the model's service."""
        return model.type.console_page(model)


def _bucket(bucket: str, model: Model, prefix: str = "") -> str:
    asked = urlencode({"region": model.region} | ({"prefix": prefix} if prefix else {}))
    return f"s3/buckets/{bucket}?{asked}"
