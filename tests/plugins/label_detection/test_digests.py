"""The digest of the day before is sent once, over restarts, and an error changes nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from label_detection import digests
from label_detection_core.drain.journal import run_prefix
from label_detection_core.run.digest import sent_name
from tests.plugins.conftest import DAG_ID, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

NAME = sent_name(DAG_ID)
Look = Callable[[str], None]


@pytest.fixture
def look(aws: Aws, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch) -> Look:
    """The watchdog's look at a moment, in UTC, of a pipeline whose digest is due at 08:00 in Zurich."""
    monkeypatch.setattr(digests, "Variable", variables)
    for option, value in {"sns_topic_arn": topic.arn, "digest_at": "08:00", "timezone": "Europe/Zurich"}.items():
        monkeypatch.setenv(f"AIRFLOW__LABEL_DETECTION__{option.upper()}", value)

    def look(moment: str) -> None:
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        monkeypatch.setattr(digests, "_now", lambda: now)
        digests.send_due(context(now))

    return look


def context(started: datetime) -> Any:
    return {"ti": SimpleNamespace(start_date=started)}


def put_report(aws: Aws, run_id: str, ended_at: str, labelled: int) -> None:
    found = {"run": {"run_id": run_id, "ended_at": ended_at}, "images": {"labelled": labelled}}
    aws.s3.put_object(
        Bucket=aws.settings.final_bucket, Key=f"{run_prefix(run_id)}report.json", Body=json.dumps(found).encode()
    )


def put_reports(aws: Aws) -> None:
    put_report(aws, "scheduled__2026-11-22T06:00:00+00:00", "2026-11-22T06:30:00Z", 20)
    put_report(aws, "my own", "2026-11-22T22:59:59Z", 5)
    put_report(aws, "scheduled__2026-11-22T23:00:00+00:00", "2026-11-22T23:00:01Z", 100)  # the 23rd in Zurich
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key="runs/manual__2026-11-22T09:00:00/images/0.jsonl", Body=b"")


def test_the_digest_of_a_day_is_sent_once_over_restarts(aws: Aws, topic: Topic, look: Look) -> None:
    put_reports(aws)
    for moment in ("2026-11-22 20:00", "2026-11-23 06:50"):  # 06:50 UTC is 07:50 in Zurich
        look(moment)
    assert topic.published() == []
    for moment in ("2026-11-23 07:00", "2026-11-23 07:10", "2026-11-23 22:50", "2026-11-24 06:50"):
        look(moment)
    ((subject, text),) = topic.published()
    assert subject == "[label detection] 2026-11-22 label_detection: 25 labelled, 0 rejected, 0.00 USD"
    assert "Runs: 2, of which failed: 0" in text
    look("2026-11-24 07:00")
    ((subject, _),) = topic.published()
    assert "2026-11-23 label_detection: 100 labelled" in subject


def test_the_first_look_sends_nothing_and_a_day_without_a_watchdog_is_sent_later(topic: Topic, look: Look) -> None:
    look("2026-11-21 12:00")
    assert topic.published() == []
    look("2026-11-23 03:00")  # Airflow was down from noon to noon
    ((subject, _),) = topic.published()
    assert "2026-11-21" in subject


@pytest.mark.parametrize("trouble", ["ListObjectsV2", "GetObject"])
def test_reports_that_cannot_be_read_are_an_error_in_the_log_and_the_digest_is_sent_later(
    aws: Aws, topic: Topic, look: Look, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    put_reports(aws)
    look("2026-11-22 20:00")
    aws.fail("s3", trouble, status=403, code="AccessDenied", times=1)
    look("2026-11-23 07:00")
    assert "the digest of label_detection could not be sent" in caplog.text
    assert topic.published() == []
    look("2026-11-23 07:10")
    assert len(topic.published()) == 1


def test_a_variable_that_airflow_does_not_keep_sends_no_digest_every_ten_minutes(
    topic: Topic, look: Look, variables: Variables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look("2026-11-22 20:00")
    monkeypatch.setattr(variables, "set", lambda *_, **__: None)
    look("2026-11-23 07:00")
    assert topic.published() == []
    assert f"the variable {NAME} cannot be written" in caplog.text


def test_a_digest_that_cannot_be_sent_is_an_error_in_the_log(
    aws: Aws, topic: Topic, look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    look("2026-11-22 20:00")
    aws.fail("sns", "Publish", status=403, code="AuthorizationError")
    look("2026-11-23 07:00")
    assert "this notice could not be published" in caplog.text


def test_without_the_option_nothing_is_read_or_kept(
    topic: Topic, look: Look, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__LABEL_DETECTION__DIGEST_AT")
    look("2026-11-23 07:00")
    assert variables.values == {}


def test_a_watchdog_that_has_worked_for_long_leaves_the_digest_to_the_next(
    topic: Topic, look: Look, variables: Variables
) -> None:
    look("2026-11-22 20:00")
    before = dict(variables.values)
    digests.send_due(context(digests._now() - timedelta(minutes=11)))
    assert variables.values == before
