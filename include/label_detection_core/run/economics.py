"""`python -m label_detection_core.run.economics [FOLDER]`: what other schedules and rules would have cost.

FOLDER is a copy of the folder `runs/` of a final bucket: `aws s3 sync s3://BUCKET/runs FOLDER`. It has when pictures
arrived, and how long the model took. Without FOLDER: a made-up month.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from label_detection_core.drain.journal import PART
from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.run.replay import Outcome, Speed, Strategy, a_month, replay
from label_detection_core.run.start_rule import StartRule
from label_detection_core.run.stored_report import StoredReport

SCHEDULES = ("0 */2 * * *", "0 6 * * *", "*/10 * * * *")
RULES = (StartRule(1, 0), StartRule(200, 240))
UNITS = ((1, 1),)
#: Used where no report has a start. AWS publishes no time for a start; it takes minutes.
START_MINUTES = 10.0
COLUMNS = ("schedule", "start at", "units", "starts", "model hours", "USD", "median wait", "95 %", "worst", "left")
_PRICE = 4.0
_FINISHED = {"labelled", "rejected"}


@dataclass(frozen=True)
class Past:
    """When images arrived, and how long the model took."""

    arrivals: list[datetime]
    speed: Speed


def made_up(start_minutes: float = START_MINUTES) -> Past:
    """Return a made-up month, for an example."""
    return Past(a_month(), Speed(start_minutes * 60))


def read_runs(folder: Path, zone: ZoneInfo, since: datetime, start_minutes: float = START_MINUTES) -> Past:
    """Read a copy of `runs/`. :param since: arrivals before this time are left out."""
    reports = [found for file in folder.glob("*/report.json") if (found := StoredReport.parse(file.read_bytes()))]
    arrivals = arrived(line for file in folder.glob("*/images/*.jsonl") for line in _lines(file))
    try:
        speed = Speed.measured(reports)
    except ValueError:
        speed = Speed(start_minutes * 60)
    return Past([time.astimezone(zone) for time in arrivals if time >= since], speed)


def read_listing(file: Path, zone: ZoneInfo, since: datetime) -> list[datetime]:
    """Read when the objects of a bucket were written, from the JSON of `aws s3api list-objects-v2`."""
    found: dict[str, Any] = json.loads(file.read_text())
    times = (datetime.fromisoformat(entry["LastModified"]) for entry in found.get("Contents") or [])
    return [time.astimezone(zone) for time in times if time >= since]


def arrived(lines: Iterable[JournalLine]) -> list[datetime]:
    """Return when each labelled or rejected image was announced, from the lines of journals; each image once."""
    first: dict[tuple[str, str, str | None], datetime] = {}
    for line in lines:
        if line.outcome in _FINISHED and line.source and line.moment:
            name = line.source.bucket, line.source.key, line.source.etag
            time = line.moment - timedelta(seconds=line.lag or 0)
            first[name] = min(time, first.get(name, time))
    return sorted(first.values())


def table(outcomes: Iterable[Outcome], price: float) -> str:
    """The outcomes in Markdown. Waits are in hours and minutes."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(outcome, price) for outcome in outcomes)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def main(argv: Sequence[str] | None = None) -> list[Outcome]:
    """Print the table; returns its rows."""
    given = parser().parse_args(argv)
    since = datetime.now(UTC) - timedelta(weeks=given.weeks)
    if given.folder:
        past = read_runs(given.folder, given.timezone, since, given.start_minutes)
    else:
        past = made_up(given.start_minutes)
    if given.listing:
        past = Past(read_listing(given.listing, given.timezone, since), past.speed)
    if not past.arrivals:
        sys.exit(f"no picture arrived in the last {given.weeks:g} weeks: nothing can be replayed")
    combinations = product(given.schedule or SCHEDULES, given.rule or RULES, given.units or UNITS)
    outcomes = [
        replay(past.arrivals, Strategy(schedule, rule, units), past.speed) for schedule, rule, units in combinations
    ]
    speed = past.speed
    sys.stdout.write(
        f"{len(past.arrivals):,} pictures, {min(past.arrivals):%Y-%m-%d} to {max(past.arrivals):%Y-%m-%d}. "
        f"A start takes {speed.start:.0f} s, a stop {speed.stop:.0f} s, a unit labels {speed.rate:.3g} pictures per "
        f"second; {given.price:g} USD per unit and hour\n\n{table(outcomes, given.price)}\n"
    )
    return outcomes


def _lines(file: Path) -> Iterator[JournalLine]:
    if PART.fullmatch(file.name):
        yield from (line for text in file.read_bytes().splitlines() if (line := JournalLine.parse(text)))


def _cells(outcome: Outcome, price: float) -> tuple[str, ...]:
    strategy = outcome.strategy
    rule = f"{strategy.rule.images}" + (f" or {strategy.rule.minutes:g} min" if strategy.rule.minutes else "")
    least, most = strategy.units
    return (
        f"`{strategy.schedule}`",
        rule,
        f"{least}" if least == most else f"{least}-{most}",
        f"{outcome.starts:,}",
        f"{outcome.unit_hours:.1f}",
        f"{outcome.unit_hours * price:.2f}",
        *(_wait(outcome.waited(share)) for share in (0.5, 0.95, 1.0)),
        f"{outcome.left:,}",
    )


def _wait(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f}"


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    found = argparse.ArgumentParser(
        prog="economics",
        description="Replay when pictures arrived: what each schedule, start rule and number of inference units would "
        "have cost, and how long pictures would have waited.",
    )
    found.add_argument(
        "folder",
        nargs="?",
        type=_folder,
        help="a copy of the folder runs/ of the final bucket; default: a made-up month",
    )
    found.add_argument(
        "--listing", type=_file, help="arrivals from this JSON of `aws s3api list-objects-v2` of the source bucket"
    )
    found.add_argument("--weeks", type=float, default=4, help="only pictures of the last weeks (default: %(default)s)")
    found.add_argument("--schedule", action="append", type=_schedule, help="a cron expression; may be repeated")
    found.add_argument("--rule", action="append", type=_rule, help="IMAGES:MINUTES, as the options; may be repeated")
    found.add_argument("--units", action="append", type=_units, help="LEAST-MOST units; may be repeated")
    found.add_argument("--price", type=_price, default=_PRICE, help="USD per unit and hour (default: %(default)s)")
    found.add_argument(
        "--start-minutes", type=float, default=START_MINUTES, help="minutes of a start, if no report has one"
    )
    found.add_argument("--timezone", type=_zone, default=ZoneInfo("UTC"), help="of the schedules (default: UTC)")
    return found


def _price(text: str) -> float:
    price = float(text)
    if not 0 <= price < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a price: give 0 or more")
    return price


def _folder(text: str) -> Path:
    if not (path := Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return path


def _file(text: str) -> Path:
    if not (path := Path(text)).is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a file")
    return path


def _schedule(text: str) -> str:
    if not croniter.is_valid(text):
        raise argparse.ArgumentTypeError(f"{text} is not a cron expression")
    return text


def _rule(text: str) -> StartRule:
    if not (found := re.fullmatch(r"(\d+):(\d+(?:\.\d+)?)", text)) or int(found[1]) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not IMAGES:MINUTES, such as 200:240")
    return StartRule(int(found[1]), float(found[2]))


def _units(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most:
        raise argparse.ArgumentTypeError(f"{text} is not LEAST-MOST, such as 1-5")
    return least, most


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        raise argparse.ArgumentTypeError(f"{text} is not a time zone") from None


if __name__ == "__main__":
    main()
