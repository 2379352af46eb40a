"""The text that names pipelines, JSON or YAML, as plain values.

Every number, date, `yes` and `true` stays the text that it is written as, so that a value means the same here as in
`airflow.cfg` or in an environment variable, and a pipeline named `2026` or `on` is one. Null is None.
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
#: Levels of brackets and indentation: pipelines, options, and a list are three.
_DEEPEST = 20
_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"


class UnreadableError(ValueError):
    """The text as a whole cannot be read; the message says why, where, and what to do."""


class _TwiceError(ValueError):
    """A name stands twice in one object."""


@dataclass(frozen=True)
class Named:
    """What a text has: an object for each name, as a rule; whatever else somebody wrote, too.

    `file`: the one that it stands in; None: it is the option's own value, as JSON.
    """

    values: dict[str, Any]
    file: Path | None


def as_json(value: Any) -> Any:
    """A Python value as it would be read here if it stood in a text: numbers and truth values as texts.

    :raises UnreadableError: when JSON has no such value.
    """
    try:
        return _truth_as_text(_load_json(json.dumps(value, default=os.fspath)))
    except Exception:  # noqa: BLE001  # an object's own __fspath__ raises what it likes; other arguments must stay
        raise UnreadableError(f"{type(value).__name__} is no type of a value that an option has") from None


def as_text(value: Any) -> str:
    """The option's value as a text, of a text, a path, or an object of pipelines.

    :raises UnreadableError: when JSON has no such value.
    """
    plain = as_json(value)
    return plain if isinstance(plain, str) else "" if plain is None else json.dumps(plain)


def read(value: str, folders: Sequence[Path]) -> Named:
    """The option's value: JSON, or the path of a file, which is looked for in `folders` in turn, unless absolute.

    :raises UnreadableError: when nothing can be read, or what is there names no pipeline.
    """
    value = value.strip()
    if value[0] in '{["':
        return Named(_names(_parsed(value, _load_json)), None)
    suffix = Path(value).suffix.lower()
    if "\n" in value or suffix not in _SUFFIXES:
        raise UnreadableError(
            "it is neither a JSON object ({…}) nor the path of a file that ends in .yaml, .yml or .json"
        )
    path, text = _file(value, folders)
    try:
        return Named(_names(_parsed(text, _load_json if suffix == ".json" else _load_yaml)), path)
    except UnreadableError as error:
        raise UnreadableError(f"{path}: {error}") from None


def _file(value: str, folders: Sequence[Path]) -> tuple[Path, bytes]:
    """The first of the files that is there, and what is in it."""
    paths = list(dict.fromkeys(folder / value for folder in folders))
    path = paths[0]
    try:
        path = next((path for path in paths if path.exists()), path)
        return path, path.read_bytes()
    except FileNotFoundError:
        others = f", nor {' nor '.join(map(str, paths[1:]))}" if paths[1:] else ""
        raise UnreadableError(f"{path}: there is no such file{others}: put it there, or set its path") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path}: it cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _names(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        kind = {list: "a list", str: "a text", type(None): "empty"}.get(type(found), "a value")
        raise UnreadableError(f"it is {kind}, and must be an object: a name for each pipeline, and its options")
    if not found:
        raise UnreadableError("it names no pipeline: write a name, and its options; or set the option to nothing")
    return found


def _parsed(text: str | bytes, load: Any) -> Any:
    try:
        return load(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(f"line {error.lineno}, column {error.colno}: {error.msg}: mend the JSON") from None
    except yaml.constructor.ConstructorError as error:
        problem = error.problem or error.context or ""
        # It repeats the tag, which may be a value that begins so.
        problem = "a tag of YAML that is not known here" if "could not determine a constructor" in problem else problem
        raise UnreadableError(f"{_where(error)}{problem}: mend the YAML") from None
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(f"{_where(error)}{error.problem or error.context}: mend the YAML") from None
    except yaml.reader.ReaderError as error:
        raise UnreadableError(f"character {error.position}: {error.reason}: mend the YAML") from None
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None
    except _TwiceError as error:
        raise UnreadableError(f"{error}: mend it") from None
    except (AttributeError, ValueError):  # of Python, for a value that its tag does not fit; its text repeats the value
        raise UnreadableError("a value does not fit its tag, such as !!int: mend the YAML") from None


def _where(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _load_json(text: str | bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise _TwiceError(f"{key!r} stands there twice in one object")
            found[key] = _truth_as_text(value)
        return found

    return json.loads(text, object_pairs_hook=unique, parse_int=str, parse_float=str, parse_constant=str)


def _truth_as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_truth_as_text(entry) for entry in value]
    return str(value).lower() if isinstance(value, bool) else value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the one in C where there is one
    """`yaml.safe_load`'s; of plain scalars, only null and the merge key are more than text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [resolver for resolver in resolvers if resolver[0] in {_MERGE, _NULL}]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:  # noqa: ARG002  # the base's signature
        """With the keys as they are written, null too."""
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
    """The parser in C ends the process when it runs out of stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem="it is nested too deeply", problem_mark=event.start_mark)


def _check_keys(root: Any) -> None:
    """Every key is a text and stands there once; before anything is merged, which gives keys a second time."""
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
        raise yaml.MarkedYAMLError(problem="a name must be a text", problem_mark=key.start_mark)
    if key.tag != _MERGE and key.value in keys:
        raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands there twice", problem_mark=key.start_mark)
    keys.add(key.value)
