"""The report: written whatever happened; its task fails if the run did."""

from __future__ import annotations

import contextlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.config import Config
from botocore.exceptions import ClientError

from label_detection.hooks import clients
from label_detection.operators.run import SUMMARY, WriteReportOperator
from label_detection.series import Series, series_name
from label_detection_core.drain.journal import Journal
from label_detection_core.labelling.labeller import Outcome, Result
from label_detection_core.labelling.labels import Error, RunInfo
from label_detection_core.queue.messages import Ignored, ImageRef
from tests.plugins.conftest import DAG_ID, RUN_ID, Run, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws

REQUESTED_AT = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
STATES: dict[str, str | None] = {
    "wait_for_images": "success",
    "plan_run": "success",
    "start_model": "success",
    "wait_for_model": "success",
    "analyse_images_0": "success",
    "analyse_images_1": "success",
    "stop_model": "success",
    "write_report": "running",
}
WAITED_IN_VAIN: dict[str, str | None] = {
    **dict.fromkeys(STATES, "skipped"),
    "analyse_images": "skipped",
    "write_report": "running",
}


@pytest.fixture
def done(aws: Aws, run: Run) -> Run:
    """A run of 30 minutes: two labelled images, one rejected, one returned to the queue; one message is left."""
    run.plan(aws.settings, units=2)
    run.started(REQUESTED_AT, REQUESTED_AT + timedelta(hours=1))
    run.xcoms["wait_for_model", "return_value"] = (REQUESTED_AT + timedelta(minutes=10)).isoformat()
    run.xcoms["stop_model", "return_value"] = {"stopped_at": (REQUESTED_AT + timedelta(minutes=30)).isoformat()}
    run.states = dict(STATES)
    for task in (0, 1):
        journal = Journal(aws.s3, aws.settings.final_bucket, RunInfo(DAG_ID, RUN_ID, task))
        image = ImageRef(aws.settings.source_bucket, f"{task}.png", "e1")
        journal.add(Result(Outcome.LABELLED, image, "final.png", [{"Name": "scratch", "Confidence": 90.0}]))
        outcome = Outcome.FAILED if task else Outcome.REJECTED
        journal.add(Result(outcome, image, error=Error("InvalidImageFormatException", "no")))
        journal.write()
    aws.upload("late.png", b"")
    return run


def write(run: Run) -> Any:
    return run.execute(WriteReportOperator(task_id="write_report"))


def stored(aws: Aws) -> Any:
    return json.loads(aws.read(f"runs/{RUN_ID}/report.json"))


def test_the_report_lists_results_and_costs(aws: Aws, done: Run) -> None:
    kept = write(done).keys()
    report = stored(aws)
    assert report.keys() - kept == {"labels", "rejections", "unreadable"}, "an XCom must not grow with the images"
    assert report["images"] == {"labelled": 2, "rejected": 1, "ignored": 0, "failed": 1, "unreadable": 0}
    assert report["labels"] == {"scratch": 2}
    assert report["rejections"] == {"InvalidImageFormatException": 1}
    assert report["queue"] == {"visible": 1, "in_flight": 0, "delayed": 0}
    assert (report["run"]["dag_id"], report["run"]["run_id"]) == (DAG_ID, RUN_ID)
    assert report["run"]["started_at"] == "2026-11-22T06:00:00Z"
    model = report["model"]
    assert (model["units"], model["minutes"], model["cost_usd"], model["adopted"]) == (2, 30.0, 4.0, False)
    assert report["problems"] == []


def test_the_html_page_is_written_beside_the_report(aws: Aws, done: Run) -> None:
    write(done)
    key = f"runs/{RUN_ID}/report.html"
    assert aws.s3.head_object(Bucket=aws.settings.final_bucket, Key=key)["ContentType"].startswith("text/html")
    assert "scratch" in aws.read(key).decode()


