"""The example of a user's own DAG, and the page about its operators."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from label_detection.operators.custom_model import StartCustomModelOperator, StopCustomModelOperator
from label_detection.operators.images import DetectLabelsFromQueueOperator
from label_detection.sensors.model import CustomModelRunningSensor
from sandbox.environment import PROJECT
from tests.plugins.conftest import Run, Variables, events_of, quick, set_waits, variables

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from tests.conftest import Aws

__all__ = ["quick", "set_waits", "variables"]  # fixtures

PAGE = (PROJECT / "docs" / "operators.md").read_text()
OPERATORS: list[type[BaseOperator]] = [
    StartCustomModelOperator,
    CustomModelRunningSensor,
    DetectLabelsFromQueueOperator,
    StopCustomModelOperator,
]
SETUPS = {"begin", "start_model", "wait_for_model"}


@pytest.fixture(scope="module")
def dag() -> DAG:
    bag = DagBag(PROJECT / "examples", safe_mode=True)
    assert bag.import_errors == {}
    return bag.dags["own_dag"]


def executed(dag: DAG, run: Run, task_id: str) -> Any:
    """Execute a task with rendered templates, wait out its deferral, and return its value."""
    task: Any = dag.get_task(task_id).prepare_for_execution()
    context: Any = run.context(task_id)
    task.render_template_fields(context)
    try:
        return run.execute(task, context)
    except TaskDeferred as deferral:
        trigger: Any = deferral.trigger
        event: Any = events_of(trigger, within=60)[0]
        return event.xcoms["return_value"]


@pytest.mark.usefixtures("quick")
def test_a_run_labels_what_waits_and_leaves_the_model_off(
    aws: Aws, dag: DAG, variables: Variables, picture: bytes
) -> None:
    own = {name: getattr(aws.settings, name) for name in dag.params}
    run = Run(params=own, dag_id=dag.dag_id)
    aws.exactly_once()  # because the tally counts deliveries
    for number in range(3):
        aws.upload(f"{number}.png", picture)
    assert executed(dag, run, "start_model")["adopted"] is False
    assert variables.lease(aws.settings) is not None, "the watchdog must find the model"
    assert executed(dag, run, "wait_for_model")
    assert executed(dag, run, "detect_labels")["labelled"] == 3
    assert executed(dag, run, "stop_model")["asked_at"]
    assert aws.model()["status"] == "STOPPED"
    assert variables.leases() == []
    assert aws.source_keys() == []


def test_the_model_is_stopped_whatever_happened(dag: DAG) -> None:
    stop = dag.get_task("stop_model")
    assert stop.is_teardown
    assert {task.task_id for task in dag.tasks if task.is_setup} == SETUPS
    assert stop.upstream_task_ids >= SETUPS
    assert (stop.retries or 0) > max(task.retries or 0 for task in dag.tasks if task is not stop)


def test_a_failed_stop_or_analysis_turns_the_run_red(dag: DAG) -> None:
    assert dag.get_task("model_is_off").upstream_task_ids == {"detect_labels", "stop_model"}
    assert [task.task_id for task in dag.leaves] == ["model_is_off"]


def rows(operator: type[BaseOperator]) -> Iterator[str]:
    """An operator's own arguments as rows of a table, from its signature and its docstring."""
    texts = re.findall(r":param (\w+): (.*?)(?=\n\s*:param|\Z)", inspect.cleandoc(operator.__doc__ or ""), re.DOTALL)
    meanings = {name: " ".join(text.split()).removesuffix(" (templated)").rstrip(".") for name, text in texts}
    arguments = inspect.signature(operator.__init__).parameters
    own = [name for name, argument in arguments.items() if name != "self" and argument.kind != argument.VAR_KEYWORD]
    assert list(meanings) == own, f"{operator.__name__}: its docstring has other arguments than its signature"
    for name in own:
        default = arguments[name].default
        shown = "**required**" if default is inspect.Parameter.empty else f"`{default!r}`"
        yield f"| `{name}` | {shown} | {'yes' if name in operator.template_fields else ''} | {meanings[name]} |"


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_page_has_the_arguments_that_an_operator_has(operator: type[BaseOperator]) -> None:
    table = "\n".join(["| argument | default | templated | |", "|---|---|---|---|", *rows(operator)])
    section = PAGE.partition(f"## `{operator.__name__}`")[2].partition("\n## ")[0]
    assert f"from {operator.__module__} import {operator.__name__}" in section
    assert table in section, f"put this into docs/operators.md:\n{table}"


@pytest.mark.parametrize("operator", OPERATORS)
def test_arguments_marked_as_templated_are_templates(operator: type[BaseOperator]) -> None:
    text = " ".join((operator.__doc__ or "").split())
    marked = {
        name for name, meaning in re.findall(r":param (\w+): (.*?)(?= :param|$)", text) if "(templated)" in meaning
    }
    assert marked == set(operator.template_fields)
