"""The files for MWAA, in MWAA's layout: only the plugins' contents and the dags root are on the path.

`make test-mwaa` runs them with a Python 3.12 that has only the packages of MWAA and of our requirements.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.release import mwaa
from sandbox.environment import PROJECT, cleaned
from tests.conftest import Aws


@dataclass(frozen=True)
class Environment:
    """An MWAA environment: files and paths. Airflow is that of the tests, or that of `make test-mwaa`."""

    home: Path

    def python(self, *arguments: str, **more: str) -> str:
        """Run Python in the environment, outside the checkout; return its output."""
        environment = cleaned() | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.home / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            **more,
        }
        environment.pop("PYTHONPATH")
        done = subprocess.run(
            [os.environ.get("LABEL_DETECTION_MWAA_PYTHON", sys.executable), *arguments],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist") / "mwaa"
    mwaa.pack(folder)
    return folder


@pytest.fixture
def environment(packed: Path, tmp_path: Path) -> Environment:
    home = tmp_path / "airflow"
    shutil.copytree(packed / "dags", home / "dags")
    with zipfile.ZipFile(packed / "plugins.zip") as archive:
        archive.extractall(home / "plugins")
    return Environment(home)


def test_the_same_files_give_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for name in ("dags", "plugins", "include", "deploy"):
        shutil.copytree(PROJECT / name, copy / name)
    shutil.copy(PROJECT / "requirements.txt", copy)
    for file in copy.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    mwaa.pack(tmp_path / "again", copy)
    for name in ("plugins.zip", "requirements.txt", "dags/label_detection_dag.py"):
        assert (packed / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_package_has_what_the_pipeline_needs_and_no_more(packed: Path) -> None:
    names = set(zipfile.ZipFile(packed / "plugins.zip").namelist())
    assert {"label_detection/hooks/rekognition.py", "label_detection/waiters/rekognition.json"} <= names
    assert {"label_detection_pages.py", "label_detection/ui/assets/gallery.html"} <= names
    assert {
        "label_detection_core/drain/drain.py",
        "label_detection_core/run/report.html.jinja",
        "label_detection_core/labelling/label_document.schema.json",
    } <= names
    assert [name for name in names if re.search(r"local_aws|cloudformation|\.pyc$", name)] == []
    assert sorted(path.name for path in packed.iterdir()) == ["dags", "plugins.zip", "requirements.txt"]
    assert sorted(path.name for path in (packed / "dags").iterdir()) == sorted(
        path.name for path in (PROJECT / "dags").iterdir() if path.is_file()
    )


def test_the_pipelines_file_is_packed_with_the_dags(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for name in ("dags", "plugins", "include", "deploy"):
        shutil.copytree(PROJECT / name, copy / name)
    shutil.copy(PROJECT / "requirements.txt", copy)
    (copy / "dags" / "pipelines.yaml").write_text("leaves: {}\n")
    (copy / "dags" / "pipelines.yaml.swp").write_text("not this")
    mwaa.pack(tmp_path / "packed", copy)
    assert (tmp_path / "packed" / "dags" / "pipelines.yaml").read_text() == "leaves: {}\n"
    assert not (tmp_path / "packed" / "dags" / "pipelines.yaml.swp").exists()


def test_the_requirements_pin_only_what_mwaas_constraints_do_not(packed: Path) -> None:
    lines = (packed / "requirements.txt").read_text().splitlines()
    (pillow,) = [
        line for line in (PROJECT / "requirements.txt").read_text().splitlines() if line.startswith("pillow==")
    ]
    assert lines == ["apache-airflow-providers-amazon[aiobotocore]", pillow, "pydantic"]


@pytest.mark.parametrize("airflow", sorted(file.stem for file in (PROJECT / "deploy" / "constraints").glob("*.txt")))
def test_the_requirements_fit_the_constraints_of_each_airflow(packed: Path, airflow: str) -> None:
    pins = re.findall(
        r"^([\w.-]+)==(\S+)", (PROJECT / "deploy" / "constraints" / f"{airflow}.txt").read_text(), re.MULTILINE
    )
    constraints = {name.lower(): version for name, version in pins}
    for line in (packed / "requirements.txt").read_text().splitlines():
        name, pinned, _ = line.partition("==")
        name = name.partition("[")[0].lower()
        # pip's rule: a pin of ours beside one of MWAA's would be a conflict, and without both the version would float.
        assert bool(pinned) is (name not in constraints), line


def test_packing_again_replaces_the_old_package(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "old").touch()
    mwaa.pack(tmp_path / "dist")
    assert not (tmp_path / "dist" / "old").exists()


def test_the_triggerer_finds_the_triggers_without_the_dags_path(environment: Environment) -> None:
    triggers = "label_detection.triggers.model, label_detection.triggers.sqs"
    environment.python("-c", f"import sys; sys.path.insert(0, 'plugins'); import {triggers}")


def test_no_file_of_ours_but_the_pages_is_imported_as_a_plugin(environment: Environment) -> None:
    environment.python("-m", "airflow", "db", "migrate")
    said = environment.python("-m", "airflow", "plugins", "--output", "json")
    plugins, _ = json.JSONDecoder().raw_decode(said[said.index("[{") :])
    assert [plugin["name"] for plugin in plugins] == ["label_detection_pages"]


def test_the_dag_runs_in_the_environment(aws: Aws, environment: Environment, picture: bytes) -> None:
    key = "line 3/part é+1.png"
    aws.upload(key, picture)
    options = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "AIRFLOW__LABEL"))}
    environment.python("-m", "airflow", "db", "migrate")
    environment.python("-m", "airflow", "dags", "test", "label_detection", **options)
    assert aws.source_keys() == []
    assert len(aws.final_keys()) == 2
    assert aws.model()["status"] == "STOPPED"
