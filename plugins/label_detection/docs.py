"""Documentation of DAGs and tasks in the Airflow UI (`doc_md`), made from the docstrings."""

from __future__ import annotations

import re
from inspect import cleandoc

from label_detection_core.config.pipeline import LABELS_DAG, WATCHDOG_DAG, Pipeline
from label_detection_core.config.settings import SECTION, Settings, environment_name, options_table
from label_detection_core.redaction import shown

#: The tag of every DAG of the project.
TAG = "label-detection"
#: Airflow's rule for connection ids.
_CONNECTION_ID = re.compile(r"[\w.-]{1,250}")
#: Longest value that is shown, in characters; the rest is cut off.
_VALUE_LIMIT = 300


def task_docs(operator: type, pipeline: Pipeline | None = None) -> str:
    """Markdown for a task: the operator's docstring, with the DAG ids of the pipeline."""
    return _own(cleandoc(operator.__doc__ or ""), pipeline)


def dag_docs(docstring: str | None, pipeline: Pipeline | None = None) -> str:
    """Markdown for a DAG: the docstring, then the options: a pipeline's configured ones, or all with their defaults."""
    page = _own(cleandoc(docstring or ""), pipeline)
    if pipeline and pipeline.own.home:
        return f"{page}\n\n## Options of {pipeline.name or 'this DAG'}\n\n{_configured(pipeline)}\n"
    return (
        f"{page}\n\n## Options\n\nIn Airflow's configuration, section `[{SECTION}]`, or as "
        f"environment variables such as `{environment_name('queue_url')}`.\n\n{options_table()}\n"
    )


def backfill_docs(docstring: str | None, pipeline: Pipeline) -> str:
    """Markdown for a backfill DAG: the docstring, with the DAG ids of the pipeline."""
    return _own(docstring or "", pipeline)


def tags(pipeline: Pipeline) -> list[str]:
    """The tags of a pipeline's DAGs."""
    return [TAG] if pipeline.name is None else [TAG, pipeline.name]


def with_prefix(text: str, prefix: str) -> str:
    """The text, with the prefix before each DAG id."""
    return re.sub(f"`(?=({LABELS_DAG}|{WATCHDOG_DAG})`)", f"`{prefix}", text)


def _own(text: str, pipeline: Pipeline | None) -> str:
    if not pipeline:
        return text
    return text.replace(f"`{LABELS_DAG}`", f"`{pipeline.dag_id}`").replace(
        f"`{WATCHDOG_DAG}`", f"`{pipeline.watchdog_dag_id}`"
    )


def _configured(pipeline: Pipeline) -> str:
    right = pipeline.right()
    lines = [
        f"Set in {_code(pipeline.own.home)}, or in Airflow's configuration, section `[{SECTION}]`.",
        "",
        "| option | configured | |",
        "|---|---|---|",
    ]
    for option, described in Settings.model_fields.items():
        value = _value(pipeline, option, right.get(option))
        lines.append(f"| `{option}` | {value} | {described.description} |")
    return "\n".join(lines)


def _code(place: str) -> str:
    """A file's path as inline code in Markdown. Backquotes in the path are replaced."""
    return f"`{shown(place).replace('`', ' ')}`"


def _value(pipeline: Pipeline, option: str, right: str | None) -> str:
    """Table cell of an option's value. A wrong value is hidden: it may be a misplaced secret."""
    described = Settings.model_fields[option]
    if right is None and (option in pipeline.own.wrong or pipeline.read(option) is not None):
        return "**wrong**"
    if option.endswith("_conn_id") and right and not _CONNECTION_ID.fullmatch(right):  # a whole connection, not its id
        return "…"
    if right:
        return f"`{shown(right)[:_VALUE_LIMIT].replace('`', ' ').replace('|', chr(92) + '|')}`"
    if option == "schedule" and right is not None:
        return "only when triggered"
    if described.is_required():
        return "**missing**"
    if described.default == ():
        return "none"
    return "none" if described.default is None else f"`{described.default}` (default)"
