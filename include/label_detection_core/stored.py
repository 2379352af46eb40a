"""The base classes of stored files. One pydantic model writes a file, reads it, and makes its JSON Schema.

A reader accepts files of other versions of this package. It ignores unknown fields. If the value of a `Lenient` field
has the wrong type, the field gets its default.
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

#: The validation context for writing: a value of the wrong type is then an error.
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
#: A field that gets its default if the stored value has the wrong type.
Lenient = Annotated[T, WrapValidator(_or_default)]
#: A field that is not written when it is None.
Maybe = Annotated[T | SkipJsonSchema[None], WrapValidator(_or_default), Field(exclude_if=_is_none)]
#: A JSON number: not NaN, not infinite, and not a string of digits.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True)]


class Part(BaseModel):
    """An object inside a stored file. Its JSON Schema allows no other fields."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"additionalProperties": False})

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object: field names are the names in the file."""
        return self.model_dump(by_alias=True)


class Stored(Part):
    """A stored file, or one line of a stored file."""

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """Read a file's text. Return None if it is not JSON of this shape."""
        try:
            return cls.model_validate(json.loads(text, parse_constant=lambda _: None))
        except (ValueError, RecursionError):  # ValidationError is a ValueError
            return None

    def to_json(self) -> bytes:
        """Return the text of the file."""
        return to_json(self.to_dict())


class Schema(GenerateJsonSchema):
    """Makes the JSON Schema of a written file: without titles of fields, and without the defaults for readers."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002, D102  # overrides pydantic's method
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:  # noqa: D102
        return self.generate_inner(schema["schema"])


def to_json(document: Any) -> bytes:
    """Return the JSON text of a document, indented, in UTF-8."""
    return json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", errors="backslashreplace")


def now() -> str:
    """Return the current time for a stored file: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
