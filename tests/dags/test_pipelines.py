"""Several pipelines as the dag-processor sees them: a DAG and a backfill for each, with separate errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from label_detection.configuration import read_settings
from label_detection_core.config.settings import Settings, environment_name
from sandbox.environment import PROJECT
from tests.core.test_pipelines import options
from tests.dags.test_policy import CHAIN, DAG_RULES, DAGS, TASK_RULES, schedule_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

WATCHDOG = "label_detection_watchdog"
Parse = Callable[[object], dict[str, "DAG"]]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Parse:
    """The DAGs from their files. `pipelines`: an object, written to a file, or the text of the option."""

    def parsed(pipelines: object) -> dict[str, DAG]:
        if not isinstance(pipelines, str):
            (tmp_path / "pipelines.yaml").write_text(yaml.safe_dump(pipelines, sort_keys=False))
            pipelines = str(tmp_path / "pipelines.yaml")
        monkeypatch.setenv(environment_name("pipelines"), pipelines)
        bag = DagBag(PROJECT / "dags")
        assert bag.import_errors == {}
        return bag.dags

    return parsed


def stored(dag: DAG) -> Any:
    """The DAG as the database has it."""
    return json.loads(json.dumps(DagSerialization.to_dict(dag)))


def says(dag: DAG, **params: Any) -> str:
    """The error of the first task of a DAG's run; empty if the task succeeds."""
    try:
        read_settings({"dag": dag, "params": params})
    except AirflowFailException as error:
        return str(error)
    return ""


def test_each_pipeline_has_its_dags_and_the_watchdog_is_one_for_all(parse: Parse) -> None:
    dags = parse({"leaves": options(1), "parts": options(2)})
    assert set(dags) == {
        "label_detection__leaves",
        "label_detection__parts",
        "label_detection_backfill__leaves",
        "label_detection_backfill__parts",
        WATCHDOG,
    }
    for name in ("leaves", "parts"):
        assert set(dags[f"label_detection__{name}"].tags) == {"label-detection", name}
        assert set(dags[f"label_detection_backfill__{name}"].tags) == {"label-detection", name}
        assert [task.task_id for task in dags[f"label_detection__{name}"].topological_sort()] == CHAIN


def test_the_dags_of_several_pipelines_keep_every_rule(parse: Parse) -> None:
    for dag in parse({"leaves": options(1), "bad": {"max_tasks": 0}}).values():
        broken = [rule for rule, (holds, _) in DAG_RULES.items() if not holds(dag)]
        broken += [rule for rule, (holds, _) in TASK_RULES.items() if not all(map(holds, dag.tasks))]
        assert broken == []
        DagSerialization.validate_schema(stored(dag))


def test_each_pipeline_has_its_own_schedule_and_form(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment_name("min_confidence"), "55")
    dags = parse({"leaves": options(1, schedule="@hourly", min_confidence=80), "parts": options(2, schedule=None)})
    found = {
        name: (
            schedule_of(dag),
            (dag.params.get_param("min_confidence").description or "").split("Leave empty to use ")[1],
        )
        for name in ("leaves", "parts")
        for dag in [dags[f"label_detection__{name}"]]
    }
    assert found == {"leaves": ("@hourly", "the configured value (80)."), "parts": (None, "the configured value (55).")}


def test_a_pipelines_page_has_its_configured_options(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment_name("max_tasks"), "7")
    page = parse({"leaves": options(1, schedule="", min_confidence=80)})["label_detection__leaves"].doc_md or ""
    assert "## Options of leaves" in page
    for option, value in (options(1) | {"min_confidence": "80", "max_tasks": "7"}).items():
        assert f"| `{option}` | `{value}` |" in page
    assert "| `schedule` | only when triggered |" in page
    assert "| `wait_minutes` | `5` (default) |" in page
    assert "| `sns_topic_arn` | none |" in page
    assert all(f"| `{option}` |" in page for option in Settings.model_fields)


