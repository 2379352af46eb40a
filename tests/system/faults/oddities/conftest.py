"""Runs the oddity tests only with Rekognition's models; the oddities are those of S3, SQS and Rekognition."""

from __future__ import annotations

from pathlib import Path

import pytest

from label_detection import history, leases
from tests.conftest import Aws
from tests.plugins.conftest import Variables
from tests.system.faults.kind import kind
from tests.system.faults.oddities.tasks import Tasks


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if kind() == "rekognition":
        return
    here = Path(__file__).parent
    others = [item for item in items if here in item.path.parents]
    items[:] = [item for item in items if item not in others]
    config.hook.pytest_deselected(items=others)


@pytest.fixture
def tasks(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    """The tasks of the test's own pipeline, with Airflow's Variables in memory.

    The queue's counts lag as AWS's do. By default no message is delivered twice, because the journal counts deliveries.
    """
    variables = Variables()
    for module in (leases, history):
        monkeypatch.setattr(module, "Variable", variables)
    aws.exactly_once()
    return Tasks(aws)
