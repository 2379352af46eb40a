"""Text from outside, wherever people see it: it is shown as text, never as markup."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from label_detection.operators.images import AnalyseImagesOperator
from label_detection.operators.run import WriteReportOperator
from label_detection_core.backfill.announcer import Announcer
from label_detection_core.backfill.backfill import Chunk
from label_detection_core.drain.journal_line import JournalLine
from label_detection_core.labelling.labels import Detection
from label_detection_core.run import notices
from label_detection_core.run.notices import FailedTask
from label_detection_core.run.plan import make_plan
from label_detection_core.run.report import ModelUse, Report
from label_detection_core.run.totals import add_up
from tests.conftest import Aws
from tests.plugins.conftest import Run

MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</td></table><a href='javascript:alert(1)'>click</a>",
    "{{ 7 * 7 }}{% raw %}",
    "<!--",
    "&lt;b&gt;",
    "\u202e\x1b[31m",
]


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[Any, ...]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def report(aws: Aws, text: str) -> Report:
    """A report in which every value from outside is this text."""
    line = {"outcome": "rejected", "labels": [{"Name": text}], "error": {"code": text, "message": text}}
    line["at"] = "2026-11-22T00:00:00Z"
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return Report(
        dag_id=text,
        run_id=text,
        started_at=now,
        ended_at=now,
        totals=add_up([JournalLine.model_validate(line)]),
        queue=None,
        model=ModelUse(units=1),
        plan=make_plan(aws.settings, 1).model_copy(update={"reason": text}),
        problems=[text],
    )


@pytest.mark.parametrize("text", MARKUP, ids=ascii)
def test_the_reports_page_shows_markup_as_text(aws: Aws, text: str) -> None:
    page, harmless = Page(report(aws, text).to_html()), Page(report(aws, "harmless").to_html())
    assert page.tags == harmless.tags
    assert page.text.count(text) == harmless.text.count("harmless") > 5


@pytest.mark.parametrize("text", [*MARKUP, "two\r\nBcc: a@b.example\r\n\r\nlines"], ids=ascii)
def test_a_notice_has_a_subject_of_one_line_and_a_body_of_plain_text(aws: Aws, text: str) -> None:
    notice = notices.run_failed(FailedTask(text, text, text, text, "https://airflow.example"), None, None)
    assert re.fullmatch(r"[ -~]{1,99}", notice.subject)
    (link,) = re.findall(r"^Airflow: (.*)$", notice.body, re.MULTILINE)
    assert re.fullmatch(r"https://airflow\.example/[\w%/.~-]+", link), link


def test_markup_in_keys_labels_and_errors_stays_out_of_the_grid_and_is_data_in_documents(
    aws: Aws, run: Run, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [{"Name": text, "Confidence": 99.0} for text in MARKUP]
    monkeypatch.setattr("label_detection.hooks.rekognition.RekognitionModelHook.detect", lambda *_: Detection(labels))
    aws.exactly_once()  # because the tally counts deliveries
    for number, text in enumerate(MARKUP):
        aws.upload(f"{text}/{number}{text}.png", picture)
    now = datetime.now(UTC)
    run.plan(aws.settings)
    run.started(now, now + timedelta(minutes=10))
    aws.put_model("RUNNING")
    context = run.context("analyse_images", map_index=0)
    run.execute(AnalyseImagesOperator(task_id="analyse_images", images_per_second=100), context)
    assert context["images"] == f"{len(MARKUP)} labelled"
    documents = [key for key in aws.final_keys() if key.endswith(".json")]
    assert len(documents) == len(MARKUP)
    for key in documents:
        assert json.loads(aws.read(key))["labels"] == labels
        head = aws.s3.head_object(Bucket=aws.settings.final_bucket, Key=key)
        assert head["ContentType"] == "application/json", "a browser must not show it as a page"
    aws.put_model("STOPPED")
    run.xcoms["stop_model", "return_value"] = {"stopped_at": now.isoformat(), "on_since": None}
    run.execute(WriteReportOperator(task_id="write_report"))
    page = Page(aws.read(f"runs/{run.run_id}/report.html").decode())
    assert {"script", "img", "svg", "a"}.isdisjoint(tag for tag, _ in page.tags)
    assert all(text in page.text for text in MARKUP)


def test_the_backfills_names_in_the_grid_have_numbers_and_dates_alone() -> None:
    at = datetime(2026, 1, 3, tzinfo=UTC)
    chunk = Chunk(key=MARKUP[0], images=7, oldest=at, newest=at)
    places: dict[str, Any] = {"source_bucket": MARKUP[0], "final_bucket": MARKUP[0], "queue_url": MARKUP[0]}
    nothing: Any = None
    assert str(Announcer(nothing, nothing, chunk=chunk, **places)) == "0 of 7, 2026-01-03 to 2026-01-03"
