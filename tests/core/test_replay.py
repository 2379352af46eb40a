"""The replay of arrivals: what other schedules, rules and units would have cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from label_detection_core.run import economics
from label_detection_core.run.replay import Outcome, Speed, Strategy, a_month, replay
from label_detection_core.run.start_rule import StartRule
from label_detection_core.run.stored_report import StoredReport

MORNING = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
SPEED = Speed(start=600, idle=0, stop=0, rate=1)
EVERY_HOUR = "0 * * * *"
MEASURED = Path(__file__).with_name("measured_runs.json")


def at(*minutes: float) -> list[datetime]:
    return [MORNING + timedelta(minutes=minute) for minute in minutes]


def outcome(arrivals: list[datetime], rule: tuple[int, float] = (1, 0), **more: Any) -> Outcome:
    return replay(arrivals, Strategy(more.pop("schedule", EVERY_HOUR), StartRule(*rule), **more), SPEED)


@pytest.mark.parametrize(
    ("arrivals", "rule", "starts", "waits"),
    [
        pytest.param([], (1, 0), 0, [], id="nothing"),
        pytest.param([0], (1, 0), 1, [30 * 60 + 601], id="one picture waits for the schedule and the start"),
        pytest.param([0, 60], (1, 0), 2, [2401, 2401], id="a start each hour"),
        pytest.param([0, 60], (2, 0), 1, [60 * 90 + 601, 60 * 30 + 602], id="two pictures share a start"),
        pytest.param([0, 35], (1, 0), 1, [2401, 302], id="one that comes while the model starts"),
        pytest.param([33], (1, 0), 1, [601], id="a run watches an empty queue for five minutes"),
        pytest.param([36], (1, 0), 1, [54 * 60 + 601], id="but not for longer"),
        pytest.param([0], (5, 60), 1, [90 * 60 + 601], id="waited since the first look, an hour"),
    ],
)
def test_pictures_wait_for_a_look_for_the_rule_and_for_the_start(
    arrivals: list[float], rule: tuple[int, float], starts: int, waits: list[float]
) -> None:
    found = outcome(at(*arrivals), rule)
    assert found.starts == starts
    assert found.waits == pytest.approx(waits)


def test_pictures_that_never_meet_the_rule_are_left() -> None:
    found = outcome(at(0, 1), (3, 0))
    assert (found.starts, found.left, found.waits, found.unit_hours) == (0, 2, [], 0)


def test_a_unit_costs_from_the_request_until_the_model_is_off() -> None:
    slow = Speed(start=600, idle=10, stop=90, rate=1)
    found = replay(at(*[0] * 100), Strategy(EVERY_HOUR, StartRule(1, 0)), slow)
    assert found.unit_hours * 3600 == pytest.approx(800)
    assert found.unit_hours * 3600 == pytest.approx(slow.on_seconds(100, 1))


def test_a_large_backlog_gets_more_units_where_the_range_allows_them() -> None:
    one, many = (outcome(at(*[0] * 5400), units=units, target_minutes=30) for units in ((1, 1), (1, 5)))
    assert max(many.waits) < max(one.waits) / 2
    assert many.starts == 1
    assert one.starts == 2, "after max_model_minutes the other images wait for the next run"


def test_one_run_at_a_time_and_times_that_passed_during_a_run_are_not_made_up_for() -> None:
    found = outcome(at(*[0] * 3000), schedule="*/5 * * * *", max_model_minutes=20)
    assert found.starts == 5
    assert found.left == 0


def test_a_schedule_is_in_the_time_zone_of_the_arrivals() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    found = outcome([MORNING.astimezone(zone)], schedule="0 7 * * *")  # 6:00 there
    assert found.waits == pytest.approx([3600 + 601])


def test_the_made_up_month_is_always_the_same() -> None:
    assert a_month() == a_month() != a_month(seed=8)
    assert a_month() == sorted(a_month())


def test_the_rule_of_200_pictures_or_4_hours_costs_half_of_every_two_hours() -> None:
    past = economics.made_up()
    two_hours = replay(past.arrivals, Strategy("0 */2 * * *", StartRule(1, 0)), past.speed)
    rule = replay(past.arrivals, Strategy("*/10 * * * *", StartRule(200, 240)), past.speed)
    assert rule.unit_hours < two_hours.unit_hours * 0.6
    assert max(rule.waits) < (240 + 10 + 20) * 60
    assert two_hours.left == rule.left == 0


def test_without_a_report_the_speed_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="no report has the times"):
        Speed.measured([StoredReport()])


@pytest.mark.parametrize("number", range(5))
def test_the_replay_costs_what_a_measured_run_cost_by_the_speed_of_the_others(number: int) -> None:
    runs = json.loads(MEASURED.read_text())
    reports = [StoredReport.model_validate(run["report"]) for run in runs]
    model = reports[number].model
    speed = Speed.measured(reports[:number] + reports[number + 1 :])
    arrivals = [datetime.fromtimestamp(second, UTC) for second, count in runs[number]["arrivals"] for _ in range(count)]
    strategy = Strategy("* * * * *", StartRule(len(arrivals), 0), (model.units, model.units))
    found = replay(arrivals, strategy, speed)
    assert found.starts == 1
    assert found.left == 0
    assert model.cost_usd
    assert found.unit_hours * 4 == pytest.approx(model.cost_usd, rel=0.1)
