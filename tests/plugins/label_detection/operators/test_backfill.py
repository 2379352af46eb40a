"""The two tasks of the backfill, and a drain of the events that they send."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.config import Config
from botocore.exceptions import ClientError

from label_detection.hooks import clients
from label_detection.operators.backfill import EnqueueImagesOperator, PlanBackfillOperator
from label_detection.operators.images import AnalyseImagesOperator
from label_detection_core.backfill import backfill
from label_detection_core.queue.messages import ImageRef
from sandbox.waiting import wait_until
from tests.core.images import outcomes
from tests.core.queues import clear
from tests.core.test_backfill import HARD_KEYS
from tests.plugins.conftest import Run

if TYPE_CHECKING:
    from tests.conftest import Aws

ALL = {"prefix": "", "dry_run": False, "older_than_minutes": 0}


@pytest.fixture
def run(run: Run) -> Run:
    """A run of the backfill over the whole bucket."""
    run.dag_id = "label_detection_backfill"
    run.params = dict(ALL)
    return run


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "_LEAST_PER_CHUNK", 5)


def plan(run: Run) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = run.execute(PlanBackfillOperator(task_id="plan_backfill"))
    return chunks


def enqueue(run: Run, chunk: dict[str, Any], map_index: int = 0) -> str:
    """Send a chunk's events; return the task's name in the grid."""
    context = run.context("enqueue_images", map_index=map_index)
    run.execute(EnqueueImagesOperator(task_id="enqueue_images", chunk=chunk), context)
    name: str = context["images"]
    return name


def upload(aws: Aws, picture: bytes, *keys: str) -> list[ImageRef]:
    """Upload pictures with different bytes."""
    bodies = {key: picture + key.encode() for key in keys}
    source = aws.settings.source_bucket
    return [ImageRef(source, key, aws.upload(key, body), None, len(body)) for key, body in bodies.items()]


def drain(aws: Aws, run: Run) -> dict[str, int]:
    """Run the pipeline's analysis."""
    pipeline, now = Run(), datetime.now(UTC)
    pipeline.plan(aws.settings)
    pipeline.started(now, now + timedelta(minutes=10))
    aws.put_model("RUNNING")
    tally: dict[str, int] = pipeline.execute(AnalyseImagesOperator(task_id="analyse_images", images_per_second=100))
    return tally


