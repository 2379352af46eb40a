"""What the Airflow UI shows beside a DAG and its tasks: written once, in the docstrings."""

from __future__ import annotations

from inspect import cleandoc

from include.settings import SECTION, environment_name, options_table


def task_docs(operator: type) -> str:
    """The page of a task: its operator's docstring."""
    return cleandoc(operator.__doc__ or "")


def dag_docs(docstring: str | None) -> str:
    """The page of a DAG: its file's docstring, and the options."""
    return (
        f"{cleandoc(docstring or '')}\n\n## Options\n\nIn Airflow's configuration, section `[{SECTION}]`, or as "
        f"environment variables such as `{environment_name('queue_url')}`.\n\n{options_table()}\n"
    )
