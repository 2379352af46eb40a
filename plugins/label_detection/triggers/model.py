"""Waiting for a model."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.triggers.base import AwsBaseWaiterTrigger

from label_detection.hooks.rekognition import RekognitionModelHook


class ModelRunningTrigger(AwsBaseWaiterTrigger):
    """Fires when the model is RUNNING, or is in a state that it cannot come to be RUNNING from.

    How long to wait at the most is the deferral's timeout, an absolute time that survives the triggerer's restart.

    :param model_arn: the model.
    :param waiter_args: what its service's `model_running` waiter is called with.
    """

    def __init__(
        self,
        *,
        model_arn: str,
        waiter_args: dict[str, Any],
        waiter_delay: int = 5,
        waiter_max_attempts: int = 100_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            serialized_fields={"model_arn": model_arn, "waiter_args": waiter_args},
            waiter_name="model_running",
            waiter_args=waiter_args,
            failure_message="the model will not run",
            status_message="the model is",
            status_queries=["ProjectVersionDescriptions[0].Status"],
            return_value=None,
            waiter_delay=waiter_delay,
            waiter_max_attempts=waiter_max_attempts,
            **kwargs,
        )
        self.model_arn = model_arn

    def hook(self) -> RekognitionModelHook:
        """The model's hook."""
        return RekognitionModelHook(
            self.model_arn,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )
