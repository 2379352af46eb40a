"""In the gate the session fails if a suite ran no test, unless the command leaves that suite out by name."""

from __future__ import annotations

import pytest

from sandbox.environment import PROJECT
from tests.conftest import left_out


@pytest.mark.parametrize(
    ("ignored", "marks", "suites"),
    [
        pytest.param([], "", set(), id="nothing"),
        pytest.param(["tests/permissions"], "", {"permissions"}, id="a suite"),
        pytest.param([f"{PROJECT}/tests/permissions/"], "", {"permissions"}, id="a suite by its whole path"),
        pytest.param(["tests/permissions", "tests/helm"], "", {"permissions", "helm"}, id="two suites"),
        pytest.param(["tests/plugins/permissions"], "", set(), id="a folder below, named like a suite"),
        pytest.param(["tests/permissions/test_docs.py"], "", set(), id="a file of a suite"),
        pytest.param([], "not faults and not install", {"install"}, id="the suite of a mark"),
        pytest.param([], "not system", {"system", "install", "site"}, id="the suites of a mark"),
    ],
)
def test_only_a_named_suite_may_run_no_test(
    ignored: list[str], marks: str, suites: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    assert left_out(ignored, marks) == suites
