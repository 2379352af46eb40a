"""What the overview shows of a paused pipeline. `tests/system/test_series.py` has the pause of a real scheduler."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from label_detection.ui import airflow
from label_detection.ui.airflow import Pause
from tests.plugins.label_detection.ui.known import DAG_ID, NOW, Known

WHY = "paused after 5 failed runs in a row: remove the cause, then unpause the DAG"


def pause_at(monkeypatch: pytest.MonkeyPatch, hours: float | None) -> None:
    """The entry in the audit log, some hours after `NOW`; None: there is none."""
    entry = None if hours is None else Pause(NOW + timedelta(hours=hours), WHY)
    monkeypatch.setattr(airflow, "pause_after_failures", lambda dag_id: entry if dag_id == DAG_ID else None)


def shown(browser: TestClient) -> tuple[Any, Any]:
    found = browser.get(f"/pipelines/{DAG_ID}/now").json()
    return found["paused"], found["paused_why"]


@pytest.mark.parametrize(
    ("is_paused", "pause", "why"),
    [
        pytest.param(False, None, None, id="not paused"),
        pytest.param(False, 2, None, id="unpaused after a series of failures"),
        pytest.param(True, None, None, id="paused by somebody"),
        pytest.param(True, 2, f"This DAG was {WHY}.", id="paused after a series of failures"),
        pytest.param(True, 0.5, None, id="unpaused after a series of failures, and paused by somebody after a run"),
    ],
)
def test_a_pause_after_a_series_of_failures_differs_from_one_by_somebody(
    browser: TestClient, known: Known, monkeypatch: pytest.MonkeyPatch, is_paused: bool, pause: float | None, why: Any
) -> None:
    known.add_run(1, state="failed")
    known.add_run(3, state="running")
    known.paused |= {DAG_ID} if is_paused else set()
    pause_at(monkeypatch, pause)
    assert shown(browser) == (is_paused, why)


def test_a_paused_pipeline_without_a_run_is_shown(
    browser: TestClient, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.paused.add(DAG_ID)
    pause_at(monkeypatch, None)
    assert shown(browser) == (True, None)