def test_a_dry_run_counts_and_announces_nothing(
    aws: Aws, run: Run, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(aws, picture, "a.png", "b.JPG", "notes.txt", "folder/")
    run.params["dry_run"] = True
    assert plan(run) == []
    log = capsys.readouterr().out
    survey = run.xcoms["plan_backfill", "survey"]
    assert {name: survey[name] for name in ("pictures", "left_out", "runs", "queue", "dry_run")} == {
        "pictures": 2,
        "left_out": {"other": 1, "folder": 1},
        "runs": 1,
        "queue": {"visible": 4, "in_flight": 0, "delayed": 0},
        "dry_run": True,
    }
    assert "2 pictures" in log
    takes = "at least 1 run, 0.0 model minutes, 0.00 USD, plus the model's start and stop for each run"
    assert f"labelling these pictures takes {takes}" in log
    assert survey["effort"] == takes
    assert "the queue has 4 messages already: up to 2 of these pictures may be announced already" in log
    assert "dry run: nothing is announced" in log
    assert (aws.depth(), aws.keys(aws.settings.final_bucket)) == ((4, 0), [])


def test_an_untouched_form_is_a_dry_run_that_leaves_young_pictures_out(aws: Aws, run: Run, picture: bytes) -> None:
    upload(aws, picture, "a.png")
    run.params = {}
    assert plan(run) == []
    survey = run.xcoms["plan_backfill", "survey"]
    assert (survey["pictures"], survey["left_out"], survey["dry_run"]) == (0, {"young": 1}, True)


def test_one_message_on_the_queue_is_counted_as_one(
    aws: Aws, run: Run, picture: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(aws, picture, "a.png")
    plan(run)
    assert "the queue has 1 message already: up to 1 of these pictures" in capsys.readouterr().out


def test_pictures_without_an_announcement_are_labelled_once(aws: Aws, run: Run, picture: bytes) -> None:
    images = upload(aws, picture, *HARD_KEYS[:-1])
    clear(aws)
    assert aws.depth() == (0, 0)
    aws.exactly_once()  # the tally counts deliveries
    (chunk,) = plan(run)
    assert enqueue(run, chunk).startswith("9 of 9, 20")
    assert drain(aws, run) == {"labelled": 9, "rejected": 0, "ignored": 0, "failed": 0, "unreadable": 0}
    assert [outcomes(aws, image) for image in images] == [["labelled"]] * 9


def test_pictures_that_were_announced_already_are_labelled_once_too(
    aws: Aws, run: Run, picture: bytes, small_chunks: None
) -> None:
    images = upload(aws, picture, *(f"{n}.png" for n in range(10)))
    clear(aws)
    images += upload(aws, picture, *(f"{n}.png" for n in range(10, 20)))
    chunks = plan(run)
    assert [enqueue(run, chunk, n).split(",")[0] for n, chunk in enumerate(chunks)] == ["5 of 5"] * 4
    assert aws.depth() == (30, 0)
    drain(aws, run)
    assert [outcomes(aws, image) for image in images] == [["labelled"]] * 20
    assert len(aws.final_keys()) == 40
    assert aws.depth() == (0, 0)


def test_a_backfill_during_a_drain_changes_nothing(aws: Aws, run: Run, picture: bytes) -> None:
    images = upload(aws, picture, *(f"{n}.png" for n in range(40)))
    draining = threading.Thread(target=drain, args=(aws, run))
    draining.start()
    wait_until(aws.final_keys, 60, "a first label document", every=0.02)
    for chunk in plan(run):
        enqueue(run, chunk)
    draining.join(60)
    drain(aws, run)
    assert [outcomes(aws, image) for image in images] == [["labelled"]] * 40
    assert aws.depth() == (0, 0)


def test_an_empty_bucket_has_no_chunks(aws: Aws, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(run) == []
    assert "may be announced already" not in capsys.readouterr().out, "an empty queue announces nothing"


def test_wrong_params_are_one_clear_error(aws: Aws, run: Run) -> None:
    run.params = {"prefix": "s3://x", "dry_run": False, "older_than_minutes": -1}
    with pytest.raises(AirflowFailException, match=r"prefix is 's3://x'.*without s3://(?s:.*)older_than_minutes is -1"):
        plan(run)


@pytest.mark.parametrize(
    ("service", "operation", "task"),
    [("s3", "ListObjectsV2", "plan"), ("sqs", "GetQueueAttributes", "plan"), ("sqs", "SendMessageBatch", "enqueue")],
)
def test_a_refused_call_fails_without_a_retry(
    aws: Aws, run: Run, picture: bytes, service: str, operation: str, task: str
) -> None:
    upload(aws, picture, "a.png")
    chunks = plan(run) if task == "enqueue" else []
    aws.fail(service, operation, status=403, code="AccessDenied", message="not yours")
    with pytest.raises(
        AirflowFailException, match=r"AccessDenied.*not yours.*; (nothing was announced|correct the cause)"
    ):
        enqueue(run, chunks[0]) if chunks else plan(run)
    aws.control("faults", "DELETE")
    assert aws.depth() == (1, 0)


def test_a_service_that_is_down_is_left_to_a_retry_which_continues_there(
    aws: Aws, run: Run, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "client_config", lambda *_, **__: Config(retries={"total_max_attempts": 1}))
    upload(aws, picture, *(f"{n:02d}.png" for n in range(15)))
    clear(aws)
    clear(aws)
    (chunk,) = plan(run)
    aws.fail("sqs", "SendMessageBatch", status=503, code="ServiceUnavailable", key="14.png", times=1)
    with pytest.raises(ClientError, match="ServiceUnavailable"):
        enqueue(run, chunk)
    assert aws.depth() == (10, 0)
    assert enqueue(run, chunk).startswith("15 of 15, ")
    assert aws.depth() == (15, 0)


def test_a_stopped_task_logs_its_position_and_the_next_try_continues_there(aws: Aws, run: Run, picture: bytes) -> None:
    upload(aws, picture, *(f"{n:03d}.png" for n in range(15)))
    clear(aws)
    clear(aws)
    (chunk,) = plan(run)
    task, context = EnqueueImagesOperator(task_id="enqueue_images", chunk=chunk), run.context("enqueue_images", 0)
    aws.fail("sqs", "SendMessageBatch", delay=7, times=1)  # delayed, then sent again by botocore
    ended: list[BaseException] = []

    def attempt() -> None:
        try:
            run.execute(task, context)
        except AirflowException as error:
            ended.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    wait_until(lambda: not aws.control("faults"), 60, "the first batch")
    task.on_kill()
    thread.join(60)
    (error,) = ended
    assert "the task was stopped: 10 of 15" in str(error)
    enqueue(run, chunk)
    assert aws.depth() == (15, 0)


def test_a_task_killed_before_its_start_sends_nothing(aws: Aws, run: Run, picture: bytes) -> None:
    upload(aws, picture, "a.png")
    clear(aws)
    (chunk,) = plan(run)
    task = EnqueueImagesOperator(task_id="enqueue_images", chunk=chunk)
    task.on_kill()
    with pytest.raises(AirflowException, match="the task was stopped: 0 of 1"):
        run.execute(task, run.context("enqueue_images", 0))
    assert aws.depth() == (0, 0)
