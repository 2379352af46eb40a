"""The Makefile: its help, its environment, its setup. These tests run no target that installs or starts anything."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import PROJECT

MAKEFILE = PROJECT / "Makefile"


def make(*arguments: str, folder: Path = PROJECT, stdin: str = "", **environment: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],  # noqa: S607
        cwd=folder,
        input=stdin,
        env={**os.environ, "MAKEFLAGS": "", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


def targets() -> set[str]:
    (line,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    return set(line.split())


def test_help_is_the_default_and_lists_every_target() -> None:
    text = make()
    assert text == make("help")
    assert set(re.findall(r"^  make (\S+) +\S", text, re.MULTILINE)) == targets()


def test_the_commands_of_the_design_are_there() -> None:
    assert {"demo", "test", "up", "down", "setup", "lint", "bench", "package", "help"} <= targets()


@pytest.mark.parametrize("name", ["AIRFLOW_HOME", "AIRFLOW__CORE__EXECUTOR", "AWS_PROFILE", "PYTHONPATH", "PIP_TARGET"])
def test_a_users_own_setting_reaches_no_target(name: str) -> None:
    environment: dict[str, Any] = {name: "mine", "KEPT": "yes"}
    text = make("-f", "Makefile", "-f", "-", "env", stdin="env:\n\t@env\n", **environment)
    assert "KEPT=yes" in text
    assert f"{name}=" not in text


def test_the_users_own_account_reaches_configure_alone() -> None:
    assert "profile (mine)" in make("configure", "STACK=x", AWS_PROFILE="mine")


@pytest.mark.parametrize(
    ("given", "runs"),
    [
        (["demo"], "-m demo"),
        (["demo", "MODEL=sagemaker"], "-m demo --model 'sagemaker'"),
        (["demo", "PIPELINES=2"], "-m demo --pipelines '2'"),
        (["up", "MODEL=lookoutvision"], "-m demo --model 'lookoutvision' up"),
    ],
    ids=str,
)
def test_model_and_pipelines_are_passed_to_the_demo(checkout: Path, given: list[str], runs: str) -> None:
    told = make("--dry-run", *given, folder=checkout, MODEL="of another program", PIPELINES="9")
    assert " ".join(told.split()) == f".venv/bin/python {runs}"


def test_configure_without_a_stack_prints_how_to_name_one() -> None:
    assert "make configure STACK=label-detection" in make("configure")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a .venv that looks set up to make."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    shutil.copy(PROJECT / "requirements.lock", tmp_path / ".venv")
    return tmp_path


def test_setup_does_nothing_when_it_is_up_to_date(checkout: Path) -> None:
    assert "Nothing to be done" in make("setup", folder=checkout)


def test_setup_does_nothing_when_the_lock_file_is_only_newer(checkout: Path) -> None:
    (checkout / "requirements.lock").touch()
    os.utime(checkout / ".venv" / "requirements.lock", (0, 0))
    assert make("setup", folder=checkout) == ""
    assert "Nothing to be done" in make("setup", folder=checkout)


def test_without_a_suitable_python_setup_prints_what_to_install(checkout: Path) -> None:
    (checkout / ".venv" / "requirements.lock").unlink()
    (checkout / ".venv" / "half made").touch()
    text = make("setup", "PYTHON=", folder=checkout)
    assert "no Python 3.11 or newer found" in text
    assert "PYTHON=" in text


def test_an_interrupted_setup_is_begun_again(checkout: Path) -> None:
    (checkout / ".venv" / "requirements.lock").unlink()
    (checkout / ".venv" / "half made").touch()
    fake = checkout / "python"  # creates nothing but a .venv whose pip fails
    fake.write_text('#!/bin/sh\n[ "$1" = -m ] && mkdir -p .venv/bin && touch .venv/new\nexit 0\n')
    fake.chmod(0o755)
    make("setup", f"PYTHON={fake}", folder=checkout)
    assert sorted(path.name for path in (checkout / ".venv").iterdir()) == ["bin", "new"]
