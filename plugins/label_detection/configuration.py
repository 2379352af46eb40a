"""The options, as Airflow has them: its configuration, and the params of a run's trigger form."""

from __future__ import annotations

from configparser import InterpolationError
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException

from include import settings
from include.settings import SECTION, Settings, SettingsError

if TYPE_CHECKING:
    from airflow.sdk import Context


def read_settings(context: Context) -> Settings:
    """The options of this run.

    :raises AirflowFailException: one line per option that is missing or wrong. A retry would not help.
    """
    try:
        return settings.load(_read, context["params"])
    except SettingsError as error:
        raise AirflowFailException(f"the configuration is not complete or not right:\n{error}") from None


def read_schedule() -> str | None:
    """The DAG's schedule; None: by hand only."""
    return settings.load_schedule(_read)


def run_params() -> dict[str, Param]:
    """The options that can be given for one run. Empty in the form: as configured."""
    schemas = Settings.model_json_schema()["properties"]
    return {name: _param(name, schemas[name]) for name in settings.run_options()}


def read_option(option: str) -> str | None:
    """One option as it is configured, not checked; None when it is not set."""
    value = (_read(option) or "").strip()
    return value or None


def _param(name: str, schema: dict[str, Any]) -> Param:
    limits = {key: schema[key] for key in ("minimum", "maximum", "exclusiveMinimum") if key in schema}
    configured = _read(name) or schema["default"]
    return Param(
        None,
        type=["null", schema["type"]],
        title=name.replace("_", " ").capitalize(),
        description=f"{schema['description']}. Empty: as configured ({configured}).",
        **limits,
    )


def _read(option: str) -> str | None:
    try:
        value: str | None = conf.get(SECTION, option, fallback=None)
    except InterpolationError:  # a lone % in airflow.cfg, where %% stands for one: said as it is, it will be refused
        value = conf.get(SECTION, option, fallback=None, raw=True)
    return value
