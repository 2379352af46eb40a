"""Waiting for a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import jmespath
from airflow.providers.amazon.aws.triggers.base import AwsBaseWaiterTrigger
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from botocore.exceptions import ClientError, WaiterError

from label_detection.hooks.model import hook_class, hook_for
from label_detection_core import aws_errors
from label_detection_core.config.model_types import model_of
from label_detection_core.model.history import seconds_to_next_look

#: SageMaker's word for an endpoint whose start failed: of this start, since start_model takes away what another left.
_ENDPOINT_FAILED = "Failed"
#: What SageMaker answers while there is no endpoint.
_NOT_THERE = {"ValidationException", "ResourceNotFound"}


class ModelRunningTrigger(AwsBaseWaiterTrigger):
    """Ends its task when the model is RUNNING, with the time; resumes it with an error when it cannot come to be.

    The task is ended from here because each second until the next one begins is paid for: it need not be resumed first.
    How long to wait at most is the deferral's timeout, an absolute time that survives the triggerer's restart.

    :param model_arn: the model.
    :param waiter_args: what its service's `model_running` waiter is called with.
    :param since: when the model was asked for, ISO 8601 with its offset.
    :param usual: the quickest and the slowest start of late, seconds: it looks more often around that time.
    :param lags_until: until when a state may be from before the start request, ISO 8601 with its offset; None: it never
        is (a trigger that an earlier version has made).
    """

    def __init__(
        self,
        *,
        model_arn: str,
        waiter_args: dict[str, Any],
        since: str,
        usual: tuple[float, float] | None = None,
        lags_until: str | None = None,
        waiter_delay: int = 1,
        waiter_max_attempts: int = 1,
        **kwargs: Any,
    ) -> None:
        """`waiter_delay` and `waiter_max_attempts` are the base class's, and mean nothing here."""
        model = model_of(model_arn)
        super().__init__(
            serialized_fields={
                "model_arn": model_arn,
                "waiter_args": waiter_args,
                "since": since,
                "usual": usual,
                "lags_until": lags_until,
            },
            waiter_name="model_running",
            waiter_args=waiter_args,
            failure_message="the model will not run",
            status_message="the model is",
            status_queries=[hook_class(model).STATUS],
            return_value=None,
            waiter_delay=waiter_delay,
            waiter_max_attempts=waiter_max_attempts,
            **kwargs,
        )
        self.model = model
        self.since = datetime.fromisoformat(since)
        self.usual = usual
        self.lags_until = datetime.fromisoformat(lags_until) if lags_until else None

    def hook(self) -> Any:
        """The model's hook."""
        return hook_for(self.model, self.aws_conn_id, self.botocore_config, verify=self.verify)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the model again and again: the waiter says what it sees, the time that has passed when to look."""
        hook = self.hook()
        async with await hook.get_async_conn() as client:
            waiter: Any = hook.get_waiter(self.waiter_name, deferrable=True, client=client)
            while True:
                try:
                    await waiter.wait(**self.waiter_args, WaiterConfig={"MaxAttempts": 1})
                except (WaiterError, *aws_errors.AWS_ERRORS) as error:
                    if not _passes(error) and not self._may_be_from_before(error):
                        yield TriggerEvent(
                            {"status": "error", "message": f"{self.failure_message}: {self._seen(error)}"}
                        )
                        return
                else:
                    yield TaskSuccessEvent(xcoms={"return_value": datetime.now(UTC).isoformat()})
                    return
                elapsed = (datetime.now(UTC) - self.since).total_seconds()
                await asyncio.sleep(seconds_to_next_look(elapsed, self.usual))

    def _may_be_from_before(self, error: Exception) -> bool:
        """Whether the waiter has seen a state that may be older than the start request, or no endpoint yet."""
        if self.lags_until is None or datetime.now(UTC) >= self.lags_until or not isinstance(error, WaiterError):
            return False
        if jmespath.search(self.status_queries[0], error.last_response) == _ENDPOINT_FAILED:
            return False
        return error.last_response.get("Error", {}).get("Code") in {None, *_NOT_THERE}

    def _seen(self, error: Exception) -> str:
        status = jmespath.search(self.status_queries[0], getattr(error, "last_response", {}))
        return f"{status}: {error}" if status else str(error)


def _passes(error: Exception) -> bool:
    """Whether the model is still starting, or the service has trouble that passes."""
    if not isinstance(error, WaiterError):
        return aws_errors.is_transient(error)
    if "Error" in error.last_response:
        return aws_errors.is_transient(ClientError(error.last_response, "the waiter"))
    return "Max attempts exceeded" in str(error)