def test_the_html_page_needs_no_other_file(aws: Aws, done: Run) -> None:
    write(done)
    page = aws.read(f"runs/{RUN_ID}/report.html").decode()
    loads = re.findall(r"<(?:script|link|img|iframe|object|embed|base)\b|@import|url\(|\bsrc\s*=", page)
    assert loads == []
    assert "<style>" in page


@pytest.mark.parametrize("states", [{}, {"analyse_images_1": "failed"}], ids=["a green run", "a red run"])
def test_the_xcom_describes_the_run_in_one_line(aws: Aws, done: Run, states: dict[str, str]) -> None:
    done.states |= states
    with contextlib.suppress(AirflowFailException):
        write(done)
    line = done.xcoms["write_report", SUMMARY]
    assert line == "2 labelled, 1 rejected, 1 failed; model on for 30.0 minutes, about 4.00 USD"
    assert aws.read(f"runs/{RUN_ID}/report.json")


def test_a_report_written_again_is_the_same(aws: Aws, done: Run) -> None:
    first, second = write(done), write(done)
    first["run"].pop("ended_at")
    second["run"].pop("ended_at")
    assert first == second


def test_a_run_that_was_skipped_has_no_report(aws: Aws, run: Run) -> None:
    run.states = dict(WAITED_IN_VAIN)
    with pytest.raises(AirflowSkipException, match="nothing to report"):
        write(run)
    assert aws.keys(aws.settings.final_bucket) == []


def test_a_run_that_failed_before_its_plan_is_red_and_names_the_task_that_failed_and_no_other(run: Run) -> None:
    run.states = {
        **dict.fromkeys(WAITED_IN_VAIN, "upstream_failed"),
        "wait_for_images": "failed",
        "write_report": "running",
    }
    with pytest.raises(AirflowFailException) as failure:
        write(run)
    assert (
        str(failure.value)
        == "nothing was started, because these tasks did not succeed: wait_for_images; see their logs"
    )


@pytest.mark.parametrize(
    ("states", "problems"),
    [
        ({"analyse_images_1": "failed"}, ["analyse_images_1 failed"]),
        (
            {"analyse_images_0": "failed", "analyse_images_1": "failed"},
            ["analyse_images_0 failed", "analyse_images_1 failed"],
        ),
        (
            {"start_model": "failed", "wait_for_model": "upstream_failed", "analyse_images_0": "upstream_failed"},
            ["start_model failed", "analyse_images_0 upstream_failed", "wait_for_model upstream_failed"],
        ),
    ],
    ids=["one of two", "both", "the start, named before the tasks that failed because of it"],
)
def test_failed_tasks_turn_the_run_red_and_are_named_in_the_report_too(
    aws: Aws, done: Run, states: dict[str, str], problems: list[str]
) -> None:
    done.states |= states
    with pytest.raises(AirflowFailException) as failure:
        write(done)
    assert str(failure.value) == "; ".join(problems)
    assert stored(aws)["problems"] == problems
    assert stored(aws)["images"]["labelled"] == 2


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_a_failed_stop_warns_that_the_model_may_cost_money(aws: Aws, done: Run, state: str) -> None:
    aws.put_model("RUNNING")
    done.states["stop_model"] = state
    del done.xcoms["stop_model", "return_value"]
    with pytest.raises(AirflowFailException, match="THE MODEL MAY STILL BE RUNNING AND COSTS MONEY: see stop_model"):
        write(done)
    report = stored(aws)
    assert report["problems"][0] == f"stop_model {state}"
    assert "COSTS MONEY" in report["problems"][1]
    assert report["model"]["stopped_at"] is None
    ended_at = datetime.fromisoformat(report["run"]["ended_at"])
    assert report["model"]["minutes"] == pytest.approx((ended_at - REQUESTED_AT).total_seconds() / 60, abs=0.01)


