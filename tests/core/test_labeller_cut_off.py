"""One image, one outcome: for every interruption between two calls, and for every failing service."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from label_detection_core.labelling.keys import REJECTED, final_key
from label_detection_core.labelling.labeller import ImageRefusedError, Outcome
from label_detection_core.labelling.labels import Anomaly, Detection, Error, ModelInfo
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeLabeller
from tests.core.images import LABELS, TEXT, detect, outcomes, upload
from tests.model_calls import KINDS

kinds = pytest.mark.kinds(*KINDS)

#: The check for the other outcome is a HEAD of the rejection when the image is labelled, and a GET of the document
#: when it is rejected. The HEAD before it reads the storage class for the copy.
WAY = ["detect", "head_object", "copy_object", "put_object", "look for the other outcome", "delete_object"]


class KilledError(BaseException):
    """A stand-in for kill -9: nothing catches it."""


class Killed:
    """An S3 client that dies right before or right after a call; `of`: prefix of the key for which it dies."""

    def __init__(self, s3: Any, step: str, when: str, of: str = "") -> None:
        self._s3, self._step, self._when, self._of = s3, step, when, of

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._s3, name)
        if name != self._step:
            return call

        def killed(**request: Any) -> Any:
            if not request["Key"].startswith(self._of):
                return call(**request)
            if self._when == "after":
                with contextlib.suppress(ClientError):  # a call that finds nothing counts as answered, too
                    call(**request)
            raise KilledError

        return killed


@kinds
@pytest.mark.parametrize("kind", ["labelled", "rejected"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", WAY)
def test_an_interrupted_image_is_finished_by_the_next_delivery(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, step: str, when: str, kind: str
) -> None:
    of = ""
    if step == "look for the other outcome":
        step, of = ("get_object", "") if kind == "rejected" else ("head_object", REJECTED)
    image = upload(aws, "a.png", picture if kind == "labelled" else TEXT)

    def dying_detect(image: ImageRef, confidence: float) -> Detection:
        if when == "after":
            with contextlib.suppress(ImageRefusedError):
                make_labeller().detect(image, confidence)
        raise KilledError

    parts = {"detect": dying_detect} if step == "detect" else {"s3": Killed(aws.s3, step, when, of)}
    with pytest.raises(KilledError):
        make_labeller(**parts).label(image, 1)
    assert set(outcomes(aws, image)) & {"pending", kind}, "the image is lost"
    make_labeller().label(image, 2)
    assert outcomes(aws, image) == [kind]


@kinds
def test_a_picture_that_was_labelled_once_and_is_refused_now_is_retried(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)

    with pytest.raises(KilledError):
        make_labeller(s3=Killed(aws.s3, "copy_object", "after")).label(image, 1)
    assert make_labeller(detect=refuse).label(image, 6).outcome is Outcome.FAILED
    assert outcomes(aws, image) == ["pending"]
    make_labeller().label(image, 7)
    assert outcomes(aws, image) == ["labelled"]


def test_a_picture_that_is_always_refused_is_rejected_at_the_last_delivery(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)

    with pytest.raises(KilledError):
        make_labeller(s3=Killed(aws.s3, "copy_object", "after")).label(image, 1)
    labeller = make_labeller(detect=refuse, max_receives=5)
    assert labeller.label(image, 49).outcome is Outcome.FAILED
    assert labeller.label(image, 50).outcome is Outcome.REJECTED


@pytest.mark.parametrize("order", [["labels", "refuses"], ["refuses", "labels"]], ids=" then ".join)
def test_labelled_wins_when_two_deliveries_disagree(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, order: list[str]
) -> None:
    image = upload(aws, "a.png", picture)

    for opinion in order:  # each delivery is interrupted before it deletes the source
        dying = make_labeller(
            s3=Killed(aws.s3, "delete_object", "before"), detect=detect if opinion == "labels" else refuse
        )
        with pytest.raises(KilledError):
            dying.label(image, 1)
    make_labeller(detect=refuse).label(image, 2)
    assert outcomes(aws, image) == ["labelled"]


def test_a_redelivered_image_that_was_labelled_is_not_sent_to_the_model_again(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    with pytest.raises(KilledError):
        make_labeller(s3=Killed(aws.s3, "delete_object", "before"), detect=detect).label(image, 1)
    before = aws.model()["detects"]
    result = make_labeller().label(image, 2)
    assert (result.outcome, result.labels) == (Outcome.LABELLED, LABELS)
    assert aws.model()["detects"] == before
    assert outcomes(aws, image) == ["labelled"]


@kinds
@pytest.mark.parametrize("service", ["the model's", "s3"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(503, "SlowDown", id="503"),
        pytest.param(500, "InternalServerError", id="500"),
        pytest.param(400, "ThrottlingException", id="throttled"),
    ],
)
def test_an_error_of_a_service_returns_the_image_to_the_queue(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, service: str, status: int, code: str, quick_retries: None
) -> None:
    image = upload(aws, "a.png", picture)
    if service == "s3":
        aws.fail(service, "CopyObject", status=status, code=code)
    else:
        aws.fail_model("detect", status=status, code=code)
    result = make_labeller().label(image, 1)
    assert (result.outcome, outcomes(aws, image)) == (Outcome.FAILED, ["pending"])
    assert result.error is not None
    assert result.error.code == code
    aws.control("faults", "DELETE")
    make_labeller().label(image, 2)
    assert outcomes(aws, image) == ["labelled"]


def test_an_object_the_service_cannot_read_is_tried_again_and_not_lost(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    aws.fail("rekognition", "DetectCustomLabels", status=400, code="InvalidS3ObjectException", message="no access")
    assert make_labeller().label(image, 1).outcome is Outcome.FAILED
    assert outcomes(aws, image) == ["pending"]


@kinds
def test_a_model_that_refuses_the_caller_or_is_off_is_not_the_images_fault(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    labeller = make_labeller()
    aws.fail_model("detect", status=403, code="AccessDeniedException", times=1)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        labeller.label(image, 99)
    aws.put_model("STOPPED")
    with pytest.raises(ClientError):
        labeller.label(image, 99)
    assert outcomes(aws, image) == ["pending"]
    aws.put_model("RUNNING")
    labeller.label(image, 99)
    assert outcomes(aws, image) == ["labelled"]


@pytest.mark.parametrize("operation", ["CopyObject", "PutObject", "HeadObject"])
def test_a_final_bucket_that_refuses_a_call_is_no_images_fault_and_nothing_is_lost(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, operation: str
) -> None:
    image = upload(aws, "a.png", picture)
    aws.fail("s3", operation, status=403, code="AccessDenied", key=aws.settings.final_bucket)
    with pytest.raises(ClientError, match=operation):
        make_labeller().label(image, 99)
    aws.control("faults", "DELETE")
    assert set(outcomes(aws, image)) & {"pending", "labelled"}, "the image is lost"
    make_labeller().label(image, 99)
    assert outcomes(aws, image) == ["labelled"]


def test_an_event_without_an_etag_means_the_present_version(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    make_labeller().label(ImageRef(image.bucket, image.key), 1)
    assert outcomes(aws, image) == ["labelled"]


def test_a_rejection_that_was_cut_off_leaves_nothing_when_the_image_is_labelled_after_all(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "a.png", picture)

    dying = make_labeller(s3=Killed(aws.s3, "put_object", "before"), detect=refuse)
    with pytest.raises(KilledError):
        dying.label(image, 1)
    assert any(key.startswith(REJECTED) for key in aws.final_keys())
    make_labeller().label(image, 2)
    assert sorted(aws.final_keys()) == sorted([final_key(image), f"{final_key(image)}.json"])


def refuse(*_: Any) -> Detection:
    raise ImageRefusedError(Error("InvalidImageFormatException", "no"))


@pytest.mark.parametrize("opinion", ["labels", "refuses"])
@pytest.mark.parametrize("fate", ["overwritten", "gone"])
def test_a_copy_without_document_is_finished_though_its_source_is_gone(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, fate: str, opinion: str
) -> None:
    image = upload(aws, "a.png", picture)
    asked = detect if opinion == "labels" else refuse
    with pytest.raises(KilledError):
        make_labeller(s3=Killed(aws.s3, "put_object", "before"), detect=asked).label(image, 1)
    if fate == "overwritten":
        aws.upload("a.png", picture + b"new")
    else:
        aws.s3.delete_object(Bucket=image.bucket, Key="a.png")
    make_labeller(detect=asked).label(image, 2)
    key = final_key(image, "" if opinion == "labels" else REJECTED)
    assert sorted(aws.final_keys()) == [key, f"{key}.json"]
    assert aws.read(key) == picture
    assert aws.source_keys() == (["a.png"] if fate == "overwritten" else [])


@pytest.mark.parametrize("trouble", ["its look fails", "it is killed before its look"])
def test_a_rejection_beside_a_labelled_image_is_removed_by_a_later_delivery(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, trouble: str
) -> None:
    """Two deliveries disagree, and the source is gone before either has removed the rejection."""
    image = upload(aws, "a.png", picture)
    with pytest.raises(KilledError):
        make_labeller(s3=Killed(aws.s3, "get_object", "before"), detect=refuse).label(image, 1)
    if trouble == "its look fails":
        aws.fail("s3", "HeadObject", status=503, code="SlowDown", key=REJECTED)
        assert make_labeller(detect=detect).label(image, 1).outcome is Outcome.FAILED
        aws.control("faults", "DELETE")
    else:
        with pytest.raises(KilledError):
            make_labeller(s3=Killed(aws.s3, "head_object", "before", REJECTED), detect=detect).label(image, 1)
    assert aws.source_keys() == []
    make_labeller(detect=refuse, model=ModelInfo("arn:aws:another", 50)).label(image, 2)
    assert sorted(aws.final_keys()) == sorted([final_key(image), f"{final_key(image)}.json"])


def test_a_rejection_that_begins_while_the_image_is_labelled_leaves_nothing(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    """The second delivery copies after all writes of the first one, fails at its check, and never returns."""
    image = upload(aws, "a.png", picture)

    class RejectedJustBeforeTheEnd:
        def __getattr__(self, name: str) -> Any:
            return getattr(aws.s3, name)

        def delete_object(self, **request: Any) -> Any:
            if request["Key"] == "a.png":
                aws.fail("s3", "GetObject", status=503, code="SlowDown", times=1)
                assert make_labeller(detect=refuse).label(image, 1).outcome is Outcome.FAILED
            return aws.s3.delete_object(**request)

    make_labeller(s3=RejectedJustBeforeTheEnd(), detect=detect).label(image, 1)
    assert sorted(aws.final_keys()) == sorted([final_key(image), f"{final_key(image)}.json"])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"note": "mine"}', id="another program's document"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"text", id="no JSON"),
    ],
)
def test_a_document_that_is_not_ours_is_overwritten(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, body: bytes
) -> None:
    image = upload(aws, "a.png", picture)
    key = f"{final_key(image)}.json"
    aws.s3.put_object(Bucket=aws.settings.final_bucket, Key=key, Body=body)
    assert make_labeller().label(image, 2).outcome is Outcome.LABELLED
    assert json.loads(aws.read(key))["source"]["key"] == "a.png"


def test_a_redelivered_image_keeps_its_documents_anomaly(aws: Aws, make_labeller: MakeLabeller, picture: bytes) -> None:
    image = upload(aws, "a.png", picture)
    found = Detection(LABELS, Anomaly(True, 93.0))
    with pytest.raises(KilledError):
        make_labeller(s3=Killed(aws.s3, "delete_object", "before"), detect=lambda *_: found).label(image, 1)
    assert make_labeller(detect=refuse).label(image, 2).anomaly == {"IsAnomalous": True, "Confidence": 93.0}


def test_labels_of_another_model_are_not_reused(aws: Aws, make_labeller: MakeLabeller, picture: bytes) -> None:
    image = upload(aws, "a.png", picture)
    with pytest.raises(KilledError):
        make_labeller(
            s3=Killed(aws.s3, "delete_object", "before"), detect=detect, model=ModelInfo("arn:aws:old", 50)
        ).label(image, 1)
    assert make_labeller().label(image, 2).labels == []
