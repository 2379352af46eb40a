"""The budget: the limits of a pipeline, its days and months, and plans that fit into what is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from label_detection_core.config.pipeline import Own, Pipeline
from label_detection_core.config.settings import Settings, SettingsError
from label_detection_core.model.history import History
from label_detection_core.model.ledger import Entry, Ledger
from label_detection_core.run import notices
from label_detection_core.run.budget import Limit, fit, least_usd, limits_of, period_of, standings
from label_detection_core.run.plan import Plan, make_plan
from tests.core.test_settings import RIGHT

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
#: A model that starts in 4 minutes, and needs 2.5 minutes from the deadline until it is off.
KNOWN = History(start_seconds=(240,), stop_seconds=(100,))
#: USD of a minute of one unit.
MINUTE = 4 / 60


def pipeline(section: dict[str, Any], own: dict[str, Any]) -> Pipeline:
    values = RIGHT | section
    home = "pipelines.yaml" if own else ""
    return Pipeline(Own(name="leaves", title="leaves", options=own, home=home), values.get)


@pytest.mark.parametrize(
    ("section", "own", "limits"),
    [
        pytest.param({}, {}, [], id="none"),
        pytest.param({"max_cost_per_day": "5"}, {}, [("max_cost_per_day", 5, "all")], id="for all"),
        pytest.param({}, {"max_cost_per_day": 5}, [("max_cost_per_day", 5, "pipeline")], id="of the pipeline"),
        pytest.param(
            {"max_cost_per_month": "90"},
            {"max_cost_per_day": 5, "max_cost_per_month": 20},
            [
                ("max_cost_per_day", 5, "pipeline"),
                ("max_cost_per_month", 20, "pipeline"),
                ("max_cost_per_month", 90, "all"),
            ],
            id="both",
        ),
        pytest.param(
            {"max_cost_per_day": " 5 "}, {"max_cost_per_day": ""}, [("max_cost_per_day", 5, "all")], id="own is empty"
        ),
        pytest.param({"max_cost_per_day": " "}, {}, [], id="blank"),
    ],
)
def test_the_section_limits_all_pipelines_and_a_pipelines_own_option_limits_it(
    section: dict[str, Any], own: dict[str, Any], limits: list[tuple[str, float, str]]
) -> None:
    one = pipeline(section, own)
    assert [(limit.option, limit.usd, limit.scope) for limit in limits_of(one, one.settings())] == limits


@pytest.mark.parametrize("value", ["0", "-1", "much", "inf", "nan", "5 USD"])
@pytest.mark.parametrize("option", ["max_cost_per_day", "max_cost_per_month"])
def test_a_wrong_limit_is_one_line_wherever_it_is_set(option: str, value: str) -> None:
    for one in (pipeline({option: value}, {}), pipeline({}, {option: value})):
        with pytest.raises(SettingsError) as caught:
            one.settings()
        (line,) = caught.value.problems
        assert f"{option} is " in line
        assert "\n" not in line
    hidden = pipeline({option: value}, {option: 5})
    with pytest.raises(SettingsError) as caught:
        limits_of(hidden, hidden.settings())
    (line,) = caught.value.problems
    assert line.startswith(f"[label_detection] {option} is ")


@pytest.mark.parametrize(
    ("option", "now", "zone", "begin", "end"),
    [
        ("max_cost_per_day", "2026-11-22T12:00Z", "UTC", "2026-11-22T00:00Z", "2026-11-23T00:00Z"),
        ("max_cost_per_day", "2026-11-22T23:30Z", "Europe/Zurich", "2026-11-22T23:00Z", "2026-11-23T23:00Z"),
        ("max_cost_per_day", "2026-03-29T12:00Z", "Europe/Zurich", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("max_cost_per_month", "2026-11-30T23:30Z", "Europe/Zurich", "2026-11-30T23:00Z", "2026-12-31T23:00Z"),
        ("max_cost_per_month", "2026-12-31T12:00Z", "UTC", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
        ("max_cost_per_month", "2028-02-29T12:00Z", "Asia/Kolkata", "2028-01-31T18:30Z", "2028-02-29T18:30Z"),
    ],
    ids=["day", "day elsewhere", "day of 23 hours", "month elsewhere", "December", "February"],
)
def test_a_day_and_a_month_begin_at_midnight_of_the_time_zone(
    option: str, now: str, zone: str, begin: str, end: str
) -> None:
    found = period_of(option, datetime.fromisoformat(now), ZoneInfo(zone))
    assert found == (datetime.fromisoformat(begin), datetime.fromisoformat(end))


def test_what_is_left_counts_models_that_are_on_and_what_they_are_expected_to_cost() -> None:
    def entry(dag_id: str, **more: Any) -> Entry:
        times = {"since": NOW - timedelta(minutes=60), "until": NOW + timedelta(minutes=60)}
        return Entry(dag_id=dag_id, run_id="r", units=1, price_per_unit_hour=4, **(times | more))

    leaves = Ledger(entries=(entry("leaves", ended_at=NOW - timedelta(minutes=30)),))
    parts = Ledger(entries=(entry("parts", expected_until=NOW + timedelta(minutes=15)),))
    limits = [Limit("max_cost_per_day", 3, own=True), Limit("max_cost_per_month", 10, own=False)]
    own, shared = standings(limits, [leaves, parts], NOW, ZoneInfo("UTC"), "leaves")
    assert (own.cost.spent, own.cost.set_aside, own.left) == pytest.approx((2, 0, 1))
    assert (shared.cost.spent, shared.cost.set_aside, shared.left) == pytest.approx((6, 1, 3))
    assert str(own) == (
        "max_cost_per_day of this pipeline: 2.00 of 3.00 USD are spent; it begins again at 2026-11-23 00:00 UTC"
    )
    assert "6.00 of 10.00 USD are spent, and 1.00 USD are set aside for models that are on" in str(shared)
    notice = notices.budget_reached("leaves", "r", own, None)
    assert notice.subject == "[label detection] Budget used up: leaves"
    assert str(own) in notice.body
    assert "raise max_cost_per_day" in notice.body


def planned(backlog: int, history: History = KNOWN, **options: Any) -> Plan:
    return make_plan(Settings(**RIGHT, **options), backlog, history)


@pytest.mark.parametrize(
    ("backlog", "options", "left", "units", "minutes"),
    [
        pytest.param(300, {}, 100, 1, 60, id="plenty"),
        pytest.param(30_000, {}, 30 * MINUTE, 1, 27.5, id="half an hour: the stop is paid too"),
        pytest.param(30_000, {"max_inference_units": 5}, 30 * MINUTE, 1, 27.5, id="the fewest units do the most"),
        pytest.param(30_000, {"max_inference_units": 5}, 200 * MINUTE, 4, 47.5, id="less than the longest, but enough"),
        pytest.param(18_000, {"max_inference_units": 5}, 73.2 * MINUTE, 2, 34.1, id="just enough for its units"),
        pytest.param(18_000, {"max_inference_units": 5}, 70 * MINUTE, 1, 60, id="fewer units do more for less"),
        pytest.param(
            30_000, {"min_inference_units": 2, "max_inference_units": 5}, 60 * MINUTE, 2, 27.5, id="never too few units"
        ),
        pytest.param(30, {}, 7 * MINUTE, 1, 4.5, id="enough for the few that wait"),
        pytest.param(30_000, {}, 7.4 * MINUTE, None, None, id="less than a minute of work is not worth a start"),
        pytest.param(30, {}, 6 * MINUTE, None, None, id="less than start and stop"),
        pytest.param(30, {}, 0, None, None, id="nothing is left"),
        pytest.param(30, {"price_per_unit_hour": 0}, 0, 1, 60, id="a model that costs nothing"),
    ],
)
def test_the_deadline_and_the_units_are_what_the_rest_of_the_budget_pays(
    backlog: int, options: dict[str, Any], left: float, units: int | None, minutes: float | None
) -> None:
    plan = planned(backlog, **options)
    fitted = fit(plan, left)
    assert (fitted and fitted.units) == units
    if fitted is None:
        assert least_usd(plan) > left
        return
    if minutes != 60:
        assert fitted.settings.max_model_minutes == pytest.approx(minutes, rel=0.01)
        price = fitted.units * fitted.settings.price_per_unit_hour / 60
        assert (fitted.settings.max_model_minutes + fitted.end_seconds / 60) * price <= left + 1e-9
    assert least_usd(plan) <= left
    assert fitted.max_units is None, "AWS would add units that the ledger does not know"


def test_a_model_with_a_fixed_number_of_units_keeps_it() -> None:
    plan = make_plan(Settings(**RIGHT), 30_000, KNOWN, fixed_units=3)
    fitted = fit(plan, 90 * MINUTE, fixed_units=3)
    assert fitted is not None
    assert fitted.units == 3
    assert fitted.settings.max_model_minutes == pytest.approx(27.5)


def test_without_known_starts_and_stops_the_plan_expects_slow_ones() -> None:
    plan = planned(30_000, History())
    assert fit(plan, 16 * MINUTE) is None
    fitted = fit(plan, 30 * MINUTE)
    assert fitted is not None
    assert fitted.settings.max_model_minutes == pytest.approx(24.5)
