"""Trigger that waits until a model runs."""

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

#: SageMaker's status after a failed start. It is from the current start: start_model removes older failed endpoints.
_ENDPOINT_FAILED = "Failed"
#: Error codes of SageMaker when there is no endpoint.
_NOT_THERE = {"ValidationException", "ResourceNotFound"}


class ModelRunningTrigger(AwsBaseWaiterTrigger):
    """Ends its task with the current time when the model is RUNNING; resumes the task with an error when it fails.

    The trigger ends the task itself, because the model costs money until the next task begins, and resuming this task
    takes time. The deferral's timeout limits the wait; it is an absolute time, so a triggerer restart does not extend
    it.

    :param model_arn: the model's ARN.
    :param waiter_args: arguments of the `model_running` waiter of the model's service.
    :param since: time of the start request, ISO 8601 with its offset.
    :param usual: the shortest and the longest recent start, in seconds. Around that time it checks more often.
    :param lags_until: until when a state may be older than the start request, ISO 8601 with its offset; None: no state
        counts as older (the trigger was made by an earlier version).
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
        """`waiter_delay` and `waiter_max_attempts`: arguments of the base class, not used here."""
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
        """Check the model with the waiter, one attempt at a time, until it runs or fails.

        The pause between two checks depends on the time since the start request.
        """
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
        """Whether the waiter failed on a state that may precede the start request, or on a missing endpoint."""
        if self.lags_until is None or datetime.now(UTC) >= self.lags_until or not isinstance(error, WaiterError):
            return False
        if jmespath.search(self.status_queries[0], error.last_response) == _ENDPOINT_FAILED:
            return False
        return error.last_response.get("Error", {}).get("Code") in {None, *_NOT_THERE}

    def _seen(self, error: Exception) -> str:
        status = jmespath.search(self.status_queries[0], getattr(error, "last_response", {}))
        return f"{status}: {error}" if status else str(error)


def _passes(error: Exception) -> bool:
    """Whether an error only means that the model is still starting, or is a temporary error of the service."""
    if not isinstance(error, WaiterError):
        return aws_errors.is_transient(error)
    if "Error" in error.last_response:
        return aws_errors.is_transient(ClientError(error.last_response, "the waiter"))
    return "Max attempts exceeded" in str(error)
