"""The option `pipelines`: several pipelines, each with its own options, which override those of the section.

An error in one pipeline does not affect the others: its DAGs exist, and their first task fails with the error.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from label_detection_core.config import pipelines_text
from label_detection_core.config.pipeline import Own, Pipeline, Read
from label_detection_core.config.pipelines_text import UnreadableError
from label_detection_core.config.settings import PIPELINES, SECTION, Settings, environment_name
from label_detection_core.config.shared_things import compared
from label_detection_core.redaction import shown

#: Airflow: the characters of a DAG id and of a tag. A DAG id has at most 250 characters, a tag at most 100.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_NAME_LIMIT = 100
#: The required options of a pipeline.
_OF_ONE = {option for option, described in Settings.model_fields.items() if described.is_required()}


@dataclass(frozen=True)
class Call:
    """A call of `labels()` in a DAG file.

    :param place: where the call is, for error messages.
    :param prefix: the prefix of the DAG ids.
    :param options: the arguments of the call, not checked.
    :raises ValueError: when the prefix has characters that a DAG id cannot have, or is too long.
    """

    place: str = ""
    prefix: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.prefix != "" and not (isinstance(self.prefix, str) and _NAME.fullmatch(self.prefix)):
            raise ValueError(
                f"prefix is {self.prefix!r}: it must be 1 to {_NAME_LIMIT} characters (letters A-Z and a-z, digits, "
                f"_, - and .), or left out: fix it in {self.place}"
            )


def read(value: str | None, folders: Sequence[Path], defaults: Read, call: Call | None = None) -> tuple[Pipeline, ...]:
    """Return the pipelines that the option describes. If it is empty, not set or unreadable, return one pipeline.

    :param value: JSON, or the path of a YAML or JSON file.
    :param folders: the folders in which a relative path is searched, in this order.
    :param defaults: reads an option of the section; returns None if it is not set.
    :param call: its arguments override the options in `value`. A call with all required options and without
        `pipelines` is one pipeline.
    """
    defaults = cache(defaults)  # each option is read once, not once per pipeline
    reading = _Reading(defaults, call or Call())
    arguments = {option: given for option, given in reading.call.options.items() if option != PIPELINES}
    try:
        given = reading.pipelines()
        if given is not None:
            value = given
        elif arguments.keys() >= _OF_ONE:
            value = None  # the call describes one whole pipeline, which is none of the section's
        if not value or not value.strip():
            return (reading.only(arguments),)
        named = pipelines_text.read(value, folders)
    except UnreadableError as error:
        return (unread(defaults, reading.call, reading.unreadable(error)),)
    source = str(named.file or (environment_name(PIPELINES) if given is None else reading.call.place))
    taken = {name for name in named.values if _NAME.fullmatch(name)}
    found = [reading.pipeline(name, options, source, arguments, taken) for name, options in named.values.items()]
    return tuple(compared(found))


def unread(defaults: Read, call: Call, why: str) -> Pipeline:
    """Return the pipeline of a call whose pipelines cannot be read. Its arguments still say where to send notices."""
    arguments = {option: given for option, given in call.options.items() if option != PIPELINES}
    return _Reading(defaults, call).only(arguments, why)


@dataclass(frozen=True)
class _Reading:
    """Reads the pipelines of one call of `labels()`."""

    defaults: Read
    call: Call

    def pipelines(self) -> str | None:
        """Return the argument `pipelines` as text; None if the call has none.

        :raises UnreadableError: when its type cannot describe pipelines.
        """
        given = self.call.options
        return pipelines_text.as_text(given[PIPELINES]) if PIPELINES in given else None

    def unreadable(self, error: UnreadableError) -> str:
        if PIPELINES in self.call.options:
            return f"labels(): {PIPELINES}: {error} ({self.call.place})"
        return f"[{SECTION}] {PIPELINES}: {error} ({environment_name(PIPELINES)})"

    def only(self, arguments: Mapping[str, Any], unreadable: str | None = None) -> Pipeline:
        home = self.call.place if self.call.options or self.call.prefix else ""
        return Pipeline(self._with(arguments, Own(home=home, unreadable=unreadable), "labels()"), self.defaults)

    def pipeline(self, name: str, options: Any, source: str, arguments: Mapping[str, Any], taken: set[str]) -> Pipeline:
        long = len(name) > _NAME_LIMIT
        title = name if _NAME.fullmatch(name) else repr(shown(f"{name[:_NAME_LIMIT]}…" if long else name))
        own = Own(name=_clean(name, taken), title=title, prefix=self.call.prefix, home=source)
        who = f"{PIPELINES}: {title}"
        if not isinstance(options, dict):
            line = f"{who}: the value must be an object of options: fix it in {source}"
            return Pipeline(self._with(arguments, own.model_copy(update={"unreadable": line}), who), self.defaults)
        problems = [*_unknown(options, who, source)]
        if not _NAME.fullmatch(name):
            problems.insert(
                0,
                f"{who}: a name must be 1 to {_NAME_LIMIT} characters (letters A-Z and a-z, digits, _, - and .): "
                f"fix it in {source}",
            )
        known = {option: value for option, value in options.items() if option in Settings.model_fields}
        own = own.model_copy(update={"options": known, "problems": tuple(problems)})
        return Pipeline(self._with(arguments, own, who), self.defaults)

    def _with(self, arguments: Mapping[str, Any], own: Own, who: str) -> Own:
        """Return a pipeline's own configuration, overridden by the arguments of the call."""
        place, options, wrong = self.call.place, dict(own.options), dict(own.wrong)
        for option, value in arguments.items():
            if option in Settings.model_fields:
                try:
                    options[option] = pipelines_text.as_json(value)
                except UnreadableError as error:
                    wrong[option] = f"{who}: {option}: {error}; set it in {place}"
                    options.pop(option, None)
        given = sorted(option for option in arguments if option in Settings.model_fields)
        return own.model_copy(
            update={
                "prefix": self.call.prefix,
                "options": options,
                "sources": {} if own.home == place else dict.fromkeys(given, place),
                "wrong": wrong,
                "problems": (*own.problems, *_unknown(arguments, who, place)),
            }
        )


def _unknown(options: Mapping[str, Any], who: str, source: str) -> Iterator[str]:
    for option in options:
        if option not in Settings.model_fields:
            like = difflib.get_close_matches(option, Settings.model_fields, 1)
            meant = f"did you mean {like[0]}? fix" if like else "fix or remove"
            yield f"{who}: {shown(option)!r} is not an option: {meant} it in {source}"


def _clean(name: str, taken: set[str]) -> str:
    """Return the name with only the characters of a DAG id. A changed name never equals another pipeline's name."""
    if name in taken:
        return name
    base = clean = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_NAME_LIMIT] or "unnamed"
    number = 1
    while clean in taken:
        number += 1
        clean = f"{base[: _NAME_LIMIT - 6]}-{number}"
    taken.add(clean)
    return clean
