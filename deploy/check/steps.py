"""The steps of the check. Each returns one line about its result, or raises an error with the cure."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from label_detection import preflight
from label_detection.hooks.clients import aws_hook, brief_config, s3_client, sqs_client
from label_detection.hooks.model import ModelInUseError, ModelState, Phase, model_hook
from label_detection.stopping import Stopping
from label_detection.waits import Waits
from label_detection_core import aws_errors
from label_detection_core.config.settings import OptionPlace, Settings
from label_detection_core.labelling.naming import naming
from label_detection_core.queue import messages
from label_detection_core.queue.messages import ImageRef

_PLACE = OptionPlace()
_WAITS = Waits()
#: The prefix of the uploaded picture's key.
FOLDER = "aws-check/"
_MESSAGE_SECONDS = 60.0
_START_SECONDS = 3600.0
_LOOK_SECONDS = 5.0


class CheckError(Exception):
    """A step failed; the message has the reason and the cure."""


@dataclass(frozen=True)
class Step:
    """One step: its title, and a function that does it and returns one line about the result."""

    title: str
    do: Callable[[], str]


def reading(settings: Settings) -> list[Step]:
    """The steps that only read."""
    return [
        Step("the account of the credentials", lambda: _account(settings)),
        Step("both buckets exist in the model's Region", lambda: _buckets(settings)),
        Step("the queue exists in the model's Region", lambda: _queue(settings)),
        Step("the source bucket sends an event to the queue for each upload", lambda: _notification(settings)),
        Step("the model can be used", lambda: _model(settings)),
    ]


def labelling(settings: Settings, picture: Path, undo: ExitStack, say: Callable[[str], None]) -> list[Step]:
    """The steps that label one picture. `undo` collects their clean-ups; `say` prints the progress of long steps."""
    key = f"{FOLDER}{uuid.uuid4().hex}{picture.suffix.lower()}"
    return [
        Step("upload the picture", lambda: _upload(settings, picture, key, undo)),
        Step("its event arrives in the queue", lambda: _event(settings, key)),
        Step("write to the final bucket, and delete it", lambda: _final(settings, key)),
        Step("start the model, and wait until it runs", lambda: _start(settings, undo, say)),
        Step("label the picture", lambda: _label(settings, key)),
    ]


def _account(settings: Settings) -> str:
    client: Any = aws_hook("sts", settings.aws_conn_id, settings.region, config=brief_config()).conn
    found = client.get_caller_identity()
    return f"account {found['Account']}, as {found['Arn']}, in {settings.region}"


def _buckets(settings: Settings) -> str:
    warnings = preflight.check_buckets(settings, _PLACE)
    return "; ".join([f"{settings.source_bucket}, {settings.final_bucket}", *warnings])


def _queue(settings: Settings) -> str:
    preflight.check_queue(settings, _PLACE)
    found = sqs_client(settings).get_queue_attributes(QueueUrl=settings.queue_url, AttributeNames=["All"])["Attributes"]
    if int(found.get("DelaySeconds", 0)):
        delay = found["DelaySeconds"]
        raise CheckError(f"{settings.queue_url} delays each message by {delay} s: set its delivery delay to 0")
    waiting, in_use = found["ApproximateNumberOfMessages"], found["ApproximateNumberOfMessagesNotVisible"]
    return f"{waiting} messages visible, {in_use} in flight"


def _notification(settings: Settings) -> str:
    found: Any = s3_client(settings).get_bucket_notification_configuration(Bucket=settings.source_bucket)
    attributes = sqs_client(settings).get_queue_attributes(QueueUrl=settings.queue_url, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    own = [one for one in found.get("QueueConfigurations", []) if one["QueueArn"] == arn]
    if any(event.startswith("s3:ObjectCreated:") for one in own for event in one["Events"]):
        return f"{len(own)} notifications to {arn}"
    if found.get("TopicConfigurations") or "EventBridgeConfiguration" in found:
        return "the events go through SNS or EventBridge: a check with PICTURE=file shows whether they arrive"
    raise CheckError(f"{settings.source_bucket} sends no s3:ObjectCreated events to {arn}: add them, see docs/setup.md")


def _model(settings: Settings) -> str:
    preflight.check_modules(settings)
    state = model_hook(settings).describe()
    if state.phase is Phase.UNUSABLE:
        raise CheckError(f"the model cannot be started: it is {state}")
    return f"it is {state}" + (": ON, AND COSTS MONEY" if state.is_on else "")


def _upload(settings: Settings, picture: Path, key: str, undo: ExitStack) -> str:
    s3 = s3_client(settings)
    undo.callback(s3.delete_object, Bucket=settings.source_bucket, Key=key)
    s3.put_object(Bucket=settings.source_bucket, Key=key, Body=picture.read_bytes())
    return f"s3://{settings.source_bucket}/{key}, deleted at the end"


def _event(settings: Settings, key: str) -> str:
    """Wait for the picture's message and delete it; messages of other pictures are returned to the queue.

    A second delivery of the picture's message stays in the queue; a run ignores it.
    """
    sqs, began = sqs_client(settings), time.monotonic()
    while time.monotonic() - began < _MESSAGE_SECONDS:
        answer = sqs.receive_message(
            QueueUrl=settings.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=5, VisibilityTimeout=30
        )
        for message in answer.get("Messages", []):
            handle: dict[str, Any] = {"QueueUrl": settings.queue_url, "ReceiptHandle": message["ReceiptHandle"]}
            if any(image.key == key for image in messages.read(message["Body"]).images):
                sqs.delete_message(**handle)
                return f"after {time.monotonic() - began:.0f} s; its message is deleted"
            sqs.change_message_visibility(**handle, VisibilityTimeout=0)
    raise CheckError(
        f"no message for {key} within {_MESSAGE_SECONDS:.0f} s: check the notification's prefix and suffix, the "
        "queue's policy and its KMS key; also check that no run of the pipeline received the message"
    )


def _final(settings: Settings, key: str) -> str:
    _, warnings = preflight.probe_conditions(settings, key.replace("/", "-"), _PLACE)
    return "; ".join([f"s3://{settings.final_bucket}", *warnings])


def _start(settings: Settings, undo: ExitStack, say: Callable[[str], None]) -> str:
    hook, began = model_hook(settings), time.monotonic()
    state = hook.describe()
    if state.is_on:
        raise CheckError(f"the model is already {state}, so someone else uses it: try again when it is off")
    undo.callback(_stop, settings, say)
    try:
        hook.start(settings.min_inference_units)
    except ModelInUseError as error:
        raise CheckError(f"the model cannot be started now: {error}") from error
    while (state := _look(hook.describe)).phase is not Phase.RUNNING:
        waited = time.monotonic() - began
        is_starting = state.phase is Phase.STARTING or (waited < _WAITS.lag and state.phase is Phase.OFF)
        if not is_starting or waited > _START_SECONDS:
            raise CheckError(f"the model has not started: it is {state} after {waited:.0f} s")
        say(f"the model is {state}, for {waited:.0f} s")
        time.sleep(_LOOK_SECONDS)
    return f"after {time.monotonic() - began:.0f} s; it is stopped at the end"


def _look(describe: Callable[[], ModelState]) -> ModelState:
    """The model's state; a temporary error of the service counts as STARTING."""
    try:
        return describe()
    except aws_errors.AWS_ERRORS as error:
        if not aws_errors.is_transient(error):
            raise
        return ModelState(Phase.STARTING, "unknown", str(error))


def _stop(settings: Settings, say: Callable[[str], None]) -> None:
    say(f"stopping the model; if this fails, stop it with: {settings.model.stop_command}")
    Stopping(settings.model, settings.aws_conn_id, _WAITS).until_off(datetime.now(UTC))


def _label(settings: Settings, key: str) -> str:
    head = s3_client(settings).head_object(Bucket=settings.source_bucket, Key=key)
    image = ImageRef(bucket=settings.source_bucket, key=key, etag=head["ETag"].strip('"'))
    found = naming(model_hook(settings).detect, settings.class_names)(image, settings.least_confidence)
    names = [f"{label['Name']} {label['Confidence']:.0f} %" for label in found.labels]
    return ", ".join(names) or "no label found"
