"""The wheel in an Airflow with nothing else of ours: metadata, provider, options, pages, DAGs."""

from __future__ import annotations

import re
from email import message_from_string
from pathlib import Path

import pytest

from label_detection_core.config.settings import described_options
from sandbox.environment import PROJECT
from tests.install.airflows import THREE_LINES, Airflow

DAGS = ["label_detection", "label_detection_backfill", "label_detection_watchdog"]


def test_the_metadata_pin_no_airflow_and_have_license_readme_and_extras(airflow: Airflow) -> None:
    (file,) = airflow.environment.glob("lib/python*/site-packages/airflow_label_detection-*.dist-info/METADATA")
    metadata = message_from_string(file.read_text())
    requires = [str(line) for line in metadata.get_all("Requires-Dist") or []]
    assert [line for line in requires if "extra ==" not in line] == [
        "apache-airflow-providers-amazon[aiobotocore]",
        "apache-airflow>=3.2",
        "pillow",
        "pydantic",
    ]
    assert {tuple(re.findall(r"airflow-providers-(\w+); extra == '(\w+)'", line)) for line in requires[4:]} == {
        (("http", "webhook"),),
        (("slack", "slack"),),
        (("smtp", "mail"),),
    }
    assert (metadata["Requires-Python"], metadata["License-Expression"]) == (">=3.11", "MIT-0")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (PROJECT / "README.md").read_text()
    assert metadata.get_all("Provides-Extra") == ["mail", "pages", "sagemaker", "slack", "webhook"]


def test_the_installed_airflow_is_unchanged(airflow: Airflow) -> None:
    assert airflow.run("airflow", "version").split()[-1] == airflow.version


def test_airflow_lists_the_provider(airflow: Airflow) -> None:
    ours = [row for row in airflow.listed("providers", "list") if "label-detection" in row["package_name"]]
    version = re.search(r'^version = "(.*)"', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert [(row["package_name"], row["version"]) for row in ours] == [("airflow-label-detection", version[1])]


def test_airflow_knows_every_option(airflow: Airflow) -> None:
    lines = airflow.run("airflow", "config", "list", "--section", "label_detection").splitlines()
    assert "[label_detection]" in lines
    assert {line.strip("# ").split(" =")[0] for line in lines if " =" in line} == set(described_options())


def test_airflow_has_the_pages_once(airflow: Airflow) -> None:
    plugins = [plugin for plugin in airflow.listed("plugins") if "label_detection" in plugin["name"]]
    assert [plugin["name"] for plugin in plugins] == ["label_detection_pages"]
    assert [view["name"] for view in plugins[0]["external_views"]] == ["Labelled pictures", "Label detection"]


@pytest.fixture
def three_lines(tmp_path: Path) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "pictures.py").write_text(THREE_LINES)
    return tmp_path / "dags"


def test_a_dag_file_of_three_lines_has_the_dags(airflow: Airflow, three_lines: Path) -> None:
    parsed = airflow.parse(three_lines)
    assert (parsed.errors, parsed.dags) == ({}, DAGS)
    assert all(Path(file).is_relative_to(airflow.environment) for file in parsed.files)
