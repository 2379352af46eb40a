"""One pipeline: its own options, which override those of the configuration section, and the ids of its DAGs."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from label_detection_core.config import settings
from label_detection_core.config.settings import PIPELINES, OptionPlace, Settings, SettingsError, environment_name
from label_detection_core.redaction import redact, shown

#: DAG ids. Where several pipelines are configured, `__` and the name of the pipeline follow.
LABELS_DAG = "label_detection"
BACKFILL_DAG = "label_detection_backfill"
#: The DAG that stops the models of all pipelines with one prefix.
WATCHDOG_DAG = "label_detection_watchdog"
Read = Callable[[str], Any]


class Own(BaseModel):
    """A pipeline's own configuration, as JSON in the `default_args` of its DAGs.

    :param name: the name in DAG ids and tags; None if there is only one pipeline.
    :param title: the name in error messages.
    :param prefix: the prefix of the DAG ids.
    :param options: the pipeline's own options, not checked.
    :param home: the file or call that sets these options; empty if only the configuration section sets options.
    :param sources: option → the place that sets it, where that is not `home`.
    :param wrong: option → the error line about it. Such an option is not in `options`.
    :param problems: error lines that are not about one option.
    :param unreadable: the error line if nothing of this configuration can be used.
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
        """Return the place that sets an option; None if the pipeline does not set it."""
        is_own = option in self.options or option in self.wrong
        return self.sources.get(option, self.home) if is_own else None


@dataclass(frozen=True)
class _OwnPlace(OptionPlace):
    """Where the options of a pipeline are set: in a file or a call, and in the section for the rest."""

    own: Own

    def name(self, option: str) -> str:
        """Return the option with the name of its pipeline."""
        if self.own.title:
            return f"{PIPELINES}: {self.own.title}: {option}"
        return f"labels(): {option}" if self.own.source(option) else super().name(option)

    def where(self, option: str) -> str:
        """Return where to change an option that is set."""
        if source := self.own.source(option):
            return f"it in {source}"
        return f"{environment_name(option)}, or the pipeline's own in {self.own.home}"

    def where_missing(self, option: str) -> str:
        """Return how to set an option that is missing."""
        return f"set it in {self.own.home}, or {environment_name(option)} for all"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline. `defaults` reads an option of the configuration section, and returns None if it is not set."""

    own: Own
    defaults: Read = field(repr=False)

    @classmethod
    def of_default_args(cls, default_args: Mapping[str, Any], defaults: Read) -> Self:
        """Return the pipeline of a DAG from its `default_args`. Without them, it has the options of the section."""
        return cls(Own.model_validate(default_args.get(settings.SECTION) or {}), defaults)

    def default_args(self, options: Collection[str] = tuple(Settings.model_fields)) -> dict[str, Any]:
        """Return the `default_args` for the DAGs of this pipeline.

        Every user of Airflow can read them, so they contain error lines instead of wrong values.

        :param options: only these options and the errors about them, and the name and the prefix.
        """
        found = _without_wrong(self.own, self._wrong_lines(_OwnPlace(self.own)))
        if len(options) < len(Settings.model_fields):
            kept, wrong = _of(options, found.options), _of(options, found.wrong)
            found = Own(name=found.name, prefix=found.prefix, options=kept, wrong=wrong)
        return {settings.SECTION: found.model_dump(mode="json", exclude_defaults=True)}

    @property
    def name(self) -> str | None:
        """The name of the pipeline; None if it is the only one."""
        return self.own.name

    @property
    def place(self) -> OptionPlace:
        """Where the options are set, for error messages."""
        return _OwnPlace(self.own) if self.own.home else OptionPlace()

    @property
    def dag_id(self) -> str:
        """The id of the DAG that labels the images."""
        return self._dag_id(LABELS_DAG)

    @property
    def backfill_dag_id(self) -> str:
        """The id of the DAG that sends messages for images that are not on the queue."""
        return self._dag_id(BACKFILL_DAG)

    @property
    def watchdog_dag_id(self) -> str:
        """The id of the DAG that stops the model when a run has left it on."""
        return f"{self.own.prefix}{WATCHDOG_DAG}"

    def _dag_id(self, dag_id: str) -> str:
        return f"{self.own.prefix}{dag_id}" + ("" if self.name is None else f"__{self.name}")

    def read(self, option: str) -> Any:
        """Return an option, not checked: the pipeline's own value, else that of the section; None if it is not set.

        The pipeline's own value hides that of the section even if it is empty or null (this returns "") or wrong (this
        returns None).
        """
        if option in self.own.wrong:
            return None
        if option in self.own.options:
            value = self.own.options[option]
            return "" if value is None else value
        return self.defaults(option)

    def settings(self, params: Mapping[str, Any] | None = None) -> Settings:
        """Return all options, checked.

        :param params: the params of a run; they override the options.
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
        """Return one option that has a default. If it is not set or wrong, return the default."""
        return settings.load_option(option, self.read)

    def schedule(self) -> str | None:
        """The schedule of the DAG; None if it is only triggered manually. A refused one: the default.

        So that a run shows the error.
        """
        schedule: str = self.option("schedule")
        if settings.endless(schedule, self.option("pause_after_failed_runs")):
            return str(Settings.model_fields["schedule"].default)
        return schedule or None

    def right(self) -> dict[str, str]:
        """Return the valid options that are set, as text without surrounding blanks."""
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
    """Move options that are wrong or cannot be stored from `options` to `wrong`."""
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
    """Return why Airflow's database must not have a value: users could read it, or Postgres refuses a character."""
    text = json.dumps(value, ensure_ascii=False)
    if redact(text) != text:
        return "a login or a signature, which every user of Airflow could read"
    odd = "\\u0000" in text or any("\ud800" <= character <= "\udfff" for character in text)
    return "a character that cannot be stored" if odd else None


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()
