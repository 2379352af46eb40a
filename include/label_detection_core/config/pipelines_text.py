"""Reads the JSON or YAML text of the option `pipelines`.

Numbers, dates, `yes` and `true` stay text as written. So a value means the same here as in `airflow.cfg` and in an
environment variable, and a pipeline may be named `2026` or `on`. Null becomes None.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

_SUFFIXES = (".yaml", ".yml", ".json")
#: The most levels of brackets and indentation. Pipelines, options and a list are three levels.
_DEEPEST = 20
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"


class UnreadableError(ValueError):
    """The whole text cannot be read. The message says where, why, and what to do."""


class _TwiceError(ValueError):
    """One object contains the same name twice."""


@dataclass(frozen=True)
class Named:
    """The pipelines in a text, by name. A value should be an object of options; this is not checked here.

    `file`: the file that contains the text; None if the option's value is the text itself, as JSON.
    """

    values: dict[str, Any]
    file: Path | None


def as_json(value: Any) -> Any:
    """Return a Python value in the form that a read text has: numbers and booleans are text.

    :raises UnreadableError: when JSON cannot represent the value.
    """
    try:
        return _truth_as_text(_load_json(json.dumps(value, default=os.fspath)))
    except Exception:  # noqa: BLE001  # an object's __fspath__ may raise anything; the other arguments must still be read
        raise UnreadableError(
            f"an option cannot have a value of type {type(value).__name__}: use text, a number, a list or a dict"
        ) from None


def as_text(value: Any) -> str:
    """Return a text, a path, or an object of pipelines as the text of the option.

    :raises UnreadableError: when JSON cannot represent the value.
    """
    plain = as_json(value)
    return plain if isinstance(plain, str) else "" if plain is None else json.dumps(plain)


def read(value: str, folders: Sequence[Path]) -> Named:
    """Read the pipelines from the option's value.

    :param value: JSON, or the path of a YAML or JSON file.
    :param folders: the folders in which a relative path is searched, in this order.
    :raises UnreadableError: when the text cannot be read, or contains no pipeline.
    """
    value = value.strip()
    if value[0] in '{["':
        return Named(_names(_parsed(value, _load_json)), None)
    suffix = Path(value).suffix.lower()
    if "\n" in value or suffix not in _SUFFIXES:
        raise UnreadableError(
            "the value is neither a JSON object ({…}) nor the path of a file that ends in .yaml, .yml or .json"
        )
    path, text = _file(value, folders)
    try:
        return Named(_names(_parsed(text, _load_json if suffix == ".json" else _load_yaml)), path)
    except UnreadableError as error:
        raise UnreadableError(f"{path}: {error}") from None


def _file(value: str, folders: Sequence[Path]) -> tuple[Path, bytes]:
    """Return the first path that exists, and the content of the file."""
    paths = list(dict.fromkeys(folder / value for folder in folders))
    path = paths[0]
    try:
        path = next((path for path in paths if path.exists()), path)
        return path, path.read_bytes()
    except FileNotFoundError:
        others = f" (nor {', nor '.join(map(str, paths[1:]))})" if paths[1:] else ""
        raise UnreadableError(f"{path}: there is no such file{others}: create it, or set its path") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path}: the file cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _names(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        kind = {list: "a list", str: "a text", type(None): "empty"}.get(type(found), "a value")
        raise UnreadableError(
            f"the content is {kind}: it must be an object that maps each pipeline's name to its options"
        )
    if not found:
        raise UnreadableError(
            "the object contains no pipeline: write a name and its options, or leave the option empty"
        )
    return found


def _parsed(text: str | bytes, load: Any) -> Any:
    try:
        return load(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"line {error.lineno}, column {error.colno}: {error.msg}: fix the JSON") from None
    except yaml.constructor.ConstructorError as error:
        problem = error.problem or error.context or ""
        # The message repeats the tag, and a value that begins with ! is read as a tag.
        problem = "unknown YAML tag" if "could not determine a constructor" in problem else problem
        raise UnreadableError(f"{_where(error)}{problem}: fix the YAML") from None
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(f"{_where(error)}{error.problem or error.context}: fix the YAML") from None
    except yaml.reader.ReaderError as error:
        raise UnreadableError(f"character {error.position}: {error.reason}: fix the YAML") from None
    except RecursionError:
        raise UnreadableError("the text is nested too deeply: pipelines need three levels") from None
    except _TwiceError as error:
        raise UnreadableError(f"{error}: keep one") from None
    except (AttributeError, ValueError):  # from Python, for a tag that does not fit; the error text repeats the value
        raise UnreadableError("a value does not fit its tag, such as !!int: fix the YAML") from None


def _where(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _load_json(text: str | bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise _TwiceError(f"one object contains {key!r} twice")
            found[key] = _truth_as_text(value)
        return found

    return json.loads(text, object_pairs_hook=unique, parse_int=str, parse_float=str, parse_constant=str)


def _truth_as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_truth_as_text(entry) for entry in value]
    return str(value).lower() if isinstance(value, bool) else value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the loader in C, if PyYAML has it
    """The loader of `yaml.safe_load`, except that all plain scalars are text, other than null and the merge key."""

    yaml_implicit_resolvers: ClassVar = {
        first: [resolver for resolver in resolvers if resolver[0] in {_MERGE, _NULL}]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:  # noqa: ARG002  # signature of the base class
        """Build a mapping. Keys stay text as written, also `null`."""
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


def _load_yaml(text: str | bytes) -> Any:
    _check_depth(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_keys(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_depth(text: str | bytes) -> None:
    """Refuse deep nesting first: the parser in C ends the process when its stack is full."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem="the text is nested too deeply", problem_mark=event.start_mark)


def _check_keys(root: Any) -> None:
    """Check that each key is text and unique in its object. Merging would repeat keys, so this check comes first."""
    seen: set[int] = set()
    nodes = [root]
    while nodes:
        node = nodes.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                _check_key(key, keys)
                nodes.append(value)


def _check_key(key: Any, keys: set[str]) -> None:
    if not isinstance(key, yaml.ScalarNode):
        raise yaml.MarkedYAMLError(problem="a name must be text", problem_mark=key.start_mark)
    if key.tag != _MERGE and key.value in keys:
        raise yaml.MarkedYAMLError(problem=f"the name {key.value!r} is used twice", problem_mark=key.start_mark)
    keys.add(key.value)
