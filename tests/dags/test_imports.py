"""The direction of imports, read from the source; and that parsing a DAG file calls no service."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.environment import PROJECT, PYTHONPATH, cleaned

DAG_FILES = sorted((PROJECT / "dags").glob("*.py"))
PLUGIN_FILES = sorted((PROJECT / "plugins").rglob("*.py"))
CORE_FILES = sorted((PROJECT / "include").rglob("*.py"))
PIPELINE_FILES = [*DAG_FILES, *PLUGIN_FILES, *CORE_FILES]
LOCAL_AWS_FILES = sorted((PROJECT / "local_aws").rglob("*.py"))
DAG_MODULES = {"dags", *(path.stem for path in DAG_FILES)}
OURS = {"label_detection_core", "label_detection", "local_aws", "sandbox", "demo", "tests", *DAG_MODULES}
#: The imports that a DAG file may have: it only connects what other modules define.
WIRING = {"__future__", "datetime", "airflow", "label_detection", "label_detection_core"}

_PARSE = """
import json, sys
asked = []
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        asked.append(f"{event}{arguments[1:] if event == 'socket.connect' else arguments}")
        raise PermissionError("no network while a DAG file is parsed")
from airflow.dag_processing.dagbag import DagBag
sys.addaudithook(note)
bag = DagBag(sys.argv[1])
print(json.dumps({"asked": asked, "dags": sorted(bag.dags), "errors": bag.import_errors}))
"""
_CALLS_AWS = """
import boto3
from airflow.sdk import DAG
from botocore.config import Config
try:
    once = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    boto3.client("sts", region_name="us-east-1", config=once, **keys).get_caller_identity()
except Exception:
    pass
with DAG("calls_aws"):
    pass
"""


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of each import of a file, even within functions; `from a import b` is `a` and `a.b`."""
    package = list(path.relative_to(PROJECT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def broken(files: list[Path], allowed: object) -> list[str]:
    """The imports that `allowed(module)` forbids, as `file:line imports module`."""
    assert files
    return [
        f"{path.relative_to(PROJECT)}:{line} imports {module}"
        for path in files
        for line, module in imports_of(path)
        if not allowed(module)  # type: ignore[operator]
    ]


def root(module: str) -> str:
    return module.partition(".")[0]


def test_nothing_imports_a_dag_file() -> None:
    everything = [
        path
        for folder in ("dags", "plugins", "include", "local_aws", "sandbox", "demo", "tests")
        for path in sorted((PROJECT / folder).rglob("*.py"))
    ]
    assert broken(everything, lambda module: root(module) not in DAG_MODULES) == []


def test_the_pipeline_does_not_know_the_embedded_aws() -> None:
    assert [path.name for path in PIPELINE_FILES if "local_aws" in path.read_text()] == []


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.name)
def test_a_dag_file_only_wires(path: Path) -> None:
    assert broken([path], lambda module: root(module) in WIRING) == []
    work = ast.For | ast.AsyncFor | ast.While | ast.Try | ast.comprehension | ast.ClassDef
    found = [type(node).__name__ for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, work)]
    assert found == [], f"{path.name} does its own work: move it to plugins/ or the core"


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import boto3", {"boto3"}),
        ("def f():\n    from airflow import sdk", {"airflow", "airflow.sdk"}),
        ("from ..bench import rows", {"bench", "bench.rows"}),
    ],
    ids=["import", "within a function", "relative"],
)
def test_the_scan_finds_each_form_of_import(
    source: str, modules: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PROJECT", tmp_path)
    (tmp_path / "dags").mkdir()
    path = tmp_path / "dags" / "a_dag.py"
    path.write_text(source)
    assert {module for _, module in imports_of(path)} == modules


def parse_without_network(dags: Path, home: Path) -> dict[str, Any]:
    """What parsing a folder of DAGs asked the network for, in a process of its own that must not."""
    environment = cleaned() | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment["PYTHONPATH"] = f"{PYTHONPATH}:{PROJECT / 'plugins'}"
    command = [sys.executable, "-c", _PARSE, str(dags)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def test_parsing_the_dags_calls_neither_the_network_nor_aws(tmp_path: Path) -> None:
    found = parse_without_network(PROJECT / "dags", tmp_path)
    assert found["asked"] == []
    assert found["errors"] == {}
    assert "label_detection" in found["dags"]


def test_a_dag_file_that_calls_the_network_is_found(tmp_path: Path) -> None:
    (tmp_path / "calls_aws_dag.py").write_text(_CALLS_AWS)
    found = parse_without_network(tmp_path, tmp_path)
    assert found["dags"] == ["calls_aws"]
    assert any("sts" in asked for asked in found["asked"])
