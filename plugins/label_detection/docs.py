"""What the Airflow UI shows beside a DAG and its tasks: written once, in the docstrings."""

from __future__ import annotations

import re
from inspect import cleandoc

from label_detection_core.config.pipelines import LABELS_DAG, Pipeline
from label_detection_core.config.settings import PIPELINES, SECTION, Settings, environment_name, options_table
from label_detection_core.redaction import shown

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
    if pipeline and pipeline.name is not None:
        return f"{page}\n\n## Options of {pipeline.name}\n\n{_configured(pipeline)}\n"
    return (
        f"{page}\n\n## Options\n\nIn Airflow's configuration, section `[{SECTION}]`, or as "
        f"environment variables such as `{environment_name('queue_url')}`.\n\n{options_table()}\n"
    )


def backfill_docs(docstring: str | None, pipeline: Pipeline) -> str:
    """The page of a backfill's DAG: its file's docstring."""
    return _own(docstring or "", pipeline)


def tags(pipeline: Pipeline, only: list[str]) -> list[str]:
    """The tags of a pipeline's DAG: those of the `only` pipeline, or its name."""
    return only if pipeline.name is None else [only[0], pipeline.name]


def _own(text: str, pipeline: Pipeline | None) -> str:
    return text.replace(f"`{LABELS_DAG}`", f"`{pipeline.dag_id}`") if pipeline else text


def _configured(pipeline: Pipeline) -> str:
    """The options as they are configured."""
    right = pipeline.right()
    lines = [
        f"As `{environment_name(PIPELINES)}` sets them, or Airflow's configuration, section `[{SECTION}]`.",
        "",
        "| option | configured | |",
        "|---|---|---|",
    ]
    for option, described in Settings.model_fields.items():
        value = _value(pipeline, option, right.get(option))
        lines.append(f"| `{option}` | {value} | {described.description} |")
    return "\n".join(lines)


def _value(pipeline: Pipeline, option: str, right: str | None) -> str:
    """A cell for a value. One that is wrong is not shown: it may be a secret in the wrong place."""
    described = Settings.model_fields[option]
    if right is None and pipeline.read(option) is not None:
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
