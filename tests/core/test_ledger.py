"""The ledger of costs: what a model has cost, from its entries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from label_detection_core.model.lease import Lease
from label_detection_core.model.ledger import Cost, Entry, Ledger, ledger_of, total

ARN = "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/parts.2026/1690000000000"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = (datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def lease(since: float = -30, until: float = 45, units: int = 1, run_id: str = "r") -> Lease:
    more: dict[str, Any] = {"since": at(since), "until": at(until), "start_asked": True}
    return Lease(model_arn=ARN, dag_id="label_detection", run_id=run_id, units=units, **more)


def entry(since: float = -30, until: float = 45, **more: Any) -> Entry:
    found = Entry.of_lease(lease(since, until), 4.0).model_copy(update=more)
    return Entry.model_validate(found.model_dump())


def unexpected() -> Entry:
    raise AssertionError("the entry is in the ledger")


@pytest.mark.parametrize(
    ("entries", "spent", "set_aside"),
    [
        pytest.param([], 0, 0, id="nothing"),
        pytest.param([entry(-60, 15, ended_at=at(-30))], 2, 0, id="half an hour"),
        pytest.param([entry(-60, 15, ended_at=at(-30), units=3)], 6, 0, id="three units"),
        pytest.param([entry(-60, 15, ended_at=at(-60))], 0, 0, id="never on"),
        pytest.param([entry(-30)], 2, 0, id="on now, the plan is not known"),
        pytest.param([entry(-30, expected_until=at(15))], 2, 1, id="on now, and expected to be on for longer"),
        pytest.param([entry(-30, expected_until=at(-15))], 2, 0, id="on now, longer than expected"),
        pytest.param([entry(-90, -60)], 2, 0, id="without an end: until the lease expired"),
        pytest.param([entry(-90, 60), entry(-60, 15, ended_at=at(-30))], 4, 0, id="without an end: until the next run"),
        pytest.param(
            [entry(-90, ended_at=at(0)), entry(-60, ended_at=at(0))], 6, 0, id="the same minutes never count twice"
        ),
        pytest.param([entry(-735, ended_at=at(-705))], 1, 0, id="over midnight: each day its part"),
        pytest.param([entry(-900, ended_at=at(-800))], 0, 0, id="yesterday"),
    ],
)
def test_the_cost_of_a_day_is_the_sum_of_its_minutes(entries: list[Entry], spent: float, set_aside: float) -> None:
    cost = Ledger(entries=tuple(entries)).cost(*DAY, NOW)
    assert cost.spent == pytest.approx(spent)
    assert cost.set_aside == pytest.approx(set_aside)


def test_the_runs_of_one_dag_can_be_counted_alone() -> None:
    ledgers = [Ledger(entries=(entry(ended_at=NOW, dag_id=name),)) for name in ("leaves", "parts")]
    assert total(ledgers, *DAY, NOW).spent == pytest.approx(4)
    assert total(ledgers, *DAY, NOW, "leaves").spent == pytest.approx(2)
    assert total([], *DAY, NOW) == Cost()


@pytest.mark.parametrize(
    ("ends", "spent"),
    [
        pytest.param([(0, True)], 2, id="once"),
        pytest.param([(0, True), (0, True)], 2, id="twice at one time: a retry"),
        pytest.param([(-15, True), (0, False)], 1, id="then the watchdog finds it off"),
        pytest.param([(-30, False), (0, False)], 0, id="a start that was refused, found off twice"),
        pytest.param(
            [(-30, False), (0, True)], 2, id="found off, but a late start arrived, and the watchdog stopped it"
        ),
        pytest.param([(0, True), (-15, True)], 2, id="the later of two ends counts"),
    ],
)
def test_a_lease_that_is_ended_more_than_once_counts_once(ends: list[tuple[float, bool]], spent: float) -> None:
    ledger = Ledger().begun(entry())
    for minutes, was_on in ends:
        ledger = ledger.ended(lease(), at(minutes), unexpected, was_on=was_on)
    assert len(ledger.entries) == 1
    assert ledger.cost(*DAY, NOW).spent == pytest.approx(spent)


def test_a_start_that_is_repeated_is_one_entry_and_keeps_its_end() -> None:
    ledger = Ledger().begun(entry()).begun(entry(units=2))
    assert [one.units for one in ledger.entries] == [2]
    ended = ledger.ended(lease(), at(-15), unexpected, was_on=True)
    assert ended.begun(entry(units=2)) == ended


def test_the_end_of_a_run_that_an_earlier_version_started_is_an_entry() -> None:
    held = lease(units=2)
    ledger = Ledger().ended(held, NOW, lambda: Entry.of_lease(held, 4.0), was_on=True)
    assert ledger.cost(*DAY, NOW).spent == pytest.approx(4)


def test_entries_are_kept_for_the_longest_month_in_every_time_zone() -> None:
    ledger = Ledger()
    for day in range(-40, 1):
        ledger = ledger.begun(entry(day * 1440, day * 1440 + 75))
    assert ledger.entries[0].since <= at(-32 * 1440)
    assert len(ledger.entries) <= 34
    assert list(ledger.entries) == sorted(ledger.entries, key=lambda one: one.since)


def test_a_ledger_is_read_as_it_was_written() -> None:
    ledger = Ledger().begun(entry(expected_until=at(1))).begun(entry(-90, ended_at=at(-60)))
    assert ledger_of("name", ledger.model_dump_json()) == ledger
    assert ledger_of("name", None) == Ledger()


@pytest.mark.parametrize("text", ["{", "[]", '{"entries": [{"units": 1}]}', '{"entries": 1}'])
def test_a_ledger_that_somebody_has_edited_is_named_in_one_line(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"the variable name is not a ledger of costs: .*; correct it, or delete it"
    ) as caught:
        ledger_of("name", text)
    assert "\n" not in str(caught.value)
