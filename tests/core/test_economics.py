"""The command that replays the arrivals of a bucket's runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from label_detection_core.run import economics

NOW = datetime.now(UTC).replace(microsecond=0)


def run_of(folder: Path, name: str, at: datetime, images: int) -> None:
    """A run as it is in a final bucket: its images were announced an hour before `at`."""
    place = folder / name / "images"
    place.mkdir(parents=True)

    def time(seconds: float) -> str:
        return (at + timedelta(seconds=seconds)).isoformat()

    model = {"units": 1, "requested_at": time(-300), "running_at": time(0), "stop_asked_at": time(20 + images / 2)}
    report: dict[str, Any] = {"model": model | {"stopped_at": time(50 + images / 2)}, "calls": {"answered": images}}
    (place.parent / "report.json").write_text(json.dumps(report))
    lines = [
        {
            "outcome": "labelled",
            "source": {"bucket": "b", "key": f"{name}{n}.png"},
            "labels": [],
            "lag": 3600,
            "at": time(n),
        }
        for n in range(images)
    ]
    lines += [lines[0], {"outcome": "ignored", "labels": [], "at": time(0)}]
    (place / "000-0123abcd-000000.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nnot a line\n")
    (place / "other.jsonl").write_text(json.dumps(lines[0]))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, images in enumerate((10, 40)):
        run_of(tmp_path, f"run {number}", NOW - timedelta(days=number + 1), images)
    run_of(tmp_path, "old", NOW - timedelta(weeks=9), 5)
    return tmp_path


def test_arrivals_and_speed_are_those_of_the_runs(runs: Path) -> None:
    past = economics.read_runs(runs, ZoneInfo("UTC"), NOW - timedelta(weeks=4))
    assert len(past.arrivals) == 50, "each image once, without those before the last weeks"
    assert max(past.arrivals) == NOW - timedelta(days=1) + timedelta(seconds=9 - 3600)
    speed = past.speed
    assert (speed.start, speed.stop) == (300, 30)
    assert speed.idle == pytest.approx(20)
    assert speed.rate == pytest.approx(2)


def test_the_table_has_a_row_for_each_schedule_rule_and_number_of_units(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choices = ["--schedule", "0 * * * *", "--rule", "1:0", "--rule", "20:60", "--units", "1", "--units", "1-3"]
    found = economics.main([str(runs), *choices])
    printed = capsys.readouterr().out
    assert len(found) == 4
    assert "50 pictures" in printed
    assert printed.count("\n| `0 * * * *` | ") == 4
    assert "| 20 or 60 min | 1-3 |" in printed


def test_a_listing_of_a_bucket_has_arrivals_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = tmp_path / "listing.json"
    times = [NOW - timedelta(hours=3), NOW - timedelta(hours=2), NOW - timedelta(weeks=9)]
    listing.write_text(json.dumps({"Contents": [{"Key": "a.png", "LastModified": time.isoformat()} for time in times]}))
    economics.main(["--listing", str(listing), "--start-minutes", "5"])
    printed = capsys.readouterr().out
    assert printed.startswith("2 pictures")
    assert "A start takes 300 s" in printed


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(["no-folder"], "no-folder is not a folder", id="no folder"),
        pytest.param(["--listing", "no-file"], "no-file is not a file", id="no listing"),
        pytest.param(["--rule", "0:5"], "0:5 is not IMAGES:MINUTES", id="a start without images"),
        pytest.param(["--rule", "many"], "many is not IMAGES:MINUTES", id="a rule without numbers"),
        pytest.param(["--units", "3-1"], "3-1 is not LEAST-MOST", id="units the wrong way round"),
        pytest.param(["--units", "0"], "0 is not LEAST-MOST", id="no units"),
        pytest.param(["--schedule", "often"], "often is not a cron expression", id="no cron"),
        pytest.param(["--timezone", "Mars/Base"], "Mars/Base is not a time zone", id="no time zone"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        economics.main(arguments)
    assert error in capsys.readouterr().err


def test_without_arrivals_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no picture arrived in the last 4 weeks"):
        economics.main([str(tmp_path)])


def test_the_documentation_shows_the_table_of_the_made_up_month(capsys: pytest.CaptureFixture[str]) -> None:
    economics.main([])
    table = capsys.readouterr().out.split("\n\n", 1)[1].strip()
    page = (Path(__file__).parents[2] / "docs" / "cost.md").read_text()
    assert page.split("<!-- month -->\n")[1].split("\n<!-- end of month -->")[0] == table