@pytest.mark.parametrize(
    "more",
    [
        {"queue_url": "https://user:secret@host/1/q"},
        {"queue_url": "https://host/1/q?X-Amz-Signature=secret"},
        {"aws_conn_id": "aws://key:secret@"},
        {"aws_conn_id": '{"conn_type": "aws", "password": "secret"}'},
        {"source_bucket": "secret/KEY"},
        {"aws_access_key": "secret"},
        {"max_tasks": "https://user:secret@host"},
    ],
    ids=str,
)
def test_no_page_and_no_form_shows_a_secret(parse: Parse, more: dict[str, str]) -> None:
    dags = parse({"leaves": options(1, **more)})
    assert [dag_id for dag_id, dag in dags.items() if "secret" in json.dumps(stored(dag))] == []


def test_a_value_that_cannot_be_shown_breaks_no_page(parse: Parse) -> None:
    odd = "\ud800 \x00 | ` \n {{ 1 / 0 }}"
    text = json.dumps({odd: options(1), "leaves": dict.fromkeys(Settings.model_fields, odd) | {odd: odd}})
    for dag in parse(text).values():
        assert "\\ud800" not in json.dumps(stored(dag))
        assert "\\u0000" not in json.dumps(stored(dag))


def test_the_backfills_pages_name_the_dag_of_their_pipeline(parse: Parse) -> None:
    backfill = parse({"leaves": options(1)})["label_detection_backfill__leaves"]
    for page in (backfill.doc_md, backfill.get_task("enqueue_images").doc_md):
        assert "`label_detection__leaves`" in (page or "")
        assert "`label_detection`" not in (page or "")


def test_a_wrong_pipeline_among_three_fails_alone(parse: Parse) -> None:
    dags = parse({"one": options(1), "bad": options(2, max_tasks=0, colour="red"), "three": options(3)})
    assert len(dags) == 7
    for dag_id in ("label_detection__bad", "label_detection_backfill__bad"):
        first, *lines = says(dags[dag_id]).splitlines()
        assert first == "the configuration has missing or wrong options:"
        assert [line.split(": ")[:2] for line in lines] == [["pipelines", "bad"]] * 2
        assert "'colour' is not an option" in lines[0]
        assert "max_tasks is '0'" in lines[1]
        assert all("pipelines.yaml" in line for line in lines)
    assert (says(dags["label_detection__one"]), says(dags["label_detection_backfill__three"])) == ("", "")


def test_a_wrong_name_and_a_wrong_schedule_are_shown(parse: Parse) -> None:
    dags = parse({"two words": options(1), "late": options(2, schedule="late")})
    assert "a name must be" in says(dags["label_detection__two_words"])
    assert schedule_of(dags["label_detection__late"]) == "0 */2 * * *"
    assert "schedule is 'late'" in says(dags["label_detection__late"])


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param("{", "line 1, column 2", id="broken JSON"),
        pytest.param("missing.yaml", "missing.yaml: there is no such file", id="no file"),
        pytest.param("nonsense", "neither a JSON object", id="nonsense"),
        pytest.param("{}", "contains no pipeline", id="empty"),
        pytest.param("[1]", "the content is a list", id="a list"),
        pytest.param("%(other)s", "neither a JSON object", id="a percent sign"),
    ],
)
def test_an_unreadable_option_is_the_error_of_the_only_dag(parse: Parse, value: str, error: str) -> None:
    dags = parse(value)
    assert set(dags) == DAGS
    for dag_id in ("label_detection", "label_detection_backfill"):
        _, line = says(dags[dag_id]).splitlines()
        assert line.startswith("[label_detection] pipelines: ")
        assert error in line


def test_a_relative_path_is_looked_up_in_the_dags_folder(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path))
    (tmp_path / "mine.yml").write_text("leaves: {}\n")
    assert "label_detection__leaves" in parse("mine.yml")


@pytest.mark.parametrize("value", ["", "  "], ids=["empty", "blank"])
def test_an_empty_pipelines_option_changes_nothing(parse: Parse, bag: DagBag, value: str) -> None:
    dags = parse(value)
    assert set(dags) == DAGS
    for dag_id, dag in dags.items():
        assert stored(dag) == stored(bag.dags[dag_id])


def test_the_watchdog_exists_for_any_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment_name("pipelines"), "{")
    assert list(DagBag(PROJECT / "dags" / "watchdog_dag.py").dags) == [WATCHDOG]


def test_a_task_parses_only_its_own_dag(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "label_detection__parts")
    dags = parse({"leaves": options(1), "parts": options(2)})
    assert set(dags) - {WATCHDOG} == {"label_detection__parts"}
