"""Pictures that lie in a bucket without an announcement: counted, left out for a reason, sorted in constant memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from label_detection_core.backfill.backfill import (
    BackfillOptions,
    Effort,
    LeftOut,
    Survey,
    chunk_size,
    list_pictures,
    oldest_first,
    read_line,
    write_chunks,
)
from label_detection_core.config.settings import Settings
from tests.conftest import Aws

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALL = BackfillOptions(older_than_minutes=0)
HARD_KEYS = [
    "a+b.png",
    "é/ü 猫.PNG",
    "two  spaces .jpg",
    "100%25.jpeg",
    "%2F.png",
    "😀.png",
    "bell\x07 tab\t line\nreturn\r.png",
    "a&b<c>\"d'.png",
    "../../up.png",
    "é" * 510 + ".png",
]


def entry(key: str, age_minutes: float = 120, **more: Any) -> dict[str, Any]:
    modified = NOW - timedelta(minutes=age_minutes)
    return {"Key": key, "ETag": '"abc"', "Size": 7, "LastModified": modified, **more}


def listing(*pages: list[dict[str, Any]]) -> Any:
    """A stand-in for an S3 client that lists these pages, because only S3 itself sets ages and storage classes."""
    paginator = SimpleNamespace(paginate=lambda **_: iter([{"Contents": page} for page in pages]))
    return SimpleNamespace(get_paginator=lambda _: paginator)


def survey_of(*entries: dict[str, Any], options: BackfillOptions = ALL) -> Survey:
    survey = Survey()
    for _ in list_pictures(listing(list(entries)), "b", options, survey, NOW):
        pass
    return survey


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (entry("a/b.png/"), LeftOut.FOLDER),
        (entry("notes.txt"), LeftOut.OTHER),
        (entry("png"), LeftOut.OTHER),
        (entry("a.png", StorageClass="GLACIER"), LeftOut.ARCHIVED),
        (entry("a.png", StorageClass="DEEP_ARCHIVE"), LeftOut.ARCHIVED),
        (entry("a.png", age_minutes=59), LeftOut.YOUNG),
        (entry("a.png", age_minutes=60), None),
        (entry("a.JPEG", StorageClass="GLACIER_IR"), None),
        (entry("a.Jpg", age_minutes=9999), None),
    ],
    ids=lambda value: value["Key"] if isinstance(value, dict) else None,
)
def test_an_object_is_a_picture_or_left_out_for_a_reason(found: dict[str, Any], reason: LeftOut | None) -> None:
    survey = survey_of(found, options=BackfillOptions())
    assert (survey.pictures, dict(survey.left_out)) == ((0, {reason: 1}) if reason else (1, {}))


def test_older_than_0_includes_a_picture_from_a_clock_ahead_of_ours() -> None:
    assert survey_of(entry("a.png", age_minutes=-5)).pictures == 1


def test_a_survey_has_number_size_and_age_of_the_pictures() -> None:
    survey = survey_of(entry("a.png", 300), entry("b.png", 200), entry("c.txt"))
    assert str(survey) == (
        "2 pictures, 0.0 MB; from 2026-11-22 07:00 to 2026-11-22 08:40 UTC; left out: 1 not .png, .jpg or .jpeg"
    )
    assert survey.to_json() == {
        "pictures": 2,
        "bytes": 14,
        "oldest": "2026-11-22T07:00:00+00:00",
        "newest": "2026-11-22T08:40:00+00:00",
        "left_out": {"other": 1},
    }


@pytest.mark.parametrize(
    ("pictures", "units", "effort"),
    [
        (0, 1, Effort(0, 0.0, 0.0)),
        (1000, 1, Effort(1, 3.3, 0.22)),
        (1_000_000, 1, Effort(56, 3333.3, 222.22)),
        (1_000_000, 4, Effort(14, 833.3, 222.22)),
    ],
)
def test_time_and_cost_follow_from_rate_and_price(pictures: int, units: int, effort: Effort) -> None:
    settings = Settings(
        queue_url="https://sqs.eu-west-1.amazonaws.com/1/q",
        source_bucket="parts-source",
        final_bucket="parts-final",
        model_arn="arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/1/1690000000000",
        max_inference_units=units,
    )
    assert Effort.of(pictures, settings) == effort


@pytest.mark.parametrize(("runs", "words"), [(1, "at least 1 run, "), (56, "at least 56 runs, ")], ids=["one", "many"])
def test_the_text_about_time_and_cost_excludes_start_and_stop(runs: int, words: str) -> None:
    text = str(Effort(runs, 3333.3, 222.22))
    assert text == f"{words}3,333.3 model minutes, 222.22 USD, plus the model's start and stop for each run"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"prefix": 7}, "param prefix is 7"),
        ({"prefix": "s3://bucket/x"}, "without s3://"),
        ({"prefix": "é" * 513}, "at most 1024 bytes"),
        ({"dry_run": "no"}, "param dry_run is 'no'"),
        ({"dry_run": 0}, "param dry_run is 0"),
        ({"older_than_minutes": -1}, "param older_than_minutes is -1"),
        ({"older_than_minutes": 1e12}, "param older_than_minutes is 1"),
        ({"older_than_minutes": "60"}, "param older_than_minutes is '60'"),
        ({"older_than_minutes": float("nan")}, "param older_than_minutes is nan"),
    ],
)
def test_a_wrong_param_is_named(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BackfillOptions.of(params)


def test_every_wrong_param_has_a_line() -> None:
    with pytest.raises(ValueError, match=r"param dry_run.*\n.*param older_than_minutes"):
        BackfillOptions.of({"dry_run": "x", "older_than_minutes": -1})


@pytest.mark.parametrize("params", [{}, {"prefix": None, "dry_run": None}, {"min_confidence": 3}])
def test_an_empty_form_counts_the_whole_bucket(params: dict[str, Any]) -> None:
    assert BackfillOptions.of(params) == BackfillOptions(prefix="", dry_run=True, older_than_minutes=60)


@pytest.mark.parametrize(
    ("pictures", "tasks"), [(1, 1), (5_000, 1), (5_001, 2), (1_000_000, 200), (1_000_001, 200), (10**9, 200)]
)
def test_any_number_of_pictures_needs_a_few_hundred_tasks_at_most(pictures: int, tasks: int) -> None:
    assert -(-pictures // chunk_size(pictures)) == tasks


def test_chunks_are_sorted_by_age_over_the_whole_listing(aws: Aws) -> None:
    pages = [[entry(f"{n}.png", age_minutes=(n * 7919) % 1000) for n in range(start, 100, 3)] for start in range(3)]
    survey = Survey()
    with oldest_first(list_pictures(listing(*pages), "b", ALL, survey, NOW)) as pictures:
        chunks = write_chunks(aws.s3, aws.settings.final_bucket, "run+1", pictures, size=40)
    assert [chunk.key for chunk in chunks] == [f"runs/run+1/backfill/0000{n}.jsonl" for n in range(3)]
    assert [chunk.images for chunk in chunks] == [40, 40, 20]
    lines = [[read_line(line) for line in aws.read(chunk.key).splitlines()] for chunk in chunks]
    found = [picture for part in lines for picture in part]
    assert {picture.key for picture in found} == {f"{n}.png" for n in range(100)}
    assert [picture.modified for picture in found] == sorted(picture.modified for picture in found)
    assert [(chunk.oldest, chunk.newest) for chunk in chunks] == [(p[0].modified, p[-1].modified) for p in lines]


def test_every_key_passes_listing_spool_and_chunk_unchanged(aws: Aws) -> None:
    for key in HARD_KEYS:
        aws.upload(key, key.encode())
    with oldest_first(list_pictures(aws.s3, aws.settings.source_bucket, ALL, Survey())) as pictures:
        (chunk,) = write_chunks(aws.s3, aws.settings.final_bucket, "r", pictures, size=100)
    found = [read_line(line) for line in aws.read(chunk.key).splitlines()]
    assert sorted(picture.key for picture in found) == sorted(HARD_KEYS)
    assert len(HARD_KEYS[-1].encode()) == 1024
    assert {picture.key: picture.size for picture in found} == {key: len(key.encode()) for key in HARD_KEYS}


@pytest.mark.parametrize("prefix", ["line 3/", "é+%20 &", "<b>\n"], ids=ascii)
def test_a_prefix_selects_its_part_of_the_bucket(aws: Aws, prefix: str) -> None:
    for key in (f"{prefix}a.png", "line 30/b.png", "line 4/c.png"):
        aws.upload(key, b"x")
    options = BackfillOptions(prefix=prefix, older_than_minutes=0)
    found = list_pictures(aws.s3, aws.settings.source_bucket, options, Survey())
    assert [picture.key for picture in found] == [f"{prefix}a.png"]


class Bottomless:
    """A stand-in for S3: a listing of any length, and a bucket that stores nothing."""

    def __init__(self, keys: int) -> None:
        self.keys = keys
        self.bytes = 0

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, **_: Any) -> Iterator[dict[str, Any]]:
        for start in range(0, self.keys, 1000):
            page = range(start, min(start + 1000, self.keys))
            yield {"Contents": [entry(f"line {n % 97}/part-{n:09d}.png", age_minutes=n % 9973) for n in page]}

    def put_object(self, Body: Any, **_: Any) -> None:  # noqa: N803  # boto3's name
        while part := Body.read(1 << 16):
            self.bytes += len(part)


def peak(keys: int) -> float:
    """Peak of Python's memory while a bucket is listed, sorted and written in chunks."""
    s3: Any = Bottomless(keys)
    survey = Survey()
    tracemalloc.start()
    try:
        with oldest_first(list_pictures(s3, "b", ALL, survey, NOW)) as pictures:
            write_chunks(s3, "final", "r", pictures, chunk_size(survey.pictures))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        assert survey.pictures == keys


@pytest.mark.slow
def test_ten_times_the_keys_take_no_more_memory() -> None:
    peak(1000)
    assert peak(200_000) < 1.5 * peak(20_000)
