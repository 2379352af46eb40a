"""The demo's checks: a good outcome passes, and each error is noticed. Uses a real S3 over HTTP."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from moto.server import ThreadedMotoServer

from demo.aftermath import gather
from demo.outcome import check
from demo.photographs import Box, Truth
from demo.pictures import Picture, Refusal
from sandbox.aws_clients import s3_client, sqs_client

SOURCE, FINAL, RUN = "the-source", "the-final", "manual__1"
CUP = Truth("cup", Box(0.2, 0.2, 0.5, 0.5))
ODD = Picture(
    "line 3/1+1 é.png", b"\x89PNG cup", "image/png", (CUP,), metadata={"camera": "3"}, tags={"shift": "night"}
)
TWICE = Picture("twice.jpg", b"\xff\xd8 twice", "image/jpeg", (CUP,), uploads=2)
EMPTY = Picture("empty.png", b"\x89PNG nothing", "image/png")
LONGEST = Picture("猫" * 339 + "x.jpeg", b"\xff\xd8 long", "image/jpeg")
BAD = Picture("bad/words.png", b"words", "image/png", refusal=Refusal.FORMAT)
UPLOADED = (ODD, TWICE, EMPTY, LONGEST, BAD)
MODEL = {
    "arn": "arn:aws:rekognition:x",
    "says": "STOPPED",
    "status": "STOPPED",
    "history": [{"status": s} for s in ("TRAINING_COMPLETED", "STARTING", "RUNNING", "STOPPING", "STOPPED")],
    "on_seconds": 30.0,
}


def final_key(picture: Picture) -> str:
    stem, dot, suffix = picture.key.rpartition(".")
    tail = f"-{hashlib.sha256(picture.key.encode()).hexdigest()[:10]}{dot}{suffix}"
    prefix = "" if picture.is_good else "rejected/"
    room = 1024 - len((prefix + tail + ".json").encode())
    return prefix + stem.encode()[:room].decode(errors="ignore") + tail


def document(picture: Picture) -> dict[str, Any]:
    box = {"Left": 0.21, "Top": 0.2, "Width": 0.5, "Height": 0.5}
    label = {"Name": "cup", "Confidence": 97.1, "Geometry": {"BoundingBox": box}}
    outcome: dict[str, Any] = {"labels": [label for _ in picture.truths]}
    if picture.refusal:
        outcome = {"error": {"code": str(picture.refusal), "message": "no"}}
    return {
        "schema": "label-detection/1",
        "source": {"bucket": SOURCE, "key": picture.key, "etag": "0" * 32, "version_id": None, "size": 7},
        "image": {"bucket": FINAL, "key": final_key(picture)},
        "model": {"arn": "arn:aws:rekognition:x", "min_confidence": 70.0},
        **outcome,
        "run": {"dag_id": "d", "run_id": RUN, "map_index": 0, "labelled_at": "2026-11-22T06:00:00Z"},
    }


def good_report() -> dict[str, Any]:
    return {
        "images": {"labelled": 4, "rejected": 1, "ignored": 1, "failed": 0},
        "labels": {"cup": 2},
        "rejections": {"InvalidImageFormatException": 1},
        "queue": {"visible": 0, "in_flight": 0, "delayed": 0},
        "model": {"minutes": 0.55, "cost_usd": 0.04, "units": 1},
        "problems": [],
    }


@dataclass
class CheckedAws:
    """Everything that the checks look at."""

    s3: Any
    sqs: Any
    queue_url: str
    dead_letters_url: str
    model: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(MODEL)))
    run_state: str = "success"
    second_deliveries: int = 0

    def put(self, key: str, body: bytes, picture: Picture = EMPTY, bucket: str = FINAL) -> None:
        self.s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=body,
            ContentType=picture.content_type,
            Metadata=picture.metadata,
            Tagging=urlencode(picture.tags),
        )

    def put_json(self, key: str, content: Any) -> None:
        self.put(key, json.dumps(content).encode())

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=FINAL, Key=key)

    def change_document(self, picture: Picture, change: Callable[[dict[str, Any]], Any]) -> None:
        content = document(picture)
        change(content)
        self.put_json(final_key(picture) + ".json", content)

    def change_report(self, change: Callable[[dict[str, Any]], Any]) -> None:
        content = good_report()
        change(content)
        self.put_json(f"runs/{RUN}/report.json", content)

    def problems(self, uploaded: Sequence[Picture] = UPLOADED) -> list[str]:
        settings = {"queue_url": self.queue_url, "source_bucket": SOURCE, "final_bucket": FINAL}
        after = gather(self.s3, self.sqs, settings, self.model, RUN, self.run_state, self.second_deliveries)
        return list(check(uploaded, after).problems)


@pytest.fixture(scope="module")
def aws() -> Iterator[tuple[str, Any, Any]]:
    """The URL of an AWS, with clients of its S3 and SQS."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    yield environment["AWS_ENDPOINT_URL"], s3_client(environment), sqs_client(environment)
    server.stop()


