"""What every stored file is: one typed model that writes it, reads it, and makes its JSON Schema.

A reader takes files of other versions of this package: fields that it does not know are left out, and an odd value of a
`Lenient` field is as if the field were not there.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, SkipJsonSchema
from pydantic_core import PydanticUseDefault

#: The context in which a file is made: an odd value is an error then.
WRITING = {"is_written": True}


def _or_default(value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    try:
        return read(value)
    except ValidationError:
        if info.context == WRITING:
            raise
        raise PydanticUseDefault from None


def _is_none(value: Any) -> bool:
    return value is None


T = TypeVar("T")
#: A field that has its default where what is stored is not of its type.
Lenient = Annotated[T, WrapValidator(_or_default)]
#: A field that is not written where there is nothing to say.
Maybe = Annotated[T | SkipJsonSchema[None], WrapValidator(_or_default), Field(exclude_if=_is_none)]
#: A number that JSON has; a text of digits is none.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True)]


class Part(BaseModel):
    """A part of a stored file. Its schema allows the fields that are written, and no other."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"additionalProperties": False})

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(by_alias=True)


class Stored(Part):
    """A stored file, or a line of one."""

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """From its text; None: this project has not written that."""
        try:
            return cls.model_validate(json.loads(text, parse_constant=lambda _: None))
        except (ValueError, RecursionError):  # ValidationError is a ValueError
            return None

    def to_json(self) -> bytes:
        """As it is stored."""
        return to_json(self.to_dict())


class Schema(GenerateJsonSchema):
    """Makes a JSON Schema of what is written: no titles, which would be the fields' names, and no readers' defaults."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002, D102  # pydantic's method
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: D102
        return self.generate_inner(schema["schema"])


def to_json(document: Any) -> bytes:
    """A document as it is stored."""
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", errors="backslashreplace")


def now() -> str:
    """The time as stored files give it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
