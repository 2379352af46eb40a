"""A run in numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.image_queue import Depth
from include.plan import make_plan
from include.report import Counts, ModelUse, Report, add_up
from include.settings import Settings
from tests.include.test_settings import RIGHT

ASKED = datetime(2026, 11, 22, 6, tzinfo=UTC)
ENDED = ASKED + timedelta(minutes=45)


def report(model: ModelUse, **changes: Any) -> Report:
    facts: dict[str, Any] = {
        "dag_id": "label_detection",
        "run_id": "manual__1",
        "started_at": ASKED,
        "ended_at": ENDED,
        "images": Counts(labelled=3),
        "labels": {"scratch": 2},
        "rejections": {},
        "queue": Depth(0, 0),
        "model": model,
        "plan": make_plan(Settings(**RIGHT), 3),
        "problems": [],
    }
    return Report(**(facts | changes))


@pytest.mark.parametrize(
    ("model", "minutes", "cost"),
    [
        pytest.param(
            ModelUse(units=1, requested_at=ASKED, stopped_at=ASKED + timedelta(minutes=30)), 30, 2.0, id="half an hour"
        ),
        pytest.param(
            ModelUse(units=5, requested_at=ASKED, stopped_at=ASKED + timedelta(minutes=6)), 6, 2.0, id="five units"
        ),
        pytest.param(ModelUse(units=1, requested_at=ASKED), 45, 3.0, id="not stopped: until now"),
        pytest.param(ModelUse(units=1), 0, 0.0, id="never asked for"),
    ],
)
def test_the_cost_is_units_and_time_at_the_configured_price(model: ModelUse, minutes: float, cost: float) -> None:
    written = report(model).to_json()["model"]
    assert (written["minutes"], written["cost_usd"]) == (minutes, cost)


def test_a_journal_adds_up() -> None:
    found = [{"Name": "scratch", "Confidence": 90.0}, {"Name": "scratch", "Confidence": 80.0}]
    lines = [
        {"outcome": "labelled", "labels": found, "error": None},
        {"outcome": "labelled", "labels": [], "error": None},
        {"outcome": "rejected", "labels": [], "error": {"code": "ImageTooLargeException", "message": "…"}},
        {"outcome": "ignored", "labels": [], "error": None},
        {"outcome": "failed", "labels": [], "error": {"code": "InternalServerError", "message": "…"}},
    ]
    totals = add_up(lines)
    assert totals.images == Counts(labelled=2, rejected=1, ignored=1, failed=1)
    assert totals.labels == {"scratch": 1}, "an image counts once for a label"
    assert totals.rejections == {"ImageTooLargeException": 1}


def test_names_from_outside_are_text_on_the_page() -> None:
    page = report(ModelUse(units=1), labels={"<script>alert(1)</script>": 1}, problems=["<b>"]).to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>" not in page


def test_the_page_gives_times_to_the_second() -> None:
    page = report(ModelUse(units=1, requested_at=ASKED)).to_html()
    assert "2026-11-22 06:00:00 UTC" in page
    assert "not known" in page


def test_the_summary_says_what_was_done_and_what_it_cost() -> None:
    model = ModelUse(units=1, requested_at=ASKED, stopped_at=ASKED + timedelta(minutes=30))
    assert report(model).summary() == "3 labelled; model on for 30.0 minutes, about 2.00 USD"
