"""A run in numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from label_detection_core import __version__
from label_detection_core.config.settings import Settings
from label_detection_core.queue.image_queue import Depth
from label_detection_core.run.plan import make_plan
from label_detection_core.run.report import ModelUse, Report
from label_detection_core.run.stored_report import StoredReport
from label_detection_core.run.totals import Calls, Counts, Totals
from tests.core.test_settings import RIGHT

ASKED = datetime(2026, 11, 22, 6, tzinfo=UTC)
ENDED = ASKED + timedelta(minutes=45)


def report(model: ModelUse, **changes: Any) -> Report:
    facts: dict[str, Any] = {
        "dag_id": "label_detection",
        "run_id": "manual__1",
        "started_at": ASKED,
        "ended_at": ENDED,
        "totals": Totals(images=Counts(labelled=3), labels={"scratch": 2}, rejections={}),
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
        pytest.param(ModelUse(units=1), 0, 0.0, id="never requested"),
    ],
)
def test_the_cost_is_units_and_time_at_the_configured_price(model: ModelUse, minutes: float, cost: float) -> None:
    written = report(model).to_json()["model"]
    assert (written["minutes"], written["cost_usd"]) == (minutes, cost)


#: One unit; 100 s from the request to the stop, 80 s of them running, which is enough for 400 images.
BUSY = ModelUse(
    units=1,
    requested_at=ASKED,
    running_at=ASKED + timedelta(seconds=20),
    stop_asked_at=ASKED + timedelta(seconds=100),
    stopped_at=ASKED + timedelta(seconds=120),
)


def busy_totals(images: int = 300) -> Totals:
    begin = int(ASKED.timestamp()) + 20
    return Totals(
        images=Counts(labelled=images - 1, rejected=1, ignored=5),
        labels={},
        rejections={"InvalidImageFormatException": 1},
        calls=Calls(answered=images, throttled=3, p50=0.2, p95=0.3, p99=0.4, slowest=1.5),
        by_second={begin + second: images // 60 for second in range(5, 65)},
        throttled_by_second={begin + 7: 3},
    )


def test_use_is_the_share_of_the_running_models_capacity() -> None:
    written = report(BUSY, totals=busy_totals()).to_json()["model"]
    assert written["use"] == pytest.approx(300 / 400)
    assert (written["unit_minutes"], written["cost_usd"]) == (2.0, pytest.approx(0.1333, abs=1e-4))
    assert written["cost_per_1000_usd"] == pytest.approx(0.4444, abs=1e-4), "ignored messages must not count as images"


def test_a_cleared_run_has_the_use_and_price_of_its_second_attempt_only() -> None:
    totals = busy_totals()
    totals.by_second |= {int(ASKED.timestamp()) - 3600 + second: 10 for second in range(100)}
    written = report(BUSY, totals=totals).to_json()["model"]
    assert written["use"] == pytest.approx(300 / 400)
    assert written["cost_per_1000_usd"] == pytest.approx(0.4444, abs=1e-4)


def test_a_stop_that_an_earlier_try_asked_for_leaves_the_use_unknown() -> None:
    unknown = report(BUSY.model_copy(update={"stop_asked_at": None}), totals=busy_totals())
    assert (unknown.use, unknown.bars()) == (None, [])


def test_a_model_that_never_ran_has_no_use_and_no_plot() -> None:
    never = report(ModelUse(units=1, requested_at=ASKED), totals=Totals(images=Counts(), labels={}, rejections={}))
    written = never.to_json()["model"]
    assert (written["use"], written["cost_per_1000_usd"], never.bars()) == (None, None, [])
    assert "<svg" not in never.to_html()


def test_the_plot_has_a_bar_for_each_part_of_the_running_time() -> None:
    bars = report(BUSY, totals=busy_totals()).bars()
    assert [bar.begin for bar in bars] == list(range(0, 82, 2))
    assert sum(bar.images_per_second * 2 for bar in bars) == 300
    assert [bar.begin for bar in bars if bar.throttled] == [6]


def test_the_page_shows_calls_and_plot() -> None:
    page = report(BUSY, totals=busy_totals()).to_html()
    assert page.count("<rect") == 41
    assert "95 %: 0.300 s" in page
    assert "3 (1.0 % of all sends)" in page
    assert "75 % of 5 pictures/s" in page


@pytest.mark.parametrize(
    ("images", "minutes"),
    [(1, 74), (17_700, 74), (17_701, 133)],
    ids=["one image", "an hour's worth", "one more: another step"],
)
def test_the_sample_schedule_runs_every_quarter_of_an_hour_and_its_minutes_grow_in_steps(
    images: int, minutes: float
) -> None:
    totals = busy_totals().model_copy(update={"by_second": {int(ASKED.timestamp()) + 30: images}})
    assert report(BUSY, totals=totals).to_json()["sample_schedule"]["minutes"] == minutes


def test_names_from_outside_are_text_on_the_page() -> None:
    named = Totals(images=Counts(), labels={"<script>alert(1)</script>": 1}, rejections={})
    page = report(ModelUse(units=1), totals=named, problems=["<b>"]).to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>" not in page


def test_the_page_gives_times_to_the_second() -> None:
    page = report(ModelUse(units=1, requested_at=ASKED)).to_html()
    assert "2026-11-22 06:00:00 UTC" in page
    assert "not known" in page


def test_the_summary_has_results_and_costs() -> None:
    model = ModelUse(units=1, requested_at=ASKED, stopped_at=ASKED + timedelta(minutes=30))
    assert report(model).summary() == "3 labelled; model on for 30.0 minutes, about 2.00 USD"


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        pytest.param(Depth(2, 1), "2 waiting, 1 in flight</td>", id="none delayed"),
        pytest.param(Depth(0, 0, 3), "0 waiting, 0 in flight, 3 delayed</td>", id="three delayed"),
    ],
)
def test_the_page_shows_the_messages_left_in_the_queue(depth: Depth, words: str) -> None:
    assert words in report(BUSY, queue=depth, totals=busy_totals()).to_html()


def test_a_stored_report_names_the_version_that_wrote_it_and_is_read_as_it_was_written() -> None:
    made = report(BUSY, totals=busy_totals(), queue=Depth(2, 1), problems=["one"])
    stored = StoredReport.parse(made.stored().to_json())
    assert stored == made.stored()
    assert (stored.version, stored.schema_) == (__version__, "label-detection-report/1")
    assert list(made.to_json()) == [
        *("schema", "version", "run", "images", "labels", "rejections", "ignored", "unreadable", "queue", "model"),
        *("calls", "lag", "sample_schedule", "plan", "problems", "warnings"),
    ]
    assert jsonschema.Draft202012Validator(StoredReport.model_json_schema()).is_valid(made.to_json())


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        pytest.param({"images": {"labelled": 9, "rejected": "x"}}, {"labelled": 9}, id="a count is text"),
        pytest.param({"model": {"minutes": 3.0, "use": float("inf")}}, {"minutes": 3.0}, id="a number is infinite"),
        pytest.param({"labels": {"cat": None, "dog": 2, "ox": True}}, {"labels": {"dog": 2}}, id="odd labels"),
        pytest.param({"problems": ["one"], "images": 1, "run": []}, {"problems": 1}, id="odd parts"),
        pytest.param({"schema": 1, "version": 2, "later": 3}, {}, id="of another version"),
    ],
)
def test_valid_parts_of_an_odd_report_are_read(facts: dict[str, Any], row: dict[str, Any]) -> None:
    assert StoredReport.model_validate(facts).row() == StoredReport().row() | row


def test_the_labels_of_most_images_come_first_and_the_head_has_what_is_there() -> None:
    stored = StoredReport.model_validate({"labels": {"b": 1, "c": 3, "a": 1}, "problems": 7, "images": {"labelled": 1}})
    assert stored.most_frequent(2) == [("c", 3), ("a", 1)]
    assert stored.head("images", "problems", "model") == {"images": {"labelled": 1}, "problems": [], "model": None}


def test_the_queue_of_a_report_without_delayed_messages_can_be_read() -> None:
    assert report(BUSY, queue={"visible": 2, "in_flight": 1}).queue == Depth(2, 1, delayed=0)


def test_an_odd_value_is_an_error_when_written_and_left_out_when_read() -> None:
    right = report(ModelUse(units=1))
    with pytest.raises(ValidationError, match="problems"):
        right.model_copy(update={"problems": "none"}).stored()
    assert StoredReport.model_validate(right.to_json() | {"problems": "none"}).problems == []
