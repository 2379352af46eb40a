"""The wheel and the copied folders in one Airflow, as after an upgrade that was left half done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sandbox.environment import PROJECT
from tests.install.airflows import THREE_LINES, Airflow
from tests.install.test_bare_airflow import DAGS

#: As docs/install.md has them for Airflows without the wheel.
BESIDE: dict[str, Any] = {"AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins")}
INCLUDE = [PROJECT / "include"]
PAGES = ["Label detection", "Labelled pictures"]


def test_the_pages_are_registered_once(airflow: Airflow) -> None:
    plugins = airflow.listed("plugins", path=INCLUDE, **BESIDE)
    views = [view["name"] for plugin in plugins for view in plugin["external_views"]]
    assert sorted(name for name in views if name in PAGES) == PAGES


def test_the_dags_are_healthy_and_the_plugins_folder_does_not_hide_the_wheel(airflow: Airflow, tmp_path: Path) -> None:
    (tmp_path / "pictures.py").write_text(THREE_LINES)
    parsed = airflow.parse(tmp_path, path=INCLUDE, **BESIDE)
    assert (parsed.errors, parsed.dags) == ({}, DAGS)
    assert Path(parsed.files[0]).is_relative_to(airflow.environment)
