"""The events in a queue message, taken out of what other services put around them.

An S3 event reaches a queue directly, or through SNS, EventBridge, EventBridge Pipes, a Lambda function or a Step
Functions execution that failed, another queue, or a script that sends messages again. Each adds an envelope, and
envelopes lie in one another.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Envelopes around one event. Real ones need up to ten; each quoting doubles a text's backslashes, so that 1 MiB, the
#: largest SQS message, has room for about twenty that are texts.
_MOST_LAYERS = 32
#: Characters that say where in a message something lies.
_MOST_OF_PLACE = 60
#: What may stand before JSON: white space, a byte-order mark, and what its bytes become when they are read as Latin-1.
_BEFORE = " \t\r\n\ufeff\xef\xbb\xbf"


@dataclass(frozen=True)
class Found:
    """What lies in the innermost envelope; `where`: its place in the message, such as `record 2`, empty: all of it."""

    content: Any
    where: str


@dataclass(frozen=True)
class Unopened:
    """An envelope that could not be opened, and why."""

    problem: str
    where: str


def opened(body: str) -> Iterator[Found | Unopened]:
    """Everything that a message's body holds, in its order. Never raises."""
    yield from _open(body, "", 0)


def _open(value: Any, where: str, layers: int) -> Iterator[Found | Unopened]:
    if layers > _MOST_LAYERS:
        yield Unopened(f"more than {_MOST_LAYERS} envelopes around it", where)
        return
    if not isinstance(value, str | dict | list):  # said at once: a message has room for half a million numbers
        yield Found(value, where)
    elif isinstance(value, str):
        text = value.lstrip(_BEFORE)
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError) as error:
            if (inner := _out_of_base64(text)) is None:
                yield Unopened(f"not an S3 event, and not JSON: {error}", where)
            else:
                yield from _open(inner, where, layers + 1)
        else:
            yield from _open(inner, where, layers + 1)
    elif many := _several(value):
        name, parts = many
        for number, part in enumerate(parts):
            place = f"{where}, {name} {number}" if where else f"{name} {number}"
            yield from _open(part, place if len(place) <= _MOST_OF_PLACE else where, layers + 1)
    elif (inner := _single(value)) is not None:
        yield from _open(inner, where, layers + 1)
    else:
        yield Found(value, where)


def _out_of_base64(text: str) -> str | None:
    """What was encoded as Base64, as some SQS libraries do with every body; None: it is something else."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode() or None
    except ValueError:
        return None


def _several(value: Any) -> tuple[str, list[Any]] | None:
    """What an envelope around several events calls each of them, and the events."""
    match value:
        case {"Records": [_, *_] as records}:  # S3 itself; Lambda's events from SQS and SNS; CloudTrail's log files
            return "record", records
        case {"Messages": [_, *_] as received}:  # SQS's ReceiveMessage, as the AWS CLI prints it
            return "message", received
        case [_, *_]:  # EventBridge Pipes
            return "event", value
    return None


def _single(value: Any) -> Any:
    """What lies in an envelope around one content: an object, a list or JSON as text; None: it is no envelope."""
    match value:
        case (
            {"Type": "Notification", "Message": (str() | dict() | list()) as inner}  # SNS
            | {"Sns": {"Message": (str() | dict() | list()) as inner}}  # SNS, as Lambda gets it
            | {"eventSource": "aws:sqs", "body": (str() | dict() | list()) as inner}  # SQS, as Lambda gets it
            | {"messageId": str(), "body": (str() | dict() | list()) as inner}  # the same through Pipes
            | {"MessageId": str(), "Body": (str() | dict() | list()) as inner}  # SQS's ReceiveMessage
            | {"requestPayload": (str() | dict() | list()) as inner}  # the destination of a Lambda function
            | {"executionArn": str(), "input": (str() | dict() | list()) as inner}  # a Step Functions execution
            | {"specversion": str(), "data": (str() | dict() | list()) as inner}  # CloudEvents
            | {"specversion": str(), "data_base64": str() as inner}
        ):
            return inner
        case {"source": str(source), "detail-type": str(), "detail": dict() as inner} if source != "aws.s3":
            return inner  # an event that a custom event bus passed on
    return None
