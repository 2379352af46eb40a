"""What the overview shows of costs and budgets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from label_detection_core.config.settings import environment_name
from label_detection_core.model.ledger import Entry, Ledger, ledger_name
from tests.conftest import Aws
from tests.plugins.label_detection.ui.known import DAG_ID, Known


def costs(browser: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = browser.get(f"/pipelines/{DAG_ID}/now").json()["costs"]
    return found


def spend(known: Known, usd: float, dag_id: str, model_arn: str) -> None:
    now = datetime.now(UTC)
    since = now - timedelta(seconds=1)
    more: dict[str, Any] = {"since": since, "until": now, "ended_at": now, "units": 1}
    entry = Entry(dag_id=dag_id, run_id="r", price_per_unit_hour=usd * 3600, **more)
    known.variables[ledger_name(model_arn)] = Ledger(entries=(entry,)).model_dump_json()


def test_a_pipeline_that_never_ran_has_cost_nothing(browser: TestClient) -> None:
    assert costs(browser) == {"day": 0, "month": 0, "limits": [], "problem": None}


def test_a_budget_for_all_counts_all_pipelines_and_the_sums_count_this_one(
    browser: TestClient, aws: Aws, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment_name("max_cost_per_month"), "10")
    spend(known, 2, DAG_ID, aws.settings.model_arn)
    spend(known, 3, "another", "arn:aws:rekognition:::another")
    found = costs(browser)
    assert found["month"] == pytest.approx(2)
    (limit,) = found["limits"]
    assert (limit["option"], limit["scope"], limit["limit"]) == ("max_cost_per_month", "all", 10)
    assert (limit["spent"], limit["left"]) == pytest.approx((5, 5))
    assert datetime.fromisoformat(limit["ends_at"]) > datetime.now(UTC)


def test_a_ledger_that_somebody_has_edited_is_named_and_all_else_is_shown(
    browser: TestClient, aws: Aws, known: Known
) -> None:
    known.variables[ledger_name(aws.settings.model_arn)] = "edited"
    found = browser.get(f"/pipelines/{DAG_ID}/now").json()
    assert "is not a ledger of costs" in found["costs"]["problem"]
    assert found["state"] is not None
