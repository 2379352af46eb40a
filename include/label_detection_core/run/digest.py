"""The digest of a day: what the runs labelled and rejected, what they cost, and what needs a person."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, tzinfo

from pydantic import Field

from label_detection_core.config.pipeline import LABELS_DAG
from label_detection_core.model.lease import variable_name
from label_detection_core.redaction import redact
from label_detection_core.run import notices
from label_detection_core.run.notices import Notice
from label_detection_core.run.stored_report import StoredReport
from label_detection_core.stored import Part, Stored

_PREFIX = "label_detection_digest."
#: The date in a run id such as `scheduled__2026-11-22T06:00:00+00:00`.
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?=T\d\d)")
#: Days that the date in a run id may be from the day on which the run ended: a time zone, and a run that waited.
_DAYS_APART = 2
#: Lines about runs that a digest has at most, and the characters of each.
_MOST_LINES = 20
_LINE_LIMIT = 300


class SentDigest(Stored):
    """The last day whose digest was sent, in an Airflow Variable, so that a restart does not send it again."""

    day: date


class Digest(Part):
    """The reports of a day, added up. `needs`: what needs a person, one line each."""

    day: date
    runs: int
    failed_runs: int
    labelled: int
    rejected: int
    rejections: dict[str, int] = Field(description="number of rejected images per error code")
    cost_usd: float
    model_minutes: float
    waiting: int | None = Field(description="messages on the queue after the last run; None: no run")
    needs: list[str]


def sent_name(dag_id: str) -> str:
    """Return the name of the Variable with the last digest of a DAG."""
    return variable_name(_PREFIX, dag_id)


def due_day(now: datetime, at: str) -> date:
    """Return the newest day whose digest is due: the day before the last moment with the time `at`.

    :param now: the current time, in the pipeline's time zone.
    :param at: the option `digest_at`, such as 08:00.
    """
    return now.date() - timedelta(days=1 if now.time() >= time.fromisoformat(at) else 2)


def may_be_of(run_id: str, day: date) -> bool:
    """Whether a run may have ended on a day, by the date in its id. An id without a date: perhaps."""
    found = _DATE.search(run_id)
    try:
        return found is None or abs((date.fromisoformat(found[0]) - day).days) <= _DAYS_APART
    except ValueError:  # an id that only looks as if it had a date
        return True


def is_of(report: StoredReport, day: date, zone: tzinfo) -> bool:
    """Whether a report's run ended on a day."""
    try:
        ended = datetime.fromisoformat(report.run.ended_at or "")
    except ValueError:
        return False
    return ended.tzinfo is not None and ended.astimezone(zone).date() == day


def add_up(day: date, reports: Iterable[StoredReport]) -> Digest:
    """Return the digest of the reports of a day."""
    found = sorted(reports, key=lambda report: report.run.ended_at or "")
    rejections: Counter[str] = Counter()
    for report in found:
        rejections.update(report.rejections)
    return Digest(
        day=day,
        runs=len(found),
        failed_runs=sum(1 for report in found if report.problems),
        labelled=sum(report.images.labelled for report in found),
        rejected=sum(report.images.rejected for report in found),
        rejections=dict(rejections.most_common()),
        cost_usd=round(sum(report.model.cost_usd or 0 for report in found), 4),
        model_minutes=round(sum(report.model.minutes or 0 for report in found), 2),
        waiting=found[-1].queue.visible if found and found[-1].queue else None,
        needs=_needs(found),
    )


def notice_of(digest: Digest, dag_id: str) -> Notice:
    """Return the digest as a notice."""
    cost = f"{digest.cost_usd:.2f} USD"
    codes = ", ".join(f"{count} {code}" for code, count in digest.rejections.items())
    lines = [
        f"{dag_id} on {digest.day:%Y-%m-%d}: the runs that wrote a report.",
        "",
        f"Runs: {digest.runs}, of which failed: {digest.failed_runs}",
        f"Pictures labelled: {digest.labelled}",
        f"Pictures rejected: {digest.rejected}" + (f" ({codes})" if codes else ""),
        f"Model: on for {digest.model_minutes:.1f} minutes, about {cost}",
        *([f"Waiting in the queue after the last run: {digest.waiting}"] if digest.waiting is not None else []),
        "",
        "What needs a person:",
        *(f"* {line}" for line in digest.needs or ["Nothing."]),
    ]
    name = dag_id.removeprefix(f"{LABELS_DAG}__")
    what = f"{digest.day:%Y-%m-%d} {name}: {digest.labelled} labelled, {digest.rejected} rejected, {cost}"
    return Notice(notices.subject(what), "\n".join(lines) + "\n")


def _needs(reports: list[StoredReport]) -> list[str]:
    lines = [f"Run {report.run.run_id} failed: {problem}" for report in reports for problem in report.problems]
    lines += [f"Run {report.run.run_id}: {warning}" for report in reports for warning in report.warnings]
    short = [redact(line)[:_LINE_LIMIT].replace("\n", " ") for line in lines[:_MOST_LINES]]
    if more := len(lines) - len(short):
        short.append(f"{more} more lines: see the reports in the final bucket")
    if rejected := sum(report.images.rejected for report in reports):
        short.append(f"{rejected} rejected pictures are under rejected/ in the final bucket, each with its reason")
    if unreadable := sum(report.images.unreadable for report in reports):
        short.append(f"{unreadable} pictures cannot be read: see the reports")
    return short
