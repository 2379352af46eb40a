"""The DAGs as the dag-processor sees them."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag

from sandbox.environment import PROJECT


@pytest.fixture(scope="session")
def bag() -> DagBag:
    """Every DAG file, without any configuration."""
    return DagBag(PROJECT / "dags")
