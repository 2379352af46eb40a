"""DAG bundles: folders and repositories that Airflow reads DAG files from."""

from __future__ import annotations

from airflow.dag_processing.dagbag import DagBag

from sandbox.environment import PROJECT


def test_of_this_repository_airflow_reads_the_dag_files_alone() -> None:
    bag = DagBag(PROJECT)
    assert {stat.file.removeprefix("/") for stat in bag.dagbag_stats} == {
        f"dags/{path.name}" for path in (PROJECT / "dags").glob("*.py")
    }
    assert bag.import_errors == {}
