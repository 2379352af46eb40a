"""The checks of EventBridge Scheduler; an invalid request raises ValidationException."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, OperationNotFoundError, Shape
from botocore.validate import ParamValidator
from moto.scheduler.exceptions import ValidationException

from local_aws.service_models import service_model

_ONE_TIME = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")
_RECURRING = re.compile(r"(rate|cron)\(.+\)")
_UNIVERSAL = re.compile(r"arn:aws[a-z-]*:scheduler:::aws-sdk:([A-Za-z0-9-]+):([A-Za-z0-9]+)")


def check_request(operation: str, parameters: dict[str, Any]) -> None:
    """Check a request against the service model's lengths, patterns, ranges and values. Raises ValidationException."""
    shape = service_model("scheduler").operation_model(operation).input_shape
    wrong = [] if shape is None else list(_violations(shape, parameters, ""))
    if wrong:
        errors = "error" if len(wrong) == 1 else "errors"
        raise ValidationException(f"{len(wrong)} validation {errors} detected: {'; '.join(wrong)}")


def due_at(expression: str, timezone: str | None) -> datetime | None:
    """The due time of a one-time schedule, in UTC; None for a recurring one. Raises ValidationException."""
    one_time = _ONE_TIME.fullmatch(expression)
    try:
        zone = ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name is a folder of zones, or too long
        raise ValidationException(f"Invalid Schedule Expression Timezone {timezone}.") from error
    if one_time is None and _RECURRING.fullmatch(expression):
        return None
    try:
        return datetime.fromisoformat(one_time[1]).replace(tzinfo=zone).astimezone(UTC)  # type: ignore[index]
    except (TypeError, ValueError, OverflowError) as error:  # OverflowError: outside the calendar in UTC
        raise ValidationException(f"Invalid Schedule Expression {expression}.") from error


def universal_target(arn: str) -> tuple[str, OperationModel] | None:
    """The service and the operation of a universal target; None for another target. Raises ValidationException."""
    if ":scheduler:::" not in arn:
        return None
    named = _UNIVERSAL.fullmatch(arn)
    try:
        service, operation = named.groups()  # type: ignore[union-attr]
        model = service_model(service).operation_model(operation[0].upper() + operation[1:])
    except (AttributeError, UnknownServiceError, OperationNotFoundError) as error:
        raise ValidationException(f"Provided Arn is not in correct format: {arn}") from error
    return service, model


def check_target(target: dict[str, Any]) -> None:
    """Raise ValidationException for a universal target whose Input is not a valid request of its operation."""
    universal = universal_target(target["Arn"])
    if universal is None:
        return
    shape = universal[1].input_shape
    try:
        parameters = json.loads(target.get("Input") or "{}")
    except ValueError as error:
        raise ValidationException(f"Invalid RequestJson provided. Reason: {error}") from error
    if shape is not None and (report := ParamValidator().validate(parameters, shape)).has_errors():
        raise ValidationException(f"Invalid RequestJson provided. Reason: {report.generate_report()}")


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        members: dict[str, Shape] = shape.members  # type: ignore[attr-defined]
        for name, member in members.items():
            if value.get(name) is not None:
                yield from _violations(member, value[name], f"{path}.{_lower(name)}".lstrip("."))
            elif name in shape.metadata.get("required", ()):
                yield f"Value null at '{path}.{_lower(name)}' failed to satisfy constraint: Member must not be null"
        return
    limits = shape.metadata
    failed = f"Value '{value}' at '{path}' failed to satisfy constraint: Member must"
    size = len(value) if isinstance(value, str) else value
    what = "have length" if isinstance(value, str) else "have value"
    if "min" in limits and size < limits["min"]:
        yield f"{failed} {what} greater than or equal to {limits['min']}"
    if "max" in limits and size > limits["max"]:
        yield f"{failed} {what} less than or equal to {limits['max']}"
    if "enum" in limits and value not in limits["enum"]:
        yield f"{failed} satisfy enum value set: [{', '.join(limits['enum'])}]"
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        yield f"{failed} satisfy regular expression pattern: {limits['pattern']}"


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
