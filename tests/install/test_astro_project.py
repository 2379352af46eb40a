"""An Astro project's `include/` and our packages do not hide each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install import astro
from tests.install.airflows import THREE_LINES, Airflow
from tests.install.test_bare_airflow import DAGS


@pytest.mark.parametrize("is_package", [True, False], ids=["with __init__.py", "without __init__.py"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before ours on sys.path", "behind ours"])
def test_the_astro_projects_dag_and_ours_are_healthy(
    airflow: Airflow, tmp_path: Path, is_package: bool, is_before: bool
) -> None:
    project = astro.make(tmp_path / "project", is_package=is_package)
    (project / "dags" / "pictures.py").write_text(THREE_LINES)
    # Airflow appends a bundle's root to sys.path; PYTHONPATH comes before all installed packages.
    if is_before:
        parsed = airflow.parse(project / "dags", path=[project])
    else:
        parsed = airflow.parse(project / "dags", bundle=project)
    assert (parsed.errors, parsed.dags) == ({}, [*DAGS, astro.THEIR_DAG])
