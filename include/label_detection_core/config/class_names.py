"""Reads the option `class_names`: names for the classes of a model that answers with class numbers."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

#: A class without a name: `3`, or `LABEL_3` in answers of the Hugging Face toolkit.
NUMBER = re.compile(r"(?:LABEL_)?(\d{1,6})")
_AS_TEXT = 'must be names with commas between them, or JSON such as ["leaf, dry", "leaf"] or {"0": "leaf", "1": "weed"}'


def read(value: Any) -> Any:
    """Return the class names in the order of their numbers.

    A list is returned as it is.

    :param value: a list, an object that maps numbers to names (`id2label`), or a text. A text is names with commas
        between them, JSON, or a list or dict as Python prints it. A number is `0`, `"0"` or `"LABEL_0"`.
    :raises ValueError: when a text cannot be read, or the numbers of an object are not 0, 1, 2 and so on.
    """
    if isinstance(value, str):
        value = _parsed(value) if value[:1] in {"[", "{"} else [name.strip() for name in value.split(",")]
    return _in_order(value) if isinstance(value, Mapping) else value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)  # reads literals only and runs no code
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        raise ValueError(_AS_TEXT) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("names a class twice: keep one name per number")
    return found


def _in_order(names: Mapping[Any, Any]) -> list[Any]:
    numbered: dict[int, Any] = {}
    for key, name in names.items():
        number = NUMBER.fullmatch(str(key))
        if not number:
            raise ValueError("has a key that is not a class number: write keys such as 0 and 1, as in an id2label")
        if int(number[1]) in numbered:
            raise ValueError(f"names class {int(number[1])} twice: keep one name per number")
        numbered[int(number[1])] = name
    missing = next((number for number in range(len(numbered)) if number not in numbered), None)
    if missing is not None:
        raise ValueError(
            f"has a name for class {max(numbered)} but none for class {missing}: name every class, from 0 on"
        )
    return [numbered[number] for number in range(len(numbered))]
