"""The embedded AWS as a separate distribution."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from sandbox.environment import PROJECT

FOLDER = PROJECT / "local_aws"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded AWS's wheel, installed into an empty folder."""
    dist, here = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("here")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", dist, FOLDER], check=True)
    (wheel,) = dist.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(here)
    return here


def test_the_wheel_has_the_whole_package(installed: Path) -> None:
    files = {path.relative_to(FOLDER) for suffix in ("py", "json") for path in FOLDER.rglob(f"*.{suffix}")}
    assert {path for path in files if (installed / "local_aws" / path).exists()} == files


def test_the_embedded_aws_runs_without_this_project(installed: Path) -> None:
    command = [sys.executable, "-m", "local_aws", "--help"]
    done = subprocess.run(command, cwd=installed, env={}, capture_output=True, text=True, check=True)
    assert "--port" in done.stdout


def test_the_wheel_requires_the_versions_that_the_project_tests_with() -> None:
    own = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert set(project["dependency-groups"]["local-aws"]) <= set(own["dependencies"])
    assert own["version"] == project["project"]["version"]
