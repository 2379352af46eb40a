"""The digest of a day: which day is due, which reports are of it, and what it says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from label_detection_core.run import digest
from label_detection_core.run.stored_report import ModelCost, RunTimes, StoredReport, Waiting
from label_detection_core.run.totals import Counts

pytestmark = pytest.mark.fast

DAY = date(2026, 11, 22)
ZURICH = ZoneInfo("Europe/Zurich")


def report(
    ended_at: str | None = "2026-11-22T06:30:00Z",
    labelled: int = 0,
    rejected: int = 0,
    cost: float | None = None,
    problems: tuple[str, ...] = (),
    waiting: int = 0,
) -> StoredReport:
    return StoredReport(
        run=RunTimes(run_id=f"run of {ended_at}", ended_at=ended_at),
        images=Counts(labelled=labelled, rejected=rejected),
        rejections={"InvalidImageFormatException": rejected} if rejected else {},
        model=ModelCost(cost_usd=cost, minutes=cost and cost * 15),
        queue=Waiting(visible=waiting, in_flight=0),
        problems=[*problems],
    )


@pytest.mark.parametrize(
    ("now", "at", "due"),
    [
        pytest.param("2026-11-23 08:00", "08:00", 22, id="at the minute"),
        pytest.param("2026-11-23 23:59", "08:00", 22, id="late on that day"),
        pytest.param("2026-11-23 07:59", "08:00", 21, id="a minute before"),
        pytest.param("2026-11-24 00:05", "23:55", 22, id="no look between the time and midnight"),
        pytest.param("2026-11-23 00:00", "00:00", 22, id="at midnight"),
    ],
)
def test_the_newest_day_that_is_due(now: str, at: str, due: int) -> None:
    assert digest.due_day(datetime.fromisoformat(now).replace(tzinfo=ZURICH), at) == date(2026, 11, due)


@pytest.mark.parametrize(
    ("ended_at", "counts"),
    [
        pytest.param("2026-11-21T23:00:00Z", True, id="the first second in Zurich"),
        pytest.param("2026-11-21T22:59:59Z", False, id="the second before"),
        pytest.param("2026-11-22T22:59:59Z", True, id="the last second"),
        pytest.param("2026-11-22T23:00:00Z", False, id="the second after"),
        pytest.param("2026-11-22T06:00:00", False, id="a time without a zone"),
        pytest.param("yesterday", False, id="no time"),
        pytest.param(None, False, id="nothing"),
    ],
)
def test_a_run_is_of_the_day_on_which_it_ended_in_the_pipelines_time_zone(ended_at: str | None, counts: bool) -> None:
    assert digest.is_of(report(ended_at), DAY, ZURICH) is counts


@pytest.mark.parametrize(
    ("run_id", "may_be"),
    [
        ("scheduled__2026-11-22T06:00:00+00:00", True),
        ("manual__2026-11-20T23:00:00.123+00:00_x1", True),
        ("scheduled__2026-11-19T06:00:00+00:00", False),
        ("scheduled__2026-11-25T06:00:00+00:00", False),
        ("of my own", True),
        ("2026-13-45T00:00", True),
    ],
)
def test_a_run_whose_id_has_a_far_date_is_not_read(run_id: str, may_be: bool) -> None:
    assert digest.may_be_of(run_id, DAY) is may_be


def test_the_reports_of_a_day_are_added_up() -> None:
    found = digest.add_up(
        DAY,
        [
            report("2026-11-22T20:00:00Z", labelled=5, waiting=4),
            report("2026-11-22T06:30:00Z", labelled=20, rejected=3, cost=1.5, waiting=900),
            report("2026-11-22T10:00:00Z", rejected=1, cost=0.25, problems=("analyse_images failed",)),
        ],
    )
    assert (found.runs, found.failed_runs, found.labelled, found.rejected, found.waiting) == (3, 1, 25, 4, 4)
    assert found.rejections == {"InvalidImageFormatException": 4}
    assert (found.cost_usd, found.model_minutes) == (1.75, 26.25)
    notice = digest.notice_of(found, "label_detection__parts")
    assert notice.subject == "[label detection] 2026-11-22 parts: 25 labelled, 4 rejected, 1.75 USD"
    for line in (
        "Runs: 3, of which failed: 1",
        "Pictures labelled: 25",
        "Pictures rejected: 4 (4 InvalidImageFormatException)",
        "Model: on for 26.2 minutes, about 1.75 USD",
        "Waiting in the queue after the last run: 4",
        "* Run run of 2026-11-22T10:00:00Z failed: analyse_images failed",
        "* 4 rejected pictures are under rejected/ in the final bucket, each with its reason",
    ):
        assert line in notice.body.splitlines()


def test_a_day_without_trouble_asks_for_no_person() -> None:
    body = digest.notice_of(digest.add_up(DAY, []), "label_detection").body
    assert body.endswith("What needs a person:\n* Nothing.\n")
    assert "Waiting" not in body


def test_a_bad_day_is_cut_to_a_length_that_can_be_sent() -> None:
    found = digest.add_up(DAY, [report(problems=("x" * 10_000,) * 500)])
    assert len(digest.notice_of(found, "label_detection").body.encode()) < 20_000
    assert "480 more lines: see the reports in the final bucket" in found.needs


def test_a_secret_in_a_problem_is_not_sent() -> None:
    (line,) = digest.add_up(DAY, [report(problems=("https://user:hush@example.com/ is down",))]).needs
    assert "hush" not in line


def test_times_are_compared_in_the_zone_of_the_pipeline() -> None:
    edge = report("2026-11-21T23:30:00Z")
    assert [digest.is_of(edge, DAY, zone) for zone in (ZURICH, UTC)] == [True, False]