def test_the_log_has_a_line_for_each_problem_even_when_the_report_cannot_be_written(
    aws: Aws, done: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clients, "client_config", lambda *_: Config(retries={"total_max_attempts": 1}))
    aws.put_model("RUNNING")
    done.states |= {"analyse_images_1": "failed", "stop_model": "failed"}
    del done.xcoms["stop_model", "return_value"]
    aws.fail("s3", "PutObject", status=403, code="AccessDenied")
    with pytest.raises(ClientError, match="AccessDenied"):
        write(done)
    lines = [line for line in capsys.readouterr().out.splitlines() if "[error" in line]
    for problem in ("analyse_images_1 failed", "stop_model failed", "COSTS MONEY"):
        assert sum(problem in line for line in lines) == 1


@pytest.mark.parametrize("state", ["skipped", "removed", None, "success"])
def test_only_failed_states_are_problems(done: Run, state: str | None) -> None:
    done.states["analyse_images_1"] = state
    assert write(done)["problems"] == []


def test_a_run_whose_start_failed_has_a_report_without_costs(aws: Aws, run: Run) -> None:
    run.plan(aws.settings)
    run.states = {"start_model": "failed"}
    with pytest.raises(AirflowFailException, match="start_model failed"):
        write(run)
    model = stored(aws)["model"]
    assert (model["requested_at"], model["minutes"], model["cost_usd"]) == (None, 0.0, 0.0)


def test_a_stop_that_was_marked_as_success_manually_does_not_count(aws: Aws, done: Run) -> None:
    aws.put_model("RUNNING")
    del done.xcoms["stop_model", "return_value"]
    with pytest.raises(AirflowFailException) as failure:
        write(done)
    assert str(failure.value) == (
        "THE MODEL MAY STILL BE RUNNING AND COSTS MONEY: "
        "stop_model is success, but the model is RUNNING: was it marked manually?"
    )


def test_a_model_whose_state_cannot_be_seen_may_be_on(aws: Aws, done: Run) -> None:
    aws.fail_model("describe", status=400, code="AccessDeniedException")
    del done.xcoms["stop_model", "return_value"]
    with pytest.raises(
        AirflowFailException, match=r"THE MODEL MAY STILL BE RUNNING.*but the model's state is not known"
    ):
        write(done)


def test_a_model_that_is_off_is_not_reported_as_on(aws: Aws, done: Run) -> None:
    aws.put_model("STOPPED")
    done.states["stop_model"] = "failed"
    del done.xcoms["stop_model", "return_value"]
    with pytest.raises(AirflowFailException) as failure:
        write(done)
    assert str(failure.value) == "stop_model failed"


