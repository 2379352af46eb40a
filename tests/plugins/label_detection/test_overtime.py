"""The triggerer stops the model of a run whose lease has expired, and no other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from label_detection import overtime, stopping
from label_detection_core.model.lease import lease_name
from tests.plugins.conftest import DAG_ID, QUICK, Variables
from tests.plugins.label_detection.operators.conftest import lease_on

if TYPE_CHECKING:
    from tests.conftest import Aws


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overtime, "waits", QUICK)


def call(dag_id: str = DAG_ID) -> str:
    """What Airflow's triggerer does when a run is late."""
    return asyncio.run(overtime.stop_overdue_model({"dag_run": {"dag_id": dag_id, "dag_run_id": "r1"}}))


@pytest.mark.parametrize(
    ("minutes", "dag_id", "stops"),
    [
        pytest.param(-1, DAG_ID, True, id="expired"),
        pytest.param(0.02, DAG_ID, True, id="expires a second later"),
        pytest.param(-1, "another", False, id="of another DAG"),
        pytest.param(None, DAG_ID, False, id="no lease: the run ended well"),
    ],
)
def test_a_model_is_stopped_when_the_lease_of_its_run_has_expired(
    aws: Aws, variables: Variables, minutes: float | None, dag_id: str, stops: bool
) -> None:
    aws.put_model("RUNNING")
    if minutes is not None:
        variables.put_lease(lease_on(aws, minutes=minutes))
    call(dag_id)
    assert aws.model()["status"] == ("STOPPED" if stops else "RUNNING")
    assert (variables.lease(aws.settings) is None) == (stops or minutes is None)


def test_it_waits_for_the_end_of_the_lease(aws: Aws, variables: Variables) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease := lease_on(aws, minutes=0.03))
    call()
    assert datetime.now(UTC) >= lease.until
    assert aws.model()["status"] == "STOPPED"


def test_a_run_that_takes_the_model_over_keeps_it(
    aws: Aws, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    later = lease_on(aws, minutes=60, run_id="r2")
    step = stopping.Stopping.step

    def taken_over_first(self: Any) -> Any:
        variables.put_lease(later)
        return step(self)

    monkeypatch.setattr(stopping.Stopping, "step", taken_over_first)
    call()
    assert aws.model()["status"] == "RUNNING"
    assert variables.values[lease_name(later.model_arn)] == later.model_dump_json()
