"""Names for the classes of models that only number them: how they are written."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

#: What a class is called that nobody has named: `3`, and by the Hugging Face toolkit `LABEL_3`.
NUMBER = re.compile(r"(?:LABEL_)?(\d{1,6})")
_AS_TEXT = 'must be names with commas between them, or JSON such as ["leaf, dry", "leaf"] or {"0": "leaf", "1": "weed"}'


def read(value: Any) -> Any:
    """The names in the order of their numbers, of a text, a list, or an object from number to name (`id2label`).

    A text is names with commas between them, JSON, or what Python prints of a list or a dict. A number may be written
    `0`, `"0"` or `"LABEL_0"`.

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
        return ast.literal_eval(text)  # literals alone: nothing is run
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        raise ValueError(_AS_TEXT) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("names a class twice: keep one name for each number")
    return found


def _in_order(names: Mapping[Any, Any]) -> list[Any]:
    numbered: dict[int, Any] = {}
    for key, name in names.items():
        number = NUMBER.fullmatch(str(key))
        if not number:
            raise ValueError("must have the classes' numbers for keys, as a model's id2label has, and has another key")
        if int(number[1]) in numbered:
            raise ValueError(f"names class {int(number[1])} twice: keep one name for each number")
        numbered[int(number[1])] = name
    missing = next((number for number in range(len(numbered)) if number not in numbered), None)
    if missing is not None:
        raise ValueError(
            f"has no name for class {missing}, and one for class {max(numbered)}: name all classes from 0 on"
        )
    return [numbered[number] for number in range(len(numbered))]
