"""How an option is defined that is a number with limits, and one that can also be set for one run."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.config import JsonDict

#: Marks an option that can also be set for one run, in the trigger form.
FOR_ONE_RUN: JsonDict = {"run": True}


def number(default: float, description: str, *, ge: float, le: float, run: bool = False) -> Any:
    """Return the field of a number.

    :param ge: the lowest value; `le`: the highest.
    :param run: whether the option can also be set for one run.
    """
    return Field(default, description=description, ge=ge, le=le, json_schema_extra=FOR_ONE_RUN if run else None)
