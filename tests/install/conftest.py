"""The environments that `make test-wheel` makes, one for each Airflow version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install.airflows import VERSIONS, Airflow


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.install)
            item.add_marker(pytest.mark.system)


@pytest.fixture(scope="module", params=VERSIONS)
def airflow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """Each Airflow version, in an empty folder of its own."""
    return Airflow(request.param, tmp_path_factory.mktemp("airflow"))
