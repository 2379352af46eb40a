"""Notices to people: what happened, which model, since when, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from label_detection_core.model.lease import Lease
from label_detection_core.run.notices import (
    FailedTask,
    Notice,
    Stopped,
    run_failed,
    stop_failed,
    watchdog_acted,
    watchdog_failed,
)

ARN = "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/parts.2026/1690000000000"
SINCE = datetime(2026, 11, 22, 6, tzinfo=UTC)
RUN = "manual__2026-11-22T06:00:00+00:00"
LEASE = Lease(
    model_arn=ARN, dag_id="label_detection", run_id=RUN, since=SINCE, until=SINCE + timedelta(hours=1), units=2
)
BY_HAND = f"aws rekognition stop-project-version --project-version-arn {ARN} --region eu-west-1"


def task(
    problem: str | None = "An error occurred (AccessDeniedException)", dag_id: str = "label_detection"
) -> FailedTask:
    return FailedTask(dag_id, RUN, "stop_model", problem, "https://airflow.example/")


def stopped(by_us: bool = True, minutes: float = 67) -> Stopped:
    return Stopped(LEASE, "its run was deleted", by_us, SINCE + timedelta(minutes=minutes), "https://airflow.example")


@pytest.mark.parametrize(
    ("notice", "says"),
    [
        (
            stop_failed(task(), ARN, LEASE),
            [
                "COULD NOT BE STOPPED",
                "AccessDeniedException",
                ARN,
                "The model may be on since 2026-11-22 06:00:00 UTC, with 2 inference units\n",
                BY_HAND,
            ],
        ),
        (
            stop_failed(task(), None, None),
            [
                "since when is not known",
                "Model: not known",
                "in the console of its AWS service; the model's ARN is not known",
            ],
        ),
        (
            run_failed(task(), ARN, LEASE),
            [
                "failed in stop_model",
                "The model may be on since",
                BY_HAND,
                "(stop_model, if no other task failed)",
                "No picture is lost",
            ],
        ),
        (run_failed(task(), ARN, None), ["does not hold the model", f"Model: {ARN}"]),
        (
            watchdog_acted(stopped()),
            [
                ARN,
                RUN,
                "its run was deleted",
                "since 2026-11-22 06:00:00 UTC",
                "Past the end of the lease: 7.0 minutes",
                "Seen to be off: 2026-11-22 07:07:00 UTC",
                "the watchdog stopped it",
            ],
        ),
        (watchdog_acted(stopped(minutes=30)), ["Past the end of the lease: no; the watchdog ended it early"]),
        (watchdog_acted(stopped(by_us=False)), ["The model was off already"]),
        (
            watchdog_failed(task("one line\nfor each model"), [LEASE]),
            ["one line\nfor each model", "every 10 minutes", f"Leased: {ARN} since 2026-11-22 06:00:00 UTC until"],
        ),
        (watchdog_failed(task(None), []), ["the task's process or its worker was lost"]),
    ],
    ids=[
        "stop",
        "stop, nothing known",
        "run, model held",
        "run, model off",
        "watchdog, over its time",
        "watchdog, run over before",
        "watchdog, found off",
        "watchdog failed",
        "watchdog failed without a message",
    ],
)
def test_the_text_of_a_notice(notice: Notice, says: list[str]) -> None:
    assert [words for words in says if words not in notice.body] == []
    assert "What to do:\n* " in notice.body


def test_the_subject_warns_when_the_model_may_be_on() -> None:
    assert run_failed(task(), ARN, LEASE).subject == (
        "[label detection] THE MODEL MAY BE ON: run failed: label_detection"
    )
    assert run_failed(task(), ARN, None).subject == "[label detection] Run failed: label_detection"


def test_one_unit_is_written_in_the_singular() -> None:
    body = stop_failed(task(), ARN, LEASE.model_copy(update={"units": 1})).body
    assert "with 1 inference unit\n" in body


def test_a_watchdog_that_failed_names_the_stop_of_every_model_that_is_leased() -> None:
    other = ARN.replace("eu-west-1", "us-east-1")
    body = watchdog_failed(task(), [LEASE, LEASE.model_copy(update={"model_arn": other})]).body
    assert body.count("stop-project-version") == 2
    assert BY_HAND in body
    assert f"--project-version-arn {other} --region us-east-1" in body
    assert "in the console of its AWS service; the model's ARN is not known" in watchdog_failed(task(), []).body


def test_the_notice_of_a_run_without_the_model_does_not_ask_to_stop_it() -> None:
    assert "stop-project-version" not in run_failed(task(), ARN, None).body


def test_a_notice_mentions_the_watchdog_only_if_there_is_a_lease() -> None:
    assert "tries again every 10 minutes" in stop_failed(task(), ARN, LEASE).body
    body = stop_failed(task(), ARN, None).body
    assert "tries again" not in body
    assert "No lease of this run was found" in body


def test_a_run_whose_lease_cannot_be_read_may_hold_the_model() -> None:
    body = run_failed(task(), ARN, None, lease_known=False).body
    assert "The model may be on; since when is not known" in body
    assert BY_HAND in body


def test_the_link_leads_to_the_run_and_is_left_out_where_airflows_address_is_not_known() -> None:
    link = "https://airflow.example/dags/label_detection/runs/manual__2026-11-22T06%3A00%3A00%2B00%3A00"
    assert f"Airflow: {link}\n" in stop_failed(task(), ARN, LEASE).body
    unknown = FailedTask("label_detection", RUN, "stop_model", None)
    assert "Airflow:" not in stop_failed(unknown, ARN, LEASE).body


@pytest.mark.parametrize("dag_id", ["d" * 250, "bär\n\x1b[31m", "label_detection"], ids=["long", "odd", "plain"])
def test_a_subject_is_valid_for_sns(dag_id: str) -> None:
    for notice in (
        run_failed(task(dag_id=dag_id), ARN, None),
        stop_failed(task(dag_id=dag_id), ARN, None),
        watchdog_failed(task(dag_id=dag_id), []),
        watchdog_acted(Stopped(LEASE.model_copy(update={"dag_id": dag_id}), "why", True, SINCE)),
    ):
        assert len(notice.subject) < 100
        assert notice.subject.isascii()
        assert notice.subject.isprintable()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET https://b.s3.amazonaws.com/k?X-Amz-Signature=abc&X-Amz-Security-Token=t failed", "abc"),
        ("cannot reach https://user:secret@proxy:8080/", "secret"),
        ("'https://b/k?AWSAccessKeyId=AKIA&Signature=s3cr3t'", "s3cr3t"),
    ],
    ids=["signed", "login", "signed, quoted"],
)
def test_signatures_and_logins_are_not_in_a_notice(text: str, secret: str) -> None:
    body = run_failed(task(text), ARN, None).body
    assert secret not in body
    assert "https://" in body


def test_a_long_error_is_cut() -> None:
    body = run_failed(task("x" * 300_000), ARN, None).body
    assert len(body) < 4000
    assert "the full text is in the task's log" in body


def test_the_watchdogs_line_for_the_log_names_the_run_and_how_long_it_was_over() -> None:
    assert str(stopped()) == (
        f"{ARN}: run {RUN} of DAG label_detection did not end its lease (its run was deleted); "
        "leased since 2026-11-22 06:00:00 UTC, 7 minutes past the end of the lease; stopped the model"
    )
    assert "past the end" not in str(stopped(minutes=30))
