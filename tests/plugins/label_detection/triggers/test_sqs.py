"""The trigger that waits for images without a worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.module_loading import import_string
from botocore.exceptions import ClientError

from label_detection.triggers.sqs import QueueDepthTrigger, StartRuleTrigger
from label_detection_core.model.lease import lease_name
from label_detection_core.run.start_rule import Waiting, waiting_name
from tests.core.queues import delay
from tests.plugins.conftest import Run, Variables, events_of

if TYPE_CHECKING:
    from tests.conftest import Aws


def trigger_until(aws: Aws, seconds: float, poll_seconds: float = 0.1) -> QueueDepthTrigger:
    return QueueDepthTrigger(
        queue_url=aws.settings.queue_url,
        until=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        aws_conn_id="aws_default",
        region_name="us-east-1",
        poll_seconds=poll_seconds,
    )


def test_the_triggerer_restores_it_with_the_same_arguments() -> None:
    arguments: dict[str, Any] = {
        "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/images",
        "until": "2026-11-22T06:05:00+00:00",
        "aws_conn_id": "parts_account",
        "region_name": "eu-west-1",
        "poll_seconds": 3.5,
    }
    path, serialised = QueueDepthTrigger(**arguments).serialize()
    assert serialised == arguments
    restored = import_string(path)(**json.loads(json.dumps(serialised)))
    assert type(restored) is QueueDepthTrigger
    assert restored.serialize() == (path, arguments)


def test_the_trigger_fires_when_images_are_already_waiting(aws: Aws) -> None:
    for number in range(3):
        aws.upload(f"{number}.png", b"")
    (event,) = events_of(trigger_until(aws, 60), within=30)
    assert event.payload == {"visible": 3, "delayed": 0}


def test_the_trigger_fires_when_an_image_arrives(aws: Aws) -> None:
    began = time.monotonic()
    upload = threading.Timer(1, aws.upload, ("late.png", b""))
    upload.start()
    (event,) = events_of(trigger_until(aws, 60), within=30)
    upload.join()
    assert event.payload == {"visible": 1, "delayed": 0}
    assert time.monotonic() - began >= 1


def test_the_trigger_fires_without_images_when_its_time_is_up(aws: Aws) -> None:
    began = time.monotonic()
    (event,) = events_of(trigger_until(aws, 1.5, poll_seconds=60), within=30)
    assert event.payload == {"visible": 0, "delayed": 0}
    assert 1 < time.monotonic() - began < 30, "it must not wait for its next look, 60 seconds"


def test_delayed_messages_do_not_count_as_waiting(aws: Aws) -> None:
    delay(aws, 600)
    aws.upload("1.png", b"")
    (event,) = events_of(trigger_until(aws, 1), within=30)
    assert event.payload == {"visible": 0, "delayed": 1}


def test_a_time_that_has_passed_ends_it_at_once(aws: Aws) -> None:
    (event,) = events_of(trigger_until(aws, -3600, poll_seconds=60), within=30)
    assert event.payload == {"visible": 0, "delayed": 0}


def test_images_that_wait_count_even_when_its_time_has_passed(aws: Aws) -> None:
    aws.upload("waiting.png", b"")
    (event,) = events_of(trigger_until(aws, -3600), within=30)
    assert event.payload == {"visible": 1, "delayed": 0}


def test_a_restarted_trigger_keeps_its_end_time(aws: Aws) -> None:
    trigger = trigger_until(aws, 1.5, poll_seconds=60)
    path, arguments = trigger.serialize()
    restarted = import_string(path)(**arguments)
    assert datetime.fromisoformat(restarted.until) == datetime.fromisoformat(trigger.until)
    (event,) = events_of(restarted, within=30)
    assert event.payload == {"visible": 0, "delayed": 0}


def test_the_trigger_receives_no_message(aws: Aws) -> None:
    aws.upload("untouched.png", b"")
    events_of(trigger_until(aws, 60), within=30)
    answer = aws.sqs.receive_message(
        QueueUrl=aws.settings.queue_url,
        WaitTimeSeconds=1,
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    )
    (message,) = answer["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_an_error_of_the_queue_does_not_count_as_an_empty_queue(aws: Aws) -> None:
    trigger = trigger_until(aws, 60)
    trigger.queue_url += "-gone"
    with pytest.raises(ClientError, match="NonExistentQueue"):
        events_of(trigger, within=30)


def watcher(aws: Aws, images: int = 2, minutes: float = 0) -> StartRuleTrigger:
    return StartRuleTrigger(
        queue_url=aws.settings.queue_url,
        model_arn=aws.settings.model_arn,
        images=images,
        minutes=minutes,
        aws_conn_id="aws_default",
        region_name="us-east-1",
        poll_seconds=0.05,
    )


async def looks(trigger: StartRuleTrigger, seconds: float) -> list[Any]:
    """The payloads of a watcher that ends a second after its first event, or after some seconds."""
    found: list[Any] = []
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds) as limit:
            async for event in trigger.run():
                if not found:
                    limit.reschedule(loop.time() + 1)
                found.append(event.payload)
    return found


def fired(trigger: StartRuleTrigger) -> list[Any]:
    return asyncio.run(looks(trigger, 60))


def quiet(trigger: StartRuleTrigger) -> bool:
    return asyncio.run(looks(trigger, 2)) == []


def test_the_triggerer_restores_a_watcher_with_the_same_arguments(aws: Aws) -> None:
    path, arguments = watcher(aws, minutes=1.5).serialize()
    restored = import_string(path)(**json.loads(json.dumps(arguments)))
    assert type(restored) is StartRuleTrigger
    assert restored.serialize() == (path, arguments)
    assert (arguments["images"], arguments["minutes"]) == (2, 1.5)


def test_a_watcher_fires_once_while_enough_messages_wait_and_not_after_a_restart(
    aws: Aws, variables: Variables
) -> None:
    aws.upload("1.png", b"")
    assert quiet(watcher(aws))
    aws.upload("2.png", b"")
    assert fired(watcher(aws)) == [{"visible": 2}]
    assert quiet(watcher(aws)), "restarted, and the rule still holds"


def test_a_watcher_does_not_fire_while_a_run_has_the_model(aws: Aws, run: Run) -> None:
    run.plan(aws.settings)
    for number in range(2):
        aws.upload(f"{number}.png", b"")
    assert quiet(watcher(aws))


def test_a_lease_that_has_expired_or_was_edited_does_not_stop_the_watcher(aws: Aws, variables: Variables) -> None:
    variables.values[lease_name(aws.settings.model_arn)] = "not a lease"
    for number in range(2):
        aws.upload(f"{number}.png", b"")
    assert fired(watcher(aws)) == [{"visible": 2}]


def test_a_watcher_counts_the_time_where_the_runs_look(aws: Aws, variables: Variables) -> None:
    aws.upload("1.png", b"")
    assert quiet(watcher(aws, images=100, minutes=60))
    name = waiting_name(aws.settings.queue_url)
    seen = Waiting.model_validate_json(variables.values[name])
    variables.values[name] = Waiting(since=seen.since - timedelta(hours=1)).model_dump_json()
    assert fired(watcher(aws, images=100, minutes=60)) == [{"visible": 1}]


def test_an_error_of_the_queue_does_not_end_the_watcher(aws: Aws, variables: Variables) -> None:
    for number in range(2):
        aws.upload(f"{number}.png", b"")
    trigger = watcher(aws)
    right, trigger.queue_url = trigger.queue_url, f"{trigger.queue_url}-gone"

    async def mended() -> list[Any]:
        asyncio.get_running_loop().call_later(1, setattr, trigger, "queue_url", right)
        return await looks(trigger, 60)

    assert asyncio.run(mended()) == [{"visible": 2}]


def test_a_watcher_receives_no_message(aws: Aws, variables: Variables) -> None:
    aws.upload("untouched.png", b"")
    assert fired(watcher(aws, images=1)) == [{"visible": 1}]
    answer = aws.sqs.receive_message(
        QueueUrl=aws.settings.queue_url, WaitTimeSeconds=1, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    assert answer["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"
