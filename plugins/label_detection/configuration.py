"""Reads the options from Airflow: from its configuration, and from the params of a run's trigger form."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from configparser import InterpolationError
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import Param
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException
from pendulum import FixedTimezone, Timezone

from label_detection_core.config import pipelines, settings
from label_detection_core.config.option_types import MODEL
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.pipelines import Call
from label_detection_core.config.settings import PIPELINES, SECTION, OptionPlace, Settings, SettingsError
from label_detection_core.redaction import shown

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context

log = logging.getLogger(__name__)

#: Key in the `default_args` of a watchdog DAG. Its value is a list: the `default_args` of each pipeline.
WATCHED = f"{SECTION}_pipelines"


def read_pipelines(folder: Path, call: Call) -> tuple[Pipeline, ...]:
    """The configured pipelines, at least one. Only for DAG files: a task uses the pipeline of its DAG.

    :param folder: folder of the DAG file. A relative path of the pipelines' file is searched for in this folder, in its
        parent, in Airflow's dags folder and in that folder's parent, in this order.
    :param call: the call in the DAG file, with its prefix and options.
    """
    dags_folder = Path(conf.get("core", "dags_folder"))
    folders = [folder, folder.parent, dags_folder, dags_folder.parent]
    try:
        return pipelines.read(_read(PIPELINES), folders, _read, call)
    except Exception as error:  # any error: the watchdog DAG in the same file must exist in every case
        log.exception("the pipelines cannot be read")
        why = f"[{SECTION}] {PIPELINES}: {type(error).__name__}: see the log of the DAG processor"
        return (pipelines.unread(_read, call, why),)


def pipeline_of(default_args: Mapping[str, Any]) -> Pipeline:
    """The pipeline of a DAG, read from the DAG's `default_args`. Without any, the options are those of the section."""
    return Pipeline.of_default_args(default_args, _read)


def run_pipeline(context: Context) -> Pipeline:
    """The pipeline of the DAG to which the run belongs."""
    dag = context.get("dag")
    return pipeline_of(dag.default_args if dag else {})


def read_settings(context: Context) -> Settings:
    """The options of this run: those of its DAG's pipeline, with the run's params on top.

    :raises AirflowFailException: one line per option that is missing or wrong. A retry would not help.
    """
    try:
        return run_pipeline(context).settings(context["params"])
    except SettingsError as error:
        raise AirflowFailException(f"the configuration has missing or wrong options:\n{error}") from None


def zone_of(timezone: str | None) -> Timezone | FixedTimezone:
    """The time zone of the schedule, of a budget's day and month, and of the digest.

    :param timezone: the option's value; None or empty: Airflow's default.
    """
    name: str = timezone or conf.get("core", "default_timezone")
    return pendulum.tz.local_timezone() if name == "system" else Timezone("UTC" if name == "utc" else name)


def option_place(context: Context) -> OptionPlace:
    """Where the options of this run are set, for error messages."""
    return run_pipeline(context).place


def read_option(option: str, context: Context | None = None) -> str | None:
    """The configured value of an option, of a run's pipeline or of the section. None: not set, or wrong."""
    return (run_pipeline(context) if context else pipeline_of({})).right().get(option) or None


def watched_pipelines(dag: DAG | None) -> list[Pipeline]:
    """All pipelines of a watchdog's DAG, with the options that it needs of them."""
    found = dag.default_args.get(WATCHED, []) if dag else []
    return [pipeline_of(default_args) for default_args in found or [{}]]


def read_topics(context: Context) -> dict[str | None, str]:
    """SNS topic ARN to connection id, of all pipelines of a watchdog. The key None: a pipeline without a topic."""
    all_right = [pipeline.right() for pipeline in watched_pipelines(context.get("dag"))]
    return {right.get("sns_topic_arn"): right.get("aws_conn_id") or "aws_default" for right in all_right}


def run_params(pipeline: Pipeline) -> dict[str, Param]:
    """Param of each option that can be set for one run. An empty field in the form means the configured value."""
    right = pipeline.right()
    return {name: _param(name, _schemas()[name], _configured(name, pipeline, right)) for name in settings.run_options()}


def _configured(name: str, pipeline: Pipeline, right: Mapping[str, str]) -> str:
    """An option's configured value, as the form shows it. A wrong value is hidden: it may be a misplaced secret."""
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
    if "oneOf" in schema:  # a number or `model`. The form's field is of the first type; a number field takes no text.
        types, more = ["string", "number"], {"pattern": _CONFIDENCE, "examples": [MODEL]}
        schema = {**schema, **next(each for each in schema["oneOf"] if each["type"] == "number")}
    limits = {key: schema[key] for key in ("minimum", "maximum", "exclusiveMinimum") if key in schema}
    return Param(
        None,
        type=["null", *types],
        title=name.replace("_", " ").capitalize(),
        description=f"{schema['description']}. Leave empty to use the configured value ({configured}).",
        **limits,
        **more,
    )


def _read(option: str) -> str | None:
    try:
        value: str | None = conf.get(SECTION, option, fallback=None)
    except InterpolationError:  # a single % in airflow.cfg instead of %%: the check of the option refuses the value
        value = conf.get(SECTION, option, fallback=None, raw=True)
    return value
