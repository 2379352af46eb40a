"""The totals of a run's journal."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.run.totals import Calls, Counts, Lag, add_up


def line(outcome: str = "labelled", **more: Any) -> JournalLine:
    usual: dict[str, Any] = {
        "outcome": outcome,
        "labels": [],
        "error": None,
        "at": "2026-11-22T06:00:00Z",
        "seconds": None,
        "throttled": 0,
        "worked": None,
    }
    return JournalLine.model_validate(usual | more)


def test_the_lag_counts_images_with_an_outcome_and_the_longest_is_reported() -> None:
    lines = [line(lag=lag) for lag in (1.0, 2.0, 3.4, 90_000.2)]
    lines += [
        line("failed", lag=1e6),
        line("ignored", lag=1e6),
        line("rejected", lag=None, error={"code": "x", "message": ""}),
        line(),
    ]
    assert add_up(lines).lag == Lag(p50=2, longest=90_000)
    assert add_up([line()]).lag == Lag()


def test_images_labels_and_rejections_are_counted() -> None:
    found = [{"Name": "scratch", "Confidence": 90.0}, {"Name": "scratch", "Confidence": 80.0}]
    lines = [
        line(labels=found),
        line(),
        line("rejected", error={"code": "ImageTooLargeException", "message": "…"}),
        line("ignored"),
        line("failed", error={"code": "InternalServerError", "message": "…"}),
    ]
    totals = add_up(lines)
    assert totals.images == Counts(labelled=2, rejected=1, ignored=1, failed=1)
    assert totals.labels == {"scratch": 1}, "an image must count once per label"
    assert totals.rejections == {"ImageTooLargeException": 1}


def source(key: str) -> dict[str, str]:
    return {"bucket": "parts", "key": key, "etag": "e"}


def test_ignored_images_are_counted_by_reason_and_listed_with_deleted_ones_last() -> None:
    lines = [
        line("ignored", ignored="gone", source=source("gone.png")),
        line("ignored", ignored="not an arrival", source=source("tagged.png")),
        line("ignored", ignored="not an arrival", source=source("tagged.png"), at="2026-11-22T06:00:09Z"),
        line("ignored", ignored="test event", source=None),
        line("ignored", source=source("old.png"), reason="gone"),
    ]
    totals = add_up(lines)
    assert totals.ignored == {"not an arrival": 2, "gone": 1, "test event": 1, "reason not recorded": 1}
    named = totals.ignored_images.first
    assert [image.key for image in named] == ["tagged.png", "old.png", "gone.png"]
    assert [image.at.second for image in named] == [9, 0, 0]


def test_an_unreadable_image_is_counted_and_named_with_its_error() -> None:
    denied = {"code": "AccessDenied", "message": "no"}
    totals = add_up([line("unreadable", source=source("a.png"), error=denied)] * 2)
    assert totals.images == Counts(unreadable=2)
    assert [(image.key, image.why) for image in totals.unreadable.first] == [("a.png", "AccessDenied: no")]


def test_at_most_a_thousand_images_are_named_and_those_that_may_exist_come_first() -> None:
    lines = [line("ignored", ignored="gone", source=source(f"{n}.png")) for n in range(1500)]
    lines += [line("ignored", ignored="not an arrival", source=source(f"{n}.png")) for n in range(1500, 2600)]
    named = add_up(lines).ignored_images
    assert (len(named.first), named.more) == (1000, 100)
    assert {image.why for image in named.first} == {"not an arrival"}


def test_an_empty_journal_has_no_times() -> None:
    totals = add_up([])
    assert (totals.calls, totals.seconds_per_image, totals.by_second) == (Calls(), None, {})


@pytest.mark.parametrize(
    ("milliseconds", "p50", "p95", "p99"),
    [([200], 0.2, 0.2, 0.2), (list(range(1, 101)), 0.05, 0.095, 0.099), ([100] * 98 + [900, 5000], 0.1, 0.1, 0.9)],
    ids=["one", "1 to 100 ms", "two slow answers of a hundred"],
)
def test_a_percentile_is_the_least_time_within_which_that_share_of_answers_came(
    milliseconds: list[int], p50: float, p95: float, p99: float
) -> None:
    calls = add_up(line(seconds=ms / 1000) for ms in milliseconds).calls
    assert (calls.p50, calls.p95, calls.p99) == (p50, p95, p99)
    assert (calls.answered, calls.slowest) == (len(milliseconds), max(milliseconds) / 1000)


def test_throttled_sends_are_counted_and_have_their_second() -> None:
    totals = add_up([line(seconds=0.2, throttled=2), line(at="2026-11-22T06:00:01Z", seconds=0.2)])
    assert (totals.calls.throttled, totals.calls.throttled_share) == (2, 0.5)
    assert (len(totals.by_second), list(totals.throttled_by_second.values())) == (2, [2])


def test_the_time_per_image_is_the_mean_over_labelled_images() -> None:
    rejected = line("rejected", worked=9.0, error={"code": "x", "message": ""})
    throttled = line(worked=20.0, throttled=1)
    assert add_up([line(worked=0.2), line(worked=0.4), rejected, throttled]).seconds_per_image == pytest.approx(0.3)
