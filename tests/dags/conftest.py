"""The DAGs as the dag-processor parses them."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag

from sandbox.environment import PROJECT


@pytest.fixture(scope="session")
def bag() -> DagBag:
    """A DagBag of every DAG file, parsed without any configuration."""
    return DagBag(PROJECT / "dags")