def test_warnings_are_in_the_report_and_the_log_and_fail_nothing(
    aws: Aws, done: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    done.xcoms["plan_run", "warning"] = ["70% may be meant", "deletes are not conditional"]
    done.xcoms["start_model", "warning"] = "there is no <switch>"  # the form in which an earlier version pushed it
    done.xcoms["stop_model", "warning"] = ["the switch was gone"]
    report = write(done)
    plans = ["70% may be meant", "deletes are not conditional"]
    assert report["warnings"] == [*plans, "there is no <switch>", "the switch was gone"]
    assert report["problems"] == []
    page = aws.read(f"runs/{RUN_ID}/report.html").decode()
    assert "<h2>Warnings</h2>" in page
    assert "there is no &lt;switch&gt;" in page
    lines = [line for line in capsys.readouterr().out.splitlines() if "[warning" in line]
    for warning in report["warnings"]:
        assert sum(warning in line for line in lines) == 1


def note(aws: Aws, *results: Result) -> None:
    journal = Journal(aws.s3, aws.settings.final_bucket, RunInfo(DAG_ID, RUN_ID, 2))
    for result in results:
        journal.add(result)
    journal.write()


def test_an_ignored_message_whose_image_stays_is_a_warning_with_its_key_and_its_reason(
    aws: Aws, done: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    ref = ImageRef(aws.settings.source_bucket, "there.png", aws.upload("there.png", b"1"))
    gone = ImageRef(aws.settings.source_bucket, "gone.png", "e")
    note(
        aws,
        Result(Outcome.IGNORED, ref, reason="message 1: ObjectTagging:Put", ignored=Ignored.NOT_ARRIVAL),
        Result(Outcome.IGNORED, gone, reason="gone", ignored=Ignored.GONE),
        Result(Outcome.IGNORED, None, reason="message 2: s3:TestEvent", ignored=Ignored.TEST_EVENT),
    )
    report = write(done)
    assert report["ignored"] == {"not an arrival": 1, "gone": 1, "test event": 1}
    (warning,) = report["warnings"]
    assert "'there.png'" in warning
    assert "2 messages still wait" in warning
    assert report["problems"] == []
    assert sum(warning in line for line in capsys.readouterr().out.splitlines()) == 1
    page = aws.read(f"runs/{RUN_ID}/report.html").decode()
    assert "<td>not an arrival</td>" in page


def test_an_object_that_s3_refuses_is_in_the_report_and_a_warning_and_fails_nothing(aws: Aws, done: Run) -> None:
    image = ImageRef(aws.settings.source_bucket, "<odd>.png", "e")
    note(aws, Result(Outcome.UNREADABLE, image, error=Error("AccessDenied", "the owner's")))
    (warning,) = write(done)["warnings"]
    assert "'<odd>.png'" in warning
    report = stored(aws)
    assert report["images"]["unreadable"] == 1
    (refused,) = report["unreadable"]["first"]
    assert (refused["key"], refused["why"]) == ("<odd>.png", "AccessDenied: the owner's")
    page = aws.read(f"runs/{RUN_ID}/report.html").decode()
    assert "<h2>Refused by S3</h2>" in page
    assert "<code>&lt;odd&gt;.png</code>" in page


def test_an_s3_error_while_looking_for_ignored_images_fails_no_report(
    aws: Aws, done: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "client_config", lambda *_: Config(retries={"total_max_attempts": 1}))
    note(aws, Result(Outcome.IGNORED, ImageRef(aws.settings.source_bucket, "a.png"), ignored=Ignored.OVERWRITTEN))
    aws.fail("s3", "HeadObject", status=500, code="InternalError")
    (warning,) = write(done)["warnings"]
    assert warning.startswith("1 more pictures of ignored messages")


def test_a_cleared_run_that_is_skipped_has_no_report_although_its_first_attempt_had_a_plan(done: Run) -> None:
    done.states |= WAITED_IN_VAIN
    with pytest.raises(AirflowSkipException):
        write(done)


def test_a_start_that_failed_after_its_request_is_counted_since_the_lease(aws: Aws, done: Run) -> None:
    del done.xcoms["start_model", "return_value"]
    done.states["start_model"] = "failed"
    off = REQUESTED_AT + timedelta(minutes=3)
    done.xcoms["stop_model", "return_value"] = {"stopped_at": off.isoformat(), "on_since": REQUESTED_AT.isoformat()}
    with pytest.raises(AirflowFailException, match="start_model failed"):
        write(done)
    assert stored(aws)["model"]["minutes"] == pytest.approx(3)


def test_the_stop_of_a_cleared_runs_first_attempt_does_not_count_for_this_one(aws: Aws, done: Run) -> None:
    again = REQUESTED_AT + timedelta(hours=3)
    done.started(again, again + timedelta(hours=1))
    aws.put_model("RUNNING")  # in this attempt stop_model was marked as success manually
    with pytest.raises(AirflowFailException, match="THE MODEL MAY STILL BE RUNNING"):
        write(done)


@pytest.mark.parametrize(
    ("stop", "ended"), [("success", True), ("failed", False)], ids=["the run is good", "the run is red"]
)
def test_a_run_that_succeeded_ends_a_series_of_failures(
    done: Run, variables: Variables, stop: str, ended: bool
) -> None:
    name = series_name(DAG_ID)
    variables.values[name] = Series(run_id="an earlier run").model_dump_json()
    done.states["stop_model"] = stop
    with contextlib.nullcontext() if ended else pytest.raises(AirflowFailException):
        done.execute(WriteReportOperator(task_id="write_report"))
    assert (name in variables.values) is not ended
