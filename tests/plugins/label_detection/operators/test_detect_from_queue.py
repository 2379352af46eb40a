"""The operator that labels the images announced on a queue, in a user's own DAG."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection.operators.images import DetectLabelsFromQueueOperator
from tests.plugins.conftest import Run, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws

pytestmark = pytest.mark.usefixtures("quick")
EMPTY = {"labelled": 0, "rejected": 0, "ignored": 0, "failed": 0, "unreadable": 0}


@pytest.fixture
def own(variables: Variables) -> Run:
    """A run of a user's own DAG, which has no plan."""
    return Run(dag_id="own_dag", run_id="manual__2026-11-27T06:00:00+00:00")


def operator(aws: Aws, **arguments: Any) -> DetectLabelsFromQueueOperator:
    """The operator with its arguments rendered for the test's queue, buckets and model."""
    own = ("queue_url", "source_bucket", "final_bucket", "model_arn")
    arguments = {name: getattr(aws.settings, name) for name in own} | arguments
    return DetectLabelsFromQueueOperator(task_id="detect", **arguments)


def documents(aws: Aws) -> list[dict[str, Any]]:
    return [json.loads(aws.read(key)) for key in aws.final_keys() if key.endswith(".png.json")]


def test_it_labels_what_waits_and_returns_the_tally(aws: Aws, own: Run, picture: bytes) -> None:
    aws.put_model("RUNNING")
    aws.exactly_once()  # because the tally counts deliveries
    for number in range(2):
        aws.upload(f"{number}.png", picture)
    aws.upload("notes.txt", b"not a picture")
    assert own.execute(operator(aws)) == EMPTY | {"labelled": 2, "rejected": 1}
    assert aws.source_keys() == []
    assert aws.depth() == (0, 0)
    for document in documents(aws):
        run, model = document["run"], document["model"]
        assert (run["dag_id"], run["run_id"], run["map_index"]) == (own.dag_id, own.run_id, 0)
        assert model == {"arn": aws.settings.model_arn, "min_confidence": 70.0}
    assert len(documents(aws)) == 2


@pytest.mark.parametrize(("given", "sent"), [("50", 50.0), ("model", None)], ids=["a number", "the model's"])
def test_min_confidence_is_sent_to_the_model(
    aws: Aws, own: Run, picture: bytes, given: str, sent: float | None
) -> None:
    aws.put_model("RUNNING")
    aws.upload("1.png", picture)
    own.execute(operator(aws, min_confidence=given))
    (document,) = documents(aws)
    assert document["model"]["min_confidence"] == sent


def test_an_empty_queue_ends_the_task_without_work(aws: Aws, own: Run) -> None:
    aws.put_model("RUNNING")
    assert own.execute(operator(aws)) == EMPTY
    assert aws.final_keys() == [], "the probe of the final bucket must leave no object"


def test_after_the_deadline_the_rest_stays_in_the_queue(aws: Aws, own: Run, picture: bytes) -> None:
    aws.put_model("RUNNING")
    aws.change_model(latency=0.3)
    for number in range(100):
        aws.upload(f"{number}.png", picture)
    began = time.monotonic()
    tally = own.execute(operator(aws, max_minutes=0.05))
    assert time.monotonic() - began < 30
    assert tally["labelled"] < 100
    assert len(aws.source_keys()) == 100 - tally["labelled"]


def test_mapped_tasks_share_a_queue_each_with_its_index(aws: Aws, own: Run, picture: bytes) -> None:
    aws.put_model("RUNNING")
    arguments = {name: getattr(aws.settings, name) for name in ("queue_url", "source_bucket", "final_bucket")}
    with DAG("own_dag", schedule=None):
        mapped = DetectLabelsFromQueueOperator.partial(
            task_id="detect", model_arn=aws.settings.model_arn, **arguments
        ).expand(min_confidence=[50, 60])
    for index, confidence in enumerate([50, 60]):
        aws.upload(f"{index}.png", picture)
        task: Any = mapped.unmap({"min_confidence": confidence})
        own.execute(task, own.context("detect", map_index=index))
    found = sorted((doc["run"]["map_index"], doc["model"]["min_confidence"]) for doc in documents(aws))
    assert found == [(0, 50.0), (1, 60.0)]


