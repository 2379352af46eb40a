"""The options, as Airflow has them: its configuration, and the params of a run's trigger form."""

from __future__ import annotations

from configparser import InterpolationError
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException

from label_detection_core.config import pipelines, settings
from label_detection_core.config.pipelines import Pipeline, Pipelines
from label_detection_core.config.settings import PIPELINES, SECTION, Place, Settings, SettingsError
from label_detection_core.redaction import shown

if TYPE_CHECKING:
    from airflow.sdk import Context


def read_pipelines() -> Pipelines:
    """The pipelines that are configured; the only one, when several are not."""
    return pipelines.read(_read(PIPELINES), Path(conf.get("core", "dags_folder")), _read)


def read_settings(context: Context) -> Settings:
    """The options of this run, which are those of its DAG's pipeline.

    :raises AirflowFailException: one line per option that is missing or wrong. A retry would not help.
    """
    try:
        return _pipeline(context).settings(context["params"])
    except SettingsError as error:
        raise AirflowFailException(f"the configuration is not complete or not right:\n{error}") from None


def place_of(context: Context) -> Place:
    """Where the options of this run are set, for errors."""
    return _pipeline(context).place


def run_params(pipeline: Pipeline) -> dict[str, Param]:
    """The options that can be given for one run. Empty in the form: as configured."""
    return {name: _param(name, _schemas()[name], pipeline) for name in settings.run_options()}


def read_option(option: str, dag_id: str = "") -> str | None:
    """An option of a DAG's pipeline, as it is configured, not checked; None when it is not set.

    That of the section, when the DAG is of no pipeline that there is.
    """
    pipeline = read_pipelines().of_dag(dag_id)
    return _text((pipeline.read if pipeline else _read)(option))


def read_topics() -> dict[str | None, str]:
    """Every topic that a pipeline names, with the connection to reach it; None: one names none."""
    readers = [pipeline.read for pipeline in read_pipelines()]
    return {_text(read("sns_topic_arn")): _text(read("aws_conn_id")) or "aws_default" for read in readers}


def _pipeline(context: Context) -> Pipeline:
    found = read_pipelines().of_dag(context["ti"].dag_id)
    if found is None:
        raise AirflowFailException(
            f"{PIPELINES}: there is no pipeline of DAG {context['ti'].dag_id}: its name was changed or taken away, or "
            f"they cannot be read now; see {settings.environment_name(PIPELINES)}"
        )
    return found


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


@cache
def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = Settings.model_json_schema()["properties"]
    return schemas


#: A number from 0 to 100, or `model`, typed into a text field.
_CONFIDENCE = r"^(model|100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?)$"


def _param(name: str, schema: dict[str, Any], pipeline: Pipeline) -> Param:
    types: list[str] = [schema.get("type", "string")]
    more: dict[str, Any] = {}
    if (
        "oneOf" in schema
    ):  # a number or a word; the form shows the field of the first type, and one for numbers has no words
        types, more = ["string", "number"], {"pattern": _CONFIDENCE, "examples": [settings.MODEL]}
        schema = {**schema, **next(each for each in schema["oneOf"] if each["type"] == "number")}
    limits = {key: schema[key] for key in ("minimum", "maximum", "exclusiveMinimum") if key in schema}
    configured = shown(_text(pipeline.read(name)) or schema["default"])
    return Param(
        None,
        type=["null", *types],
        title=name.replace("_", " ").capitalize(),
        description=f"{schema['description']}. Empty: as configured ({configured}).",
        **limits,
        **more,
    )


def _read(option: str) -> str | None:
    try:
        value: str | None = conf.get(SECTION, option, fallback=None)
    except InterpolationError:  # a lone % in airflow.cfg, where %% stands for one: said as it is, it will be refused
        value = conf.get(SECTION, option, fallback=None, raw=True)
    return value
