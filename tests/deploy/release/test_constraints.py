"""Amazon MWAA's pinned versions, and the files made from them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploy.release import constraints
from deploy.release.constraints import ConstraintsError
from sandbox.environment import PROJECT

PUBLISHED = """\
# NOTE: a remark of the publisher
apache-airflow-providers-amazon==9.34.0
apache-airflow-providers-google==22.3.0
boto3==1.43.56
Jinja2==3.1.6
"""


def pins(text: str) -> dict[str, str]:
    """Versions by name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\n]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def airflow(makefile_name: str) -> str:
    """The version of an Airflow that the Makefile names."""
    found = re.search(rf"^{makefile_name} := (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_only_pins_of_what_we_install_are_kept_with_airflow_itself() -> None:
    text = constraints.ours("3.3.1", PUBLISHED)
    assert pins(text) == {
        "apache-airflow": "3.3.1",
        "apache-airflow-providers-amazon": "9.34.0",
        "boto3": "1.43.56",
        "jinja2": "3.1.6",
    }


def test_unsolvable_requirements_are_an_error_with_the_cause() -> None:
    with pytest.raises(ConstraintsError, match=r"3\.3\.1[\s\S]*boto3"):
        constraints.ours("3.3.1", PUBLISHED.replace("boto3==1.43.56", "boto3==1.0.0"))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("nowhere.txt", "No such file", id="no file"),
        pytest.param("http://127.0.0.1:9/constraints.txt", "refused", id="no answer"),
        pytest.param(str(PROJECT / "LICENSE"), "is not a constraints file", id="another text"),
        pytest.param(str(PROJECT / "docs" / "graph.png"), "codec", id="no text"),
    ],
)
def test_an_unreadable_source_is_an_error_that_names_it(source: str, says: str) -> None:
    with pytest.raises(ConstraintsError, match=says) as caught:
        constraints.published("3.3.1", source)
    assert source in str(caught.value)


def test_a_change_of_version_replaces_the_old_one_in_every_file(tmp_path: Path) -> None:
    for name in constraints.NAMED_IN:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    (tmp_path / "docs" / "where-it-runs.md").write_text("3.3.1, but not 13.3.1 or 3.3.10")
    changed = constraints.move("3.3.1", "3.4.0", tmp_path)
    assert {"Makefile", "Dockerfile", "docker-compose.yaml", "deploy/helm/values.yaml", "docs/where-it-runs.md"} <= set(
        changed
    )
    assert (tmp_path / "docs" / "where-it-runs.md").read_text() == "3.4.0, but not 13.3.1 or 3.3.10"
    assert "FROM apache/airflow:3.4.0-python3.12" in (tmp_path / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("Dockerfile", r"FROM apache/airflow:([\d.]+)-python3\.12"),
        ("docker-compose.yaml", r"image: label-detection-[a-z-]+:([\d.]+)"),
        ("deploy/helm/values.yaml", r'airflowVersion: "([\d.]+)"'),
        ("deploy/cloudformation/mwaa.yaml", r"Default: (3\.[\d.]+)"),
        ("docs/where-it-runs.md", r"Airflow ([\d.]+) with Python"),
        ("requirements-dev.txt", r"apache-airflow==([\d.]+)"),
    ],
)
def test_every_file_names_the_same_airflow(name: str, pattern: str) -> None:
    assert set(re.findall(pattern, (PROJECT / name).read_text())) == {airflow("AIRFLOW")}


@pytest.mark.parametrize(
    ("lock", "version"),
    [
        ("requirements.lock", airflow("AIRFLOW")),
        (f"deploy/constraints/{airflow('OTHER_AIRFLOW')}.lock", airflow("OTHER_AIRFLOW")),
    ],
)
def test_the_lock_has_the_versions_of_mwaa(lock: str, version: str) -> None:
    wanted = pins((PROJECT / "deploy" / "constraints" / f"{version}.txt").read_text())
    locked = pins((PROJECT / lock).read_text())
    assert locked["apache-airflow"] == version
    assert {name: locked[name] for name in wanted if name in locked} == {n: v for n, v in wanted.items() if n in locked}
    assert wanted["apache-airflow-providers-amazon"] == locked["apache-airflow-providers-amazon"]


@pytest.mark.parametrize("requirements", ["requirements.txt", "requirements-dev.txt"])
def test_the_requirements_have_the_versions_of_the_lock(requirements: str) -> None:
    direct, locked = pins((PROJECT / requirements).read_text()), pins((PROJECT / "requirements.lock").read_text())
    assert direct
    assert direct.items() <= locked.items()
