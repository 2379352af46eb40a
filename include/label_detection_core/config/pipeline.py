"""One pipeline: the options that are its own, over the section's, and the ids of its DAGs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from label_detection_core.config import settings
from label_detection_core.config.settings import PIPELINES, OptionPlace, Settings, SettingsError, environment_name
from label_detection_core.redaction import redact, shown

#: The DAGs of the only pipeline; those of several have `__` and the pipeline's name behind it.
LABELS_DAG = "label_detection"
BACKFILL_DAG = "label_detection_backfill"
#: The DAG that stops the models of all pipelines of a prefix.
WATCHDOG_DAG = "label_detection_watchdog"
Read = Callable[[str], Any]


class Own(BaseModel):
    """What is a pipeline's own, as its DAGs carry it in their `default_args`: JSON.

    `name`: as its DAGs and tags have it; None: it is the only one. `title`: its name in errors. `prefix`: of its DAGs'
    ids. `options`: not checked. `home`: where they are set; empty: in the section alone. `sources`: by option, where
    else one is set. `wrong`: by option, the line about one that is left out of `options`. `problems`: why it does not
    run, beside its options. `unreadable`: nothing of it can be used, and why.
    """

    model_config = ConfigDict(frozen=True)

    name: str | None = None
    title: str = ""
    prefix: str = ""
    options: dict[str, Any] = {}
    sources: dict[str, str] = {}
    home: str = ""
    wrong: dict[str, str] = {}
    problems: tuple[str, ...] = ()
    unreadable: str | None = None

    def source(self, option: str) -> str | None:
        """Where an option is set; None: in the section, or nowhere."""
        is_own = option in self.options or option in self.wrong
        return self.sources.get(option, self.home) if is_own else None


@dataclass(frozen=True)
class _OwnPlace(OptionPlace):
    """A pipeline's place: the file or the call that sets its options, with the section for what they do not set."""

    own: Own

    def name(self, option: str) -> str:
        """An option, and whose it is."""
        if self.own.title:
            return f"{PIPELINES}: {self.own.title}: {option}"
        return f"labels(): {option}" if self.own.source(option) else super().name(option)

    def where(self, option: str) -> str:
        """Where an option is set that is."""
        if source := self.own.source(option):
            return f"it in {source}"
        return f"{environment_name(option)}, or the pipeline's own in {self.own.home}"

    def where_missing(self, option: str) -> str:
        """What to do about one that is missing."""
        return f"set it in {self.own.home}, or {environment_name(option)} for all"


@dataclass(frozen=True)
class Pipeline:
    """One of several pipelines, or the only one. `defaults`: the section's options; None when one is not set."""

    own: Own
    defaults: Read = field(repr=False)

    @classmethod
    def of_default_args(cls, default_args: Mapping[str, Any], defaults: Read) -> Self:
        """That of a DAG, by its `default_args`. A DAG that was given none has the section's options."""
        return cls(Own.model_validate(default_args.get(settings.SECTION) or {}), defaults)

    def default_args(self, options: Collection[str] = tuple(Settings.model_fields)) -> dict[str, Any]:
        """Its own, for its DAGs' `default_args`: without values that are wrong, since everybody can read them there.

        :param options: those alone, and what is wrong with them.
        """
        found = _without_wrong(self.own, self._wrong_lines(_OwnPlace(self.own)))
        if len(options) < len(Settings.model_fields):
            found = Own(options=_of(options, found.options), wrong=_of(options, found.wrong))
        return {settings.SECTION: found.model_dump(mode="json", exclude_defaults=True)}

    @property
    def name(self) -> str | None:
        """Its name; None: it is the only one."""
        return self.own.name

    @property
    def place(self) -> OptionPlace:
        """Where its options are set, for errors."""
        return _OwnPlace(self.own) if self.own.home else OptionPlace()

    @property
    def dag_id(self) -> str:
        """The DAG that labels its images."""
        return self._dag_id(LABELS_DAG)

    @property
    def backfill_dag_id(self) -> str:
        """The DAG that announces its images."""
        return self._dag_id(BACKFILL_DAG)

    @property
    def watchdog_dag_id(self) -> str:
        """The DAG that stops its model when a run has left it on."""
        return f"{self.own.prefix}{WATCHDOG_DAG}"

    def _dag_id(self, dag_id: str) -> str:
        return f"{self.own.prefix}{dag_id}" + ("" if self.name is None else f"__{self.name}")

    def read(self, option: str) -> Any:
        """An option, not checked: its own, or the section's; None when it is not set.

        One of its own that is there and empty is the empty text: it hides the section's. So does one that is wrong.
        """
        if option in self.own.wrong:
            return None
        if option in self.own.options:
            value = self.own.options[option]
            return "" if value is None else value
        return self.defaults(option)

    def settings(self, params: Mapping[str, Any] | None = None) -> Settings:
        """All options, checked; `params`: a run's.

        :raises SettingsError: with one line per problem.
        """
        if self.own.unreadable:
            raise SettingsError([self.own.unreadable])
        wrong = {option: line for option, line in self.own.wrong.items() if (params or {}).get(option) is None}
        lines = [*self.own.problems, *wrong.values()]
        try:
            found = settings.load(self.read, params, self.place)
        except SettingsError as error:
            lines += [line for line in error.problems if line not in {error.by_option.get(option) for option in wrong}]
            raise SettingsError(lines, error.by_option | wrong) from None
        if lines:
            raise SettingsError(lines, wrong)
        return found

    def option(self, option: str) -> Any:
        """One option that has a default, checked alone: the default where it is not set, or wrong."""
        return settings.load_option(option, self.read)

    def schedule(self) -> str | None:
        """The schedule for its DAG; None: manually only."""
        return self.option("schedule") or None

    def right(self) -> dict[str, str]:
        """Its options that are set and right, as they are configured, without blanks around them."""
        wrong = self._wrong_lines(self.place)
        values = {option: self.read(option) for option in Settings.model_fields if option not in wrong}
        return {option: _text(value) for option, value in values.items() if value is not None}

    def _wrong_lines(self, place: OptionPlace) -> dict[str, str]:
        try:
            settings.load(self.read, None, place)
        except SettingsError as error:
            return error.by_option
        return {}


def _without_wrong(own: Own, lines: Mapping[str, str]) -> Own:
    """The same without options that are wrong or cannot be stored, whose lines it has instead."""
    wrong = {option: shown(line) for option, line in lines.items() if option in own.options}
    for option, value in own.options.items():
        if option not in wrong and (why := _why_not_stored(value)):
            wrong[option] = f"{_OwnPlace(own).name(option)} has {why}; set {_OwnPlace(own).where(option)}"
    kept = {option: value for option, value in own.options.items() if option not in wrong}
    return own.model_copy(
        update={
            "options": kept,
            "sources": {option: shown(source) for option, source in own.sources.items()},
            "home": shown(own.home),
            "wrong": own.wrong | wrong,
            "problems": tuple(map(shown, own.problems)),
            "unreadable": own.unreadable and shown(own.unreadable),
        }
    )


def _of(options: Collection[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {option: value for option, value in values.items() if option in options}


def _why_not_stored(value: Any) -> str | None:
    """What keeps a value out of Airflow's database: all may read it there, and Postgres takes no such characters."""
    text = json.dumps(value, ensure_ascii=False)
    if redact(text) != text:
        return "a login or a signature in it, which all could read"
    odd = "\\u0000" in text or any("\ud800" <= character <= "\udfff" for character in text)
    return "a character that cannot be stored" if odd else None


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()