@pytest.mark.parametrize("status", ["STOPPED", "STARTING", "EXPIRED"])
def test_without_a_running_model_it_fails_without_a_retry_and_touches_nothing(
    aws: Aws, own: Run, picture: bytes, status: str
) -> None:
    aws.put_model(status)
    aws.upload("1.png", picture)
    with pytest.raises(AirflowFailException, match=rf"the model is {status}.*, not running: start the model first"):
        own.execute(operator(aws))
    assert aws.source_keys() == ["1.png"]
    assert aws.depth() == (1, 0)


def test_a_task_killed_before_its_start_receives_nothing(aws: Aws, own: Run, picture: bytes) -> None:
    aws.put_model("RUNNING")
    aws.upload("1.png", picture)
    task = operator(aws)
    task.on_kill()
    with pytest.raises(AirflowException, match="stopped: nothing to do; its other messages are back in the queue"):
        own.execute(task)
    assert aws.depth() == (1, 0)


NO_BUCKET = "the-bucket-of-nobody"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"queue_url": "parts"},
            r"^argument queue_url is wrong: must be the URL of an SQS queue.*; set the argument",
        ),
        ({"queue_url": None}, r"^argument queue_url is missing: give the argument queue_url"),
        ({"source_bucket": "s3://parts"}, r"^argument source_bucket is 's3://parts': must be the name of an S3 bucket"),
        ({"model_arn": "parts"}, r"^argument model_arn is wrong: must be the ARN of a model"),
        ({"min_confidence": 101}, r"^argument min_confidence is 101: .*less than or equal to 100"),
        ({"max_minutes": 0}, r"^argument max_minutes is 0: .*greater than or equal to 0.01; set the argument max_min"),
        ({"images_per_second": -1}, r"^argument images_per_second is -1: .*; set the argument images_per_second"),
        ({"max_receives": "x"}, r"^argument max_receives is 'x'"),
        ({"final_storage_class": "GLACIER"}, r"^argument final_storage_class is 'GLACIER': must be empty"),
        ({"final_bucket": NO_BUCKET}, rf"^argument final_bucket: the bucket '{NO_BUCKET}' does not exist"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_named(aws: Aws, own: Run, arguments: dict[str, Any], words: str) -> None:
    aws.put_model("RUNNING")
    with pytest.raises(AirflowFailException, match=words):
        own.execute(operator(aws, **arguments))


def test_one_bucket_for_both_is_refused_by_the_arguments_name(aws: Aws, own: Run) -> None:
    aws.put_model("RUNNING")
    with pytest.raises(AirflowFailException, match=r"^argument final_bucket is also the source bucket"):
        own.execute(operator(aws, final_bucket=aws.settings.source_bucket))


@pytest.mark.parametrize("given", [["leaf", "stem"], "leaf,stem"], ids=["a list", "a rendered template"])
def test_class_names_are_a_list_or_a_text_with_commas(aws: Aws, own: Run, given: Any) -> None:
    aws.put_model("RUNNING")
    task = operator(aws, class_names=given)
    own.execute(task)
    assert task.settings.class_names == ("leaf", "stem")


def test_a_confidence_that_is_probably_a_mistake_is_a_warning(
    aws: Aws, own: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.put_model("RUNNING")
    own.execute(operator(aws, min_confidence=0.7))
    lines = [line for line in capsys.readouterr().out.splitlines() if "[warning" in line]
    assert any("0.7 keeps nearly all labels" in line for line in lines)


def test_every_argument_is_a_template(aws: Aws) -> None:
    arguments: dict[str, Any] = dict.fromkeys(DetectLabelsFromQueueOperator.template_fields, "{{ params.x }}")
    task = DetectLabelsFromQueueOperator(task_id="detect", **arguments)
    task.render_template_fields({"params": {"x": "y"}})
    assert {getattr(task, name) for name in arguments} == {"y"}
