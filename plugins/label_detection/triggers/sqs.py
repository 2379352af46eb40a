"""Triggers that wait for messages in a queue, without receiving any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Variable
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from label_detection import waiting
from label_detection.hooks.clients import aws_hook
from label_detection_core.model.lease import lease_name, lease_of
from label_detection_core.queue.image_queue import Depth
from label_detection_core.run.start_rule import StartRule


class _QueueTrigger(BaseTrigger):
    """Base class of triggers that look at a queue. `arguments`: the names of the arguments of a subclass.

    :param poll_seconds: seconds between two reads of the queue's attributes.
    """

    arguments: tuple[str, ...]

    def __init__(self, *, queue_url: str, aws_conn_id: str, region_name: str, poll_seconds: float = 10) -> None:
        super().__init__()
        self.queue_url = queue_url
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, from which the triggerer restores the trigger."""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return name, {argument: getattr(self, argument) for argument in self.arguments}


class QueueDepthTrigger(_QueueTrigger):
    """Fires with `{"visible": n, "delayed": n}` when messages can be received, or at the time `until`.

    :param until: ISO 8601 with its offset. The time is absolute, so a restarted trigger does not wait for longer.
    :param queue: the arguments of `_QueueTrigger`.
    """

    arguments = ("queue_url", "until", "aws_conn_id", "region_name", "poll_seconds")

    def __init__(self, *, until: str, **queue: Any) -> None:
        super().__init__(**queue)
        self.until = until

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


class StartRuleTrigger(_QueueTrigger, BaseEventTrigger):
    """Fires with `{"visible": n}` each time that the start rule begins to hold. It ends only with the triggerer.

    A rule that keeps holding fires again after a run had the model, or after an hour.

    :param model_arn: while a run has this model, the trigger does not fire.
    :param images: the option `start_at_images`; `minutes`: the option `start_at_minutes`.
    :param queue: the arguments of `_QueueTrigger`.
    """

    arguments = ("queue_url", "model_arn", "aws_conn_id", "region_name", "poll_seconds", "images", "minutes")

    def __init__(self, *, model_arn: str, images: int, minutes: float, **queue: Any) -> None:
        super().__init__(**queue)
        self.model_arn = model_arn
        self.images = images
        self.minutes = minutes

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the queue until the triggerer ends. An error is logged, and the next look tries again."""
        while True:
            try:
                visible = await self._visible()
                starts = await sync_to_async(self._starts)(visible)
            except Exception:  # Airflow never starts a watcher again that has failed
                self.log.exception("cannot look at the queue %s; trying again", self.queue_url)
            else:
                if starts:
                    yield TriggerEvent({"visible": visible})
            await asyncio.sleep(self.poll_seconds)

    async def _visible(self) -> int:
        hook = aws_hook("sqs", self.aws_conn_id, self.region_name)  # each time: credentials expire
        async with await hook.get_async_conn() as sqs:
            answer = await sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=Depth.attribute_names())
        return Depth.from_attributes(answer["Attributes"]).visible

    def _starts(self, visible: int) -> bool:
        if self._is_held():
            return waiting.may_start(self.queue_url, is_met=False, is_held=True)
        since = waiting.seen_in(self.queue_url, visible) if self.minutes else None
        is_met = StartRule(self.images, self.minutes).is_met(visible, since, datetime.now(UTC))
        return waiting.may_start(self.queue_url, is_met, is_held=False)

    def _is_held(self) -> bool:
        name = lease_name(self.model_arn)
        value = Variable.get(name, default=None)
        try:
            lease = lease_of(name, str(value)) if value else None
        except ValueError:  # a person has edited the variable
            return False
        return lease is not None and not lease.kept_for_late_start and not lease.has_expired(datetime.now(UTC))
