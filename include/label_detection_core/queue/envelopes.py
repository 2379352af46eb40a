"""Takes the events in a queue message out of their envelopes.

An S3 event reaches a queue directly, or through SNS, EventBridge, EventBridge Pipes, a failed Lambda function or Step
Functions execution, another queue, or a script that sends messages again. Each adds an envelope, and envelopes are
nested.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: The most envelopes around one event. Real messages have up to ten. The largest SQS message, 1 MiB, has room for about
#: twenty envelopes that are texts, since each level of quoting doubles the backslashes.
_MOST_LAYERS = 32
#: The most characters of a place in a message, such as `record 2`.
_MOST_OF_PLACE = 60
#: Characters to skip before JSON: white space, and a byte-order mark, in UTF-8 or read as Latin-1.
_BEFORE = " \t\r\n\ufeff\xef\xbb\xbf"


@dataclass(frozen=True)
class Found:
    """The content of an innermost envelope. `where`: its place, such as `record 2`; empty for the whole message."""

    content: Any
    where: str


@dataclass(frozen=True)
class Unopened:
    """An envelope that could not be opened, and the reason."""

    problem: str
    where: str


def opened(body: str) -> Iterator[Found | Unopened]:
    """Yield the contents of a message's body, in their order. Never raises."""
    yield from _open(body, "", 0)


def _open(value: Any, where: str, layers: int) -> Iterator[Found | Unopened]:
    if layers > _MOST_LAYERS:
        yield Unopened(f"more than {_MOST_LAYERS} nested envelopes", where)
        return
    if not isinstance(value, str | dict | list):  # first, for speed: a message may contain half a million numbers
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
    """Decode Base64, in which some SQS libraries encode every body; None if the text is not Base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode() or None
    except ValueError:
        return None


def _several(value: Any) -> tuple[str, list[Any]] | None:
    """Return the contents of an envelope around several events, and the name for one of them; None for other values."""
    match value:
        case {"Records": [_, *_] as records}:  # S3 itself; Lambda's events from SQS and SNS; CloudTrail's log files
            return "record", records
        case {"Messages": [_, *_] as received}:  # SQS's ReceiveMessage, as the AWS CLI prints it
            return "message", received
        case [_, *_]:  # EventBridge Pipes
            return "event", value
    return None


def _single(value: Any) -> Any:
    """Return the content of an envelope around one event: an object, a list or JSON text; None for other values."""
    match value:
        case (
            {"Type": "Notification", "Message": (str() | dict() | list()) as inner}  # SNS
            | {"Sns": {"Message": (str() | dict() | list()) as inner}}  # SNS, in a Lambda event
            | {"eventSource": "aws:sqs", "body": (str() | dict() | list()) as inner}  # SQS, in a Lambda event
            | {"messageId": str(), "body": (str() | dict() | list()) as inner}  # SQS, through EventBridge Pipes
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
