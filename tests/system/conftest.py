"""One running world for all system tests: the embedded AWS and a real Airflow, as separate processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.world import World, WorldOptions
from tests.seed import SEED
from tests.system.pipeline import DAG_ID, Pipeline

START_SECONDS, STOP_SECONDS = 3, 2


def make_place(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """Make a folder for a world that tests share. Fails if two pytest workers would start the same world."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        (tmp_path_factory.getbasetemp().parent / f"brought-up-{name}").mkdir()
    return tmp_path_factory.mktemp(name)


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    options = WorldOptions(
        settings={"schedule": "", "wait_minutes": "0"},
        aws={
            "start-seconds": str(START_SECONDS),
            "stop-seconds": str(STOP_SECONDS),
            "rate": "20",
            "latency": "0.1",
            "seed": str(SEED),
        },
    )
    with World(make_place(tmp_path_factory, "world"), options) as world:
        world.api.wait_for_dag(DAG_ID, check=world.check)
        yield world


@pytest.fixture
def pipeline(_world: World) -> Iterator[Pipeline]:
    """The pipeline without faults. Its queue and source bucket are empty before and after the test."""
    pipeline = Pipeline(_world, _world.s3, _world.sqs)
    for page in ("faults", "oddities"):
        _world.control(page, "DELETE")
    pipeline.put_model("STOPPED")
    yield pipeline
    _world.control("faults", "DELETE")
    pipeline.empty()
