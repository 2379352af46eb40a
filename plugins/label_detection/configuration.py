"""The options, as Airflow has them: its configuration, and the params of a run's trigger form."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from configparser import InterpolationError
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException

from label_detection_core.config import pipelines, settings
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.pipelines import Call
from label_detection_core.config.settings import PIPELINES, SECTION, OptionPlace, Settings, SettingsError
from label_detection_core.redaction import shown

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

#: In the `default_args` of a watchdog's DAG: those of its pipelines.
WATCHED = f"{SECTION}_pipelines"


def read_pipelines(folder: Path, call: Call) -> tuple[Pipeline, ...]:
    """The pipelines that are configured; the only one, when several are not. For DAG files: a task has its DAG's.

    :param folder: where the DAG file is. A relative path of the pipelines' file is looked for there, then above it,
        then in Airflow's dags folder, then above that.
    """
    dags_folder = Path(conf.get("core", "dags_folder"))
    folders = [folder, folder.parent, dags_folder, dags_folder.parent]
    try:
        return pipelines.read(_read(PIPELINES), folders, _read, call)
    except Exception as error:  # whatever it is: the watchdog in the same file must be there all the same
        log.exception("the pipelines cannot be read")
        why = f"[{SECTION}] {PIPELINES}: {type(error).__name__}: the log of the DAG processor has more"
        return (pipelines.unread(_read, call, why),)


def pipeline_of(default_args: Mapping[str, Any]) -> Pipeline:
    """The pipeline of a DAG, by the DAG's `default_args`. A DAG that was given none has the section's options."""
    return Pipeline.of_default_args(default_args, _read)


def run_pipeline(context: Context) -> Pipeline:
    """The pipeline of a run's DAG."""
    dag = context.get("dag")
    return pipeline_of(dag.default_args if dag else {})


def read_settings(context: Context) -> Settings:
    """The options of this run, which are those of its DAG's pipeline.

    :raises AirflowFailException: one line per option that is missing or wrong. A retry would not help.
    """
    try:
        return run_pipeline(context).settings(context["params"])
    except SettingsError as error:
        raise AirflowFailException(f"the configuration is not complete or not right:\n{error}") from None


def option_place(context: Context) -> OptionPlace:
    """Where the options of this run are set, for errors."""
    return run_pipeline(context).place


def read_option(option: str, context: Context | None = None) -> str | None:
    """An option of a run's pipeline, or of the section, as it is configured; None when it is not set, or wrong."""
    return (run_pipeline(context) if context else pipeline_of({})).right().get(option) or None


def read_topics(context: Context) -> dict[str | None, str]:
    """Every topic that a watchdog's pipelines name, with the connection to reach it; None: one names none."""
    dag = context.get("dag")
    found = dag.default_args.get(WATCHED, []) if dag else []
    all_right = [pipeline_of(default_args).right() for default_args in found or [{}]]
    return {right.get("sns_topic_arn"): right.get("aws_conn_id") or "aws_default" for right in all_right}


def run_params(pipeline: Pipeline) -> dict[str, Param]:
    """The options that can be given for one run. Empty in the form: as configured."""
    right = pipeline.right()
    return {name: _param(name, _schemas()[name], _configured(name, pipeline, right)) for name in settings.run_options()}


def _configured(name: str, pipeline: Pipeline, right: Mapping[str, str]) -> str:
    """What an option is, as the form says it. A wrong value is not shown: it may be a secret in the wrong place."""
    if value := right.get(name):
        return shown(value)
    return "wrong" if _text(pipeline.read(name)) or name in pipeline.own.wrong else str(_schemas()[name]["default"])


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


@cache
def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = Settings.model_json_schema()["properties"]
    return schemas


#: A number from 0 to 100, or `model`, typed into a text field.
_CONFIDENCE = r"^(model|100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?)$"


def _param(name: str, schema: dict[str, Any], configured: str) -> Param:
    types: list[str] = [schema.get("type", "string")]
    more: dict[str, Any] = {}
    if (
        "oneOf" in schema
    ):  # a number or a word; the form shows the field of the first type, and one for numbers has no words
        types, more = ["string", "number"], {"pattern": _CONFIDENCE, "examples": [settings.MODEL]}
        schema = {**schema, **next(each for each in schema["oneOf"] if each["type"] == "number")}
    limits = {key: schema[key] for key in ("minimum", "maximum", "exclusiveMinimum") if key in schema}
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
