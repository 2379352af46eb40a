"""What the Airflow UI shows beside a DAG and its tasks: written once, in the docstrings."""

from __future__ import annotations

import re
from inspect import cleandoc

from label_detection_core.config.pipeline import LABELS_DAG, WATCHDOG_DAG, Pipeline
from label_detection_core.config.settings import SECTION, Settings, environment_name, options_table
from label_detection_core.redaction import shown

#: On every DAG of the project.
TAG = "label-detection"
#: Airflow: what a connection may be named.
_CONNECTION_ID = re.compile(r"[\w.-]{1,250}")
#: Characters of a value that are worth reading.
_VALUE_LIMIT = 300


def task_docs(operator: type, pipeline: Pipeline | None = None) -> str:
    """The page of a task: its operator's docstring, with a pipeline's own DAG in it."""
    return _own(cleandoc(operator.__doc__ or ""), pipeline)


def dag_docs(docstring: str | None, pipeline: Pipeline | None = None) -> str:
    """The page of a DAG: its file's docstring, and a pipeline's options, or all that there are."""
    page = _own(cleandoc(docstring or ""), pipeline)
    if pipeline and pipeline.own.home:
        return f"{page}\n\n## Options of {pipeline.name or 'this DAG'}\n\n{_configured(pipeline)}\n"
    return (
        f"{page}\n\n## Options\n\nIn Airflow's configuration, section `[{SECTION}]`, or as "
        f"environment variables such as `{environment_name('queue_url')}`.\n\n{options_table()}\n"
    )


def backfill_docs(docstring: str | None, pipeline: Pipeline) -> str:
    """The page of a backfill's DAG: its file's docstring."""
    return _own(docstring or "", pipeline)


def tags(pipeline: Pipeline) -> list[str]:
    """The tags of a pipeline's DAGs."""
    return [TAG] if pipeline.name is None else [TAG, pipeline.name]


def with_prefix(text: str, prefix: str) -> str:
    """A text in which the DAGs have the ids of a prefix."""
    return re.sub(f"`(?=({LABELS_DAG}|{WATCHDOG_DAG})`)", f"`{prefix}", text)


def _own(text: str, pipeline: Pipeline | None) -> str:
    if not pipeline:
        return text
    return text.replace(f"`{LABELS_DAG}`", f"`{pipeline.dag_id}`").replace(
        f"`{WATCHDOG_DAG}`", f"`{pipeline.watchdog_dag_id}`"
    )


def _configured(pipeline: Pipeline) -> str:
    """The options as they are configured."""
    right = pipeline.right()
    lines = [
        f"As {_code(pipeline.own.home)} sets them, or Airflow's configuration, section `[{SECTION}]`.",
        "",
        "| option | configured | |",
        "|---|---|---|",
    ]
    for option, described in Settings.model_fields.items():
        value = _value(pipeline, option, right.get(option))
        lines.append(f"| `{option}` | {value} | {described.description} |")
    return "\n".join(lines)


def _code(place: str) -> str:
    """A place as Markdown, safe for what a path may have."""
    return f"`{shown(place).replace('`', ' ')}`"


def _value(pipeline: Pipeline, option: str, right: str | None) -> str:
    """A cell for a value. One that is wrong is not shown: it may be a secret in the wrong place."""
    described = Settings.model_fields[option]
    if right is None and (option in pipeline.own.wrong or pipeline.read(option) is not None):
        return "**wrong**"
    if option == "aws_conn_id" and right and not _CONNECTION_ID.fullmatch(right):  # a connection, and not its id
        return "…"
    if right:
        return f"`{shown(right)[:_VALUE_LIMIT].replace('`', ' ').replace('|', chr(92) + '|')}`"
    if option == "schedule" and right is not None:
        return "by hand only"
    if described.is_required():
        return "**missing**"
    if described.default == ():
        return "none"
    return "off" if described.default is None else f"`{described.default}` (default)"
