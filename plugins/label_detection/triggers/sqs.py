"""Trigger that waits for messages in a queue, without receiving any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from label_detection.hooks.clients import aws_hook
from label_detection_core.queue.image_queue import Depth


class QueueDepthTrigger(BaseTrigger):
    """Fires with `{"visible": n, "delayed": n}` when messages can be received, or at the time `until`.

    :param until: ISO 8601 with its offset. The time is absolute, so a restarted trigger does not wait for longer.
    :param poll_seconds: seconds between two reads of the queue's attributes.
    """

    def __init__(
        self, *, queue_url: str, until: str, aws_conn_id: str, region_name: str, poll_seconds: float = 10
    ) -> None:
        super().__init__()
        self.queue_url = queue_url
        self.until = until
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, from which the triggerer restores the trigger."""
        arguments = ("queue_url", "until", "aws_conn_id", "region_name", "poll_seconds")
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return name, {argument: getattr(self, argument) for argument in arguments}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Read the queue's attributes until messages are visible or the time is up."""
        until = datetime.fromisoformat(self.until)
        hook = aws_hook("sqs", self.aws_conn_id, self.region_name)
        async with await hook.get_async_conn() as sqs:
            while True:
                answer = await sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=Depth.attribute_names())
                depth = Depth.from_attributes(answer["Attributes"])
                left = (until - datetime.now(UTC)).total_seconds()
                if depth.visible or left <= 0:
                    yield TriggerEvent({"visible": depth.visible, "delayed": depth.delayed})
                    return
                await asyncio.sleep(min(self.poll_seconds, left))
