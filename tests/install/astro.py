"""An Astro project: `dags/`, and an `include/` folder of its own that its DAGs import."""

from __future__ import annotations

from pathlib import Path

THEIR_DAG = "their_dag"
_THEIR_DAG = f'''
from airflow.sdk import DAG, task
from include.greeting import GREETING

with DAG("{THEIR_DAG}", schedule=None):

    @task
    def greet() -> str:
        from include.greeting import GREETING

        return GREETING

    greet()
'''


def make(folder: Path, *, is_package: bool) -> Path:
    """Create the project; `is_package`: whether `include/` has an `__init__.py`."""
    for name in ("dags", "include"):
        (folder / name).mkdir(parents=True)
    (folder / "include" / "greeting.py").write_text('GREETING = "hello"\n')
    if is_package:
        (folder / "include" / "__init__.py").touch()
    (folder / "dags" / "their_dag.py").write_text(_THEIR_DAG)
    return folder
