"""DAG bundles: folders and repositories from which Airflow reads DAG files."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from airflow.dag_processing.dagbag import BundleDagBag, DagBag

from label_detection_core.config.settings import environment_name
from sandbox.environment import PROJECT
from tests.core.test_pipelines import options
from tests.dags.test_dag_file import says, settings, write

if TYPE_CHECKING:
    from airflow.sdk import DAG


def test_airflow_reads_only_the_dag_files_of_this_repository() -> None:
    bag = DagBag(PROJECT)
    assert {stat.file.removeprefix("/") for stat in bag.dagbag_stats} == {
        f"dags/{path.name}" for path in (PROJECT / "dags").glob("*.py")
    }
    assert bag.import_errors == {}


BESIDE, ABOVE, DAGS_FOLDER, ABOVE_DAGS_FOLDER = "bundle/dags", "bundle", "airflow/dags", "airflow"


def parsed_of_bundle(bundle: Path, dag_file: Path) -> dict[str, DAG]:
    """Parse a file of a bundle, as the dag-processor and a task do."""
    bag = BundleDagBag(dag_folder=dag_file, bundle_path=bundle, bundle_name="theirs")
    assert bag.import_errors == {}
    return bag.dags


@pytest.mark.parametrize(
    "places",
    [
        [BESIDE, ABOVE, DAGS_FOLDER, ABOVE_DAGS_FOLDER],
        [ABOVE, DAGS_FOLDER, ABOVE_DAGS_FOLDER],
        [DAGS_FOLDER, ABOVE_DAGS_FOLDER],
        [ABOVE_DAGS_FOLDER],
    ],
    ids=lambda places: f"{places[0]} first" if len(places) > 1 else f"{places[0]} alone",
)
def test_a_relative_path_is_looked_for_beside_the_dag_file_above_it_and_in_airflows_dags_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / DAGS_FOLDER))
    dag_file = write(tmp_path / BESIDE, 'labels(pipelines="pipelines.yaml")')
    for place in places:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        name = place.replace("/", ".")
        (tmp_path / place / "pipelines.yaml").write_text(yaml.safe_dump({name: options(1)}))
    dags = parsed_of_bundle(tmp_path / "bundle", dag_file)
    dag = dags[f"label_detection__{places[0].replace('/', '.')}"]
    assert settings(dag).queue_url == options(1)["queue_url"]


def test_the_section_may_name_the_file_that_a_bundle_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/nowhere")
    monkeypatch.setenv(environment_name("pipelines"), "pipelines.yaml")
    dag_file = write(tmp_path, "labels()")
    (tmp_path / "pipelines.yaml").write_text("leaves: {}")
    assert "label_detection__leaves" in parsed_of_bundle(tmp_path, dag_file)


def test_the_first_task_names_every_place_where_a_missing_file_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / DAGS_FOLDER))
    dags = parsed_of_bundle(tmp_path, write(tmp_path / BESIDE, 'labels(pipelines="p.yaml")'))
    (line,) = says(dags["label_detection"])
    for place in (BESIDE, ABOVE, DAGS_FOLDER, ABOVE_DAGS_FOLDER):
        assert str(tmp_path / place / "p.yaml") in line


def test_a_clone_of_a_repository_has_its_pipelines_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/nowhere")
    origin, clone = tmp_path / "origin", tmp_path / "bundles" / "theirs" / "tracking_repo"
    write(origin / "dags", 'labels(pipelines="pipelines.yaml")')
    (origin / "dags" / "pipelines.yaml").write_text(yaml.safe_dump({"leaves": options(1)}))
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(origin)]
    for command in ([*git, "init", "-q"], [*git, "add", "."], [*git, "commit", "-qm", "dags"]):
        subprocess.run(command, check=True)
    subprocess.run([git[0], "clone", "-q", str(origin), str(clone)], check=True)
    dags = parsed_of_bundle(clone, clone / "dags" / "parts_dag.py")
    assert says(dags["label_detection__leaves"]) == []


def test_airflow_accepts_the_examples_of_the_page() -> None:
    examples = re.findall(r"```ini\n(.*?)```", (PROJECT / "docs" / "bundles.md").read_text(), re.DOTALL)
    classes = []
    for example in examples:
        parser = configparser.ConfigParser()
        parser.read_string(example)
        (bundle,) = json.loads(parser["dag_processor"]["dag_bundle_config_list"])
        classes.append(bundle["classpath"].rpartition(".")[2])
        assert set(bundle) == {"name", "classpath", "kwargs"}
    assert classes == ["LocalDagBundle", "GitDagBundle"]
