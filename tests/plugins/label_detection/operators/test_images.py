"""One analysis task: it labels waiting images, never starts a model, and ends when Airflow stops it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.config import Config

from label_detection.hooks import clients
from label_detection.operators import images
from label_detection.operators.images import AnalyseImagesOperator, DrainsQueue
from label_detection_core.drain.drain import Drain
from label_detection_core.drain.message_worker import DrainError, RefusedError
from label_detection_core.drain.waits import Waits
from label_detection_core.labelling.conditions import Conditions
from label_detection_core.labelling.labeller import Labeller
from label_detection_core.queue.image_queue import VISIBILITY_SECONDS
from sandbox.waiting import wait_until
from tests.plugins.conftest import DAG_ID, RUN_ID, Run

if TYPE_CHECKING:
    from tests.conftest import Aws

#: Seconds that a busy machine may add to Airflow's five. tests/core/test_drain.py tests the grace itself.
BUSY = 10


@pytest.fixture
def running(aws: Aws, run: Run) -> Run:
    """A run with a running model and 10 minutes until the deadline."""
    now = datetime.now(UTC)
    run.plan(aws.settings)
    run.started(now, now + timedelta(minutes=10))
    aws.put_model("RUNNING")
    aws.exactly_once()  # because the tally counts deliveries
    return run


def operator() -> AnalyseImagesOperator:
    return AnalyseImagesOperator(task_id="analyse_images", images_per_second=100)


def receives(aws: Aws) -> list[int]:
    """How often each message was received before."""
    answer = aws.sqs.receive_message(
        QueueUrl=aws.settings.queue_url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=1,
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    )
    return [int(message["Attributes"]["ApproximateReceiveCount"]) - 1 for message in answer.get("Messages", [])]


def test_it_labels_waiting_images_and_shows_its_tally_in_the_grid(aws: Aws, running: Run, picture: bytes) -> None:
    for number in range(3):
        aws.upload(f"line 3/{number}.png", picture)
    aws.upload("notes.txt", b"not a picture")
    context = running.context("analyse_images", map_index=1)
    tally = running.execute(operator(), context)
    assert tally == {"labelled": 3, "rejected": 1, "ignored": 0, "failed": 0, "unreadable": 0}
    assert context["images"] == "3 labelled, 1 rejected"
    assert aws.source_keys() == []
    assert aws.depth() == (0, 0)
    documents = [key for key in aws.final_keys() if key.endswith(".png.json")]
    assert len(documents) == 3
    for key in documents:
        document = json.loads(aws.read(key))
        run, model = document["run"], document["model"]
        assert (run["dag_id"], run["run_id"], run["map_index"]) == (DAG_ID, RUN_ID, 1)
        assert model == {"arn": aws.settings.model_arn, "min_confidence": 70.0}


@pytest.mark.parametrize(
    ("try_number", "patience"), [(1, 0.0), (2, VISIBILITY_SECONDS + 15.0)], ids=["first try", "retry"]
)
def test_a_retry_waits_for_the_visibility_timeout_of_the_killed_try(
    aws: Aws, running: Run, monkeypatch: pytest.MonkeyPatch, try_number: int, patience: float
) -> None:
    given: list[float] = []

    def drain_with(*args: Any, patience: float, **options: Any) -> Drain:
        given.append(patience)
        return Drain(*args, **options)

    monkeypatch.setattr(images, "Drain", drain_with)
    context = running.context("analyse_images", map_index=0)
    context["ti"].try_number = try_number
    running.execute(operator(), context)
    assert given == [patience]


def test_the_labeller_gets_the_final_buckets_conditions_from_the_plan(
    aws: Aws, running: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def labeller_with(**options: Any) -> Labeller:
        given.append((options["conditions"], options["storage_class"]))
        return Labeller(**options)

    monkeypatch.setattr(images, "Labeller", labeller_with)
    plan = running.xcoms["plan_run", "plan"]
    plan["conditions"] = {"copies": True, "deletes": False}
    running.execute(operator())
    plan["settings"]["final_storage_class"] = "STANDARD_IA"
    running.execute(operator())
    assert given == [(Conditions(deletes=False), None), (Conditions(deletes=False), "STANDARD_IA")]


def test_an_empty_queue_ends_the_task_without_work(aws: Aws, running: Run) -> None:
    context = running.context("analyse_images", map_index=0)
    assert set(running.execute(operator(), context).values()) == {0}
    assert context["images"] == "nothing to do"
    assert aws.final_keys() == []


@pytest.mark.parametrize("status", ["STOPPED", "STARTING", "STOPPING", "TRAINING_COMPLETED", "EXPIRED"])
def test_without_a_running_model_it_fails_at_once_and_touches_nothing(
    aws: Aws, running: Run, picture: bytes, status: str
) -> None:
    aws.put_model(status)
    aws.upload("1.png", picture)
    with pytest.raises(AirflowFailException, match=rf"the model is {status}.*, not running: clear start_model"):
        running.execute(operator())
    assert aws.model()["status"] == status
    assert aws.source_keys() == ["1.png"]
    assert receives(aws) == [0]


def test_after_the_deadline_nothing_is_received(aws: Aws, run: Run, picture: bytes) -> None:
    now = datetime.now(UTC)
    run.plan(aws.settings)
    run.started(now - timedelta(minutes=10), now - timedelta(seconds=1))
    aws.put_model("RUNNING")
    aws.upload("1.png", picture)
    run.execute(operator())
    assert receives(aws) == [0]


def test_a_refused_call_fails_the_task_without_a_retry_and_returns_the_image_to_the_queue(
    aws: Aws, running: Run, picture: bytes
) -> None:
    aws.upload("1.png", picture)
    aws.fail_model("detect", status=400, code="AccessDeniedException", message="not yours")
    context = running.context("analyse_images", map_index=0)
    with pytest.raises(AirflowFailException, match=r"AccessDeniedException.*not yours.*1\.png"):
        running.execute(operator(), context)
    assert context["images"] == "nothing to do"
    assert aws.source_keys() == ["1.png"]
    assert aws.depth() == (1, 0)


def test_a_service_that_is_down_is_left_to_a_retry_which_finishes_what_the_first_left(
    aws: Aws, running: Run, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "client_config", lambda *_: Config(retries={"total_max_attempts": 1}))
    monkeypatch.setattr(DrainsQueue, "drain_waits", Waits(trouble=0))
    for number in range(3):
        aws.upload(f"{number}.png", picture)
    aws.fail("sqs", "ReceiveMessage", status=503, code="ServiceUnavailable", times=1)
    with pytest.raises(DrainError, match="ServiceUnavailable") as failure:
        running.execute(operator())
    assert not isinstance(failure.value, RefusedError)
    assert running.execute(operator())["labelled"] == 3
    assert aws.source_keys() == []
    assert sum(key.endswith(".png.json") for key in aws.final_keys()) == 3


def test_errors_of_the_queue_are_waited_out(aws: Aws, running: Run, picture: bytes) -> None:
    aws.upload("1.png", picture)
    aws.fail("sqs", "*", status=503, code="ServiceUnavailable", times=12)
    assert running.execute(operator())["labelled"] == 1


@pytest.mark.parametrize(
    ("service", "operation"), [("sqs", "*"), ("s3", "PutObject"), ("rekognition", "DetectCustomLabels")]
)
def test_killed_while_a_service_is_in_trouble_it_ends_within_airflows_five_seconds(
    aws: Aws, running: Run, picture: bytes, service: str, operation: str
) -> None:
    aws.upload("1.png", picture)
    aws.fail(service, operation, status=503, code="ServiceUnavailable")
    task = operator()
    ended: list[BaseException | Any] = []
    thread = threading.Thread(target=_collect, args=(ended, lambda: running.execute(task)))
    thread.start()
    time.sleep(6)  # at this time a client with many attempts is in a long back-off
    killed_at = time.monotonic()
    task.on_kill()
    thread.join(60)
    assert time.monotonic() - killed_at < 5 + BUSY
    assert isinstance(ended[0], AirflowException)


def test_a_repeated_task_finishes_what_was_refused(aws: Aws, running: Run, picture: bytes) -> None:
    for number in range(3):
        aws.upload(f"{number}.png", picture)
    aws.fail("s3", "PutObject", status=403, code="AccessDenied", key=".png.json")
    with pytest.raises(AirflowFailException, match="AccessDenied"):
        running.execute(operator())
    aws.control("faults", "DELETE")
    running.execute(operator())
    assert aws.source_keys() == []
    assert sum(key.endswith(".png.json") for key in aws.final_keys()) == 3


def test_a_task_killed_before_its_start_receives_nothing(aws: Aws, running: Run, picture: bytes) -> None:
    aws.upload("1.png", picture)
    task = operator()
    task.on_kill()
    with pytest.raises(AirflowException, match="stopped: nothing to do; its other messages are back in the queue"):
        running.execute(task)
    assert receives(aws) == [0]


def test_killed_at_work_it_ends_within_airflows_five_seconds_and_no_image_is_lost(
    aws: Aws, running: Run, picture: bytes
) -> None:
    images = 150
    for number in range(images):
        aws.upload(f"{number}.png", picture)
    task, context = operator(), running.context("analyse_images", map_index=0)
    ended: list[BaseException | Any] = []
    thread = threading.Thread(target=_collect, args=(ended, lambda: running.execute(task, context)))
    thread.start()
    wait_until(aws.final_keys, 60, "a first label document", every=0.02)
    killed_at = time.monotonic()
    task.on_kill()
    thread.join(60)
    assert time.monotonic() - killed_at < 5 + BUSY
    (error,) = ended
    assert isinstance(error, AirflowException)
    assert str(error) == f"the task was stopped: {context['images']}; its other messages are back in the queue"
    labelled = sum(key.endswith(".png.json") for key in aws.final_keys())
    assert 0 < labelled < images
    assert context["images"] == f"{labelled} labelled"
    assert len(aws.source_keys()) == images - labelled
    assert aws.depth() == (images - labelled, 0)


def _collect(ended: list[Any], work: Callable[[], Any]) -> None:
    try:
        ended.append(work())
    except AirflowException as error:
        ended.append(error)


def test_a_retry_labels_the_images_that_its_killed_predecessor_held(aws: Aws, running: Run, picture: bytes) -> None:
    aws.upload("1.png", picture)
    url = aws.settings.queue_url
    (held,) = aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=300, WaitTimeSeconds=1)["Messages"]
    context = running.context("analyse_images", map_index=0)
    assert running.execute(operator(), context)["labelled"] == 0
    aws.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=5)
    context["ti"].try_number = 2
    assert running.execute(operator(), context)["labelled"] == 1


def test_a_task_run_alone_names_the_tasks_that_it_needs(aws: Aws, run: Run) -> None:
    with pytest.raises(ValueError, match="this run has no plan: run the task together with plan_run"):
        run.execute(operator())
    run.plan(aws.settings)
    aws.put_model("RUNNING")
    with pytest.raises(ValueError, match="has not started the model: run the task together with start_model"):
        run.execute(operator())