@pytest.fixture
def place(aws: tuple[str, Any, Any]) -> CheckedAws:
    """The state after a good run."""
    endpoint, s3, sqs = aws
    requests.post(f"{endpoint}/moto-api/reset", timeout=10)
    for bucket in (SOURCE, FINAL):
        s3.create_bucket(Bucket=bucket)
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    redrive = {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead", "maxReceiveCount": 3}
    queue = sqs.create_queue(QueueName="queue", Attributes={"RedrivePolicy": json.dumps(redrive)})["QueueUrl"]
    there = CheckedAws(s3, sqs, queue, dead)
    for picture in UPLOADED:
        there.put(final_key(picture), picture.body, picture)
        there.put_json(final_key(picture) + ".json", document(picture))
    there.put_json(f"runs/{RUN}/report.json", good_report())
    there.put(f"runs/{RUN}/report.html", b"<p>")
    there.put(f"runs/{RUN}/images/000.jsonl", b"{}")
    return there


def test_a_good_outcome_has_no_problems(place: CheckedAws) -> None:
    assert place.problems() == []


@pytest.mark.parametrize(
    ("counted", "problems"),
    [
        pytest.param(0, 0, id="during the work on the first"),
        pytest.param(1, 0, id="after the first"),
        pytest.param(2, 1, id="counted twice"),
    ],
)
def test_a_message_that_the_queue_delivered_twice_is_one_more_in_the_report_or_none(
    place: CheckedAws, counted: int, problems: int
) -> None:
    place.second_deliveries = 1
    place.change_report(lambda report: report["images"].update(ignored=report["images"]["ignored"] + counted))
    assert len(place.problems()) == problems


def test_a_second_event_may_be_labelled_again(place: CheckedAws) -> None:
    place.change_report(lambda report: report["images"].update(labelled=5, ignored=0))
    assert place.problems() == []


def _other_box(content: dict[str, Any]) -> None:
    content["labels"][0]["Geometry"]["BoundingBox"]["Left"] = 0.9


def _lose(place: CheckedAws) -> None:
    for suffix in ("", ".json"):
        place.delete(final_key(EMPTY) + suffix)


def _move(place: CheckedAws, picture: Picture, key: str) -> None:
    """Put the picture and its document under a wrong key that the document names."""
    for suffix in ("", ".json"):
        place.delete(final_key(picture) + suffix)
    place.put(key, picture.body, picture)
    place.put_json(key + ".json", {**document(picture), "image": {"bucket": FINAL, "key": key}})


WRONG: dict[str, tuple[Callable[[CheckedAws], Any], str]] = {
    "a picture is lost": (
        _lose,
        "empty.png: lost",
    ),
    "a document is lost": (lambda p: p.delete(final_key(EMPTY) + ".json"), "empty.png: lost"),
    "an image is lost": (lambda p: p.delete(final_key(EMPTY)), "empty.png: it has a document, but its image"),
    "a picture is there twice": (
        lambda p: p.put_json("empty-0123456789.png.json", document(EMPTY)),
        "empty.png: has 2 documents",
    ),
    "a picture is labelled and rejected": (
        lambda p: p.put_json(f"rejected/{final_key(EMPTY)}.json", document(EMPTY)),
        "empty.png: has 2 documents",
    ),
    "the key has no id": (lambda p: _move(p, EMPTY, "empty.png"), "its final key 'empty.png'"),
    "the id is too short": (lambda p: _move(p, EMPTY, "empty-012345678.png"), "its final key"),
    "the key was decoded": (lambda p: _move(p, ODD, "line 3/1 1 é-0123456789.png"), "its final key"),
    "the key was cut without need": (lambda p: _move(p, ODD, "line 3/1+-0123456789.png"), "its final key"),
    "the suffix is gone": (lambda p: _move(p, ODD, "line 3/1+1 é-0123456789"), "its final key"),
    "a good picture lies under rejected": (
        lambda p: _move(p, EMPTY, "rejected/empty-0123456789.png"),
        "empty.png: its document is in the wrong folder: rejected/",
    ),
    "a bad picture lies among the good": (
        lambda p: _move(p, BAD, "bad/words-0123456789.png"),
        "bad/words.png: its document is in the wrong folder: bad/",
    ),
    "the bytes are others": (
        lambda p: p.put(final_key(ODD), b"other", ODD),
        "its copy has 5 bytes that differ from the 8 uploaded ones",
    ),
    "the content type is lost": (lambda p: p.put(final_key(TWICE), TWICE.body, EMPTY), "content type image/png"),
    "the metadata are lost": (
        lambda p: p.put(final_key(ODD), ODD.body, Picture("", b"", "image/png", tags=ODD.tags)),
        "metadata {}",
    ),
    "the tags are lost": (
        lambda p: p.put(final_key(ODD), ODD.body, Picture("", b"", "image/png", metadata=ODD.metadata)),
        "tags {}",
    ),
    "a document is not JSON": (lambda p: p.put(final_key(EMPTY) + ".json", b"{"), "not JSON"),
    "a document breaks the schema": (
        lambda p: p.change_document(EMPTY, lambda d: d.pop("model")),
        f"{final_key(EMPTY)}.json: ",
    ),
    "a document has a size as text": (
        lambda p: p.change_document(EMPTY, lambda d: d["source"].update(size="7")),
        f"{final_key(EMPTY)}.json: ",
    ),
    "a document names another image": (
        lambda p: p.change_document(EMPTY, lambda d: d["image"].update(key="other.png")),
        "names another image",
    ),
    "a good picture is rejected": (
        lambda p: p.change_document(EMPTY, lambda d: [d.pop("labels"), d.update(error={"code": "X", "message": ""})]),
        "empty.png: rejected with X, though it is a good picture",
    ),
    "a bad picture is labelled": (
        lambda p: p.change_document(BAD, lambda d: [d.pop("error"), d.update(labels=[])]),
        "bad/words.png: labelled, though it should be rejected",
    ),
    "a bad picture has the wrong code": (
        lambda p: p.change_document(BAD, lambda d: d["error"].update(code="ThrottlingException")),
        "bad/words.png: rejected with ThrottlingException",
    ),
    "a label is found where none is": (
        lambda p: p.change_document(EMPTY, lambda d: d.update(labels=document(ODD)["labels"])),
        "empty.png: cup was found in a picture that shows none",
    ),
    "another model has labelled it": (
        lambda p: p.change_document(EMPTY, lambda d: d["model"].update(arn="arn:aws:sagemaker:y")),
        "empty.png: its document names another model: arn:aws:sagemaker:y",
    ),
    "a model that does not look for anomalies speaks of one": (
        lambda p: p.change_document(EMPTY, lambda d: d.update(anomaly={"IsAnomalous": True, "Confidence": 90.0})),
        "empty.png: it was judged anomalous, and is neither normal nor anomalous",
    ),
    "an object is missed": (
        lambda p: p.change_document(ODD, lambda d: d.update(labels=[])),
        "1 of 2 objects not found at their place: cup in line 3/1+1 é.png",
    ),
    "an object is found elsewhere": (lambda p: p.change_document(ODD, _other_box), "1 of 2 objects not found"),
    "a stray object": (lambda p: p.put("stray.png", b"?"), "stray.png: in the final bucket without a document"),
    "a stray document": (
        lambda p: p.put_json("s-0123456789.png.json", {**document(EMPTY), "source": {"key": "s.png"}}),
        "a picture that was not uploaded",
    ),
    "the source is not empty": (
        lambda p: p.put("empty.png", b"?", bucket=SOURCE),
        "empty.png: still in the source bucket",
    ),
    "a message waits": (
        lambda p: p.sqs.send_message(QueueUrl=p.queue_url, MessageBody="x"),
        "the queue is not empty: 1 messages waiting, 0 in flight",
    ),
    "a message is in flight": (
        lambda p: [
            p.sqs.send_message(QueueUrl=p.queue_url, MessageBody="x"),
            p.sqs.receive_message(QueueUrl=p.queue_url),
        ],
        "the queue is not empty: 0 messages waiting, 1 in flight",
    ),
    "a dead letter": (
        lambda p: p.sqs.send_message(QueueUrl=p.dead_letters_url, MessageBody="x"),
        "the dead-letter queue is not empty",
    ),
    "the model still runs": (lambda p: p.model.update(status="RUNNING"), "THE MODEL IS NOT OFF"),
    "the model is only stopping": (lambda p: p.model.update(status="STOPPING"), "THE MODEL IS NOT OFF"),
    "the model never ran": (lambda p: p.model.update(history=p.model["history"][:2]), "the model never ran"),
    "the model was not stopped": (lambda p: p.model.update(history=p.model["history"][:3]), "was not stopped"),
    "the run failed": (lambda p: setattr(p, "run_state", "failed"), "the run is failed"),
    "there is no report": (lambda p: p.delete(f"runs/{RUN}/report.json"), "there is no report.json"),
    "the report counts too few": (
        lambda p: p.change_report(lambda r: r["images"].update(labelled=3, ignored=2)),
        "report.json has 3 labelled",
    ),
    "the report counts too many": (
        lambda p: p.change_report(lambda r: r["images"].update(labelled=6)),
        "report.json has 7 for labelled and ignored",
    ),
    "the report counts rejections wrong": (
        lambda p: p.change_report(lambda r: r["images"].update(rejected=0)),
        "report.json has 0 for rejected",
    ),
    "the report names other codes": (
        lambda p: p.change_report(lambda r: r.update(rejections={"Other": 1})),
        "for rejections",
    ),
    "the report counts labels wrong": (lambda p: p.change_report(lambda r: r["labels"].update(cup=9)), "for labels"),
    "the report leaves messages": (lambda p: p.change_report(lambda r: r["queue"].update(visible=2)), "for queue"),
    "the report has problems": (lambda p: p.change_report(lambda r: r["problems"].append("x")), "for problems"),
    "the report bills too little": (
        lambda p: p.change_report(lambda r: r["model"].update(minutes=0.1)),
        "report.json has 0.1 minutes for the model, which was on for 0.50",
    ),
    "the report bills too much": (
        lambda p: p.change_report(lambda r: r["model"].update(minutes=9.0)),
        "report.json has 9.0 minutes for the model",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named(place: CheckedAws, wrong: str) -> None:
    tamper, words = WRONG[wrong]
    tamper(place)
    problems = place.problems()
    assert any(words in problem for problem in problems), problems


JUDGED = tuple(replace(p, anomalous=bool(p.truths)) if p.is_good else p for p in UPLOADED)


@pytest.fixture
def judged(place: CheckedAws) -> CheckedAws:
    """The state after a good run with a model for anomalies: every picture with a cup is anomalous."""
    for picture in JUDGED:
        if picture.is_good:
            _judge(place, picture, picture.anomalous, picture)
    return place


def _judge(place: CheckedAws, picture: Picture, is_anomalous: bool | None, labels_of: Picture) -> None:
    said = {"IsAnomalous": is_anomalous, "Confidence": 97.1}
    place.change_document(picture, lambda d: d.update(anomaly=said, labels=document(labels_of)["labels"]))


def test_a_model_that_is_right_about_each_anomaly_has_no_problems(judged: CheckedAws) -> None:
    assert judged.problems(JUDGED) == []


def test_a_defect_that_is_not_known_may_be_anywhere(judged: CheckedAws) -> None:
    uploaded = [replace(p, anomalous=True, where_known=False) if p is JUDGED[2] else p for p in JUDGED]
    _judge(judged, EMPTY, True, ODD)
    judged.change_report(lambda report: report["labels"].update(cup=3))
    assert judged.problems(uploaded) == []


@pytest.mark.parametrize(
    ("picture", "is_anomalous", "says"),
    [
        pytest.param(EMPTY, True, "empty.png: it was judged anomalous, and is normal", id="a false alarm"),
        pytest.param(TWICE, False, "twice.jpg: it was judged normal, and is anomalous", id="a missed defect"),
    ],
)
def test_a_model_that_is_wrong_about_an_anomaly_is_named(
    judged: CheckedAws, picture: Picture, is_anomalous: bool, says: str
) -> None:
    _judge(judged, picture, is_anomalous, picture)
    assert says in judged.problems(JUDGED)


def test_a_picture_without_a_verdict_is_named(judged: CheckedAws) -> None:
    judged.change_document(EMPTY, lambda d: None)
    assert "empty.png: it was judged neither normal nor anomalous, and is normal" in judged.problems(JUDGED)


def test_a_temporary_error_must_have_been_retried(place: CheckedAws) -> None:
    uploaded = [replace(p, refusal=Refusal.MODEL) if p is BAD else p for p in UPLOADED]
    place.change_document(BAD, lambda d: d["error"].update(code="ModelError"))
    place.change_report(lambda report: report.update(rejections={"ModelError": 1}))
    (problem,) = place.problems(uploaded)
    assert "no picture that was tried again" in problem
    place.change_report(lambda r: [r.update(rejections={"ModelError": 1}), r["images"].update(failed=4)])
    assert place.problems(uploaded) == []
