"""A refused call: whether the image, or the pipeline's permissions and requests are the cause."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from label_detection_core.labelling.doubts import ENOUGH, Doubt
from label_detection_core.labelling.labeller import (
    ImageRefusedError,
    ImageUnreadableError,
    Labeller,
    Outcome,
    Result,
    TryAgainError,
)
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeLabeller
from tests.core.images import FOUND, TEXT, detect, outcomes, upload
from tests.core.refusals import TO_ALL, kinds_of_refusals, refuse


def fails_at_odd(error: Exception) -> Any:
    """A model that raises an error for images whose key begins with `odd`."""

    def looks(image: ImageRef, _: float) -> Detection:
        if image.key.startswith("odd"):
            raise error
        return FOUND

    return looks


CANNOT_READ = ImageUnreadableError(Error("InvalidS3ObjectException", "Unable to get object metadata from S3"))
WRONG = ImageRefusedError(Error("InvalidParameterException", "Request has invalid parameters"), doubtful=True)
_DENIED: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
#: Where the refusal appears: not at the model, at a model that reads from S3, at a hook that sends the bytes.
READERS = {
    "the copy": detect,
    "the model's service": fails_at_odd(CANNOT_READ),
    "the model's hook": fails_at_odd(ClientError(_DENIED, "GetObject")),
}
reads = pytest.mark.parametrize("read_by", READERS)


@reads
@kinds_of_refusals
def test_an_object_that_s3_refuses_is_unreadable_once_another_image_was_labelled(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, kind: str, read_by: str
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    refuse(aws, kind)
    labeller = make_labeller(detect=READERS[read_by], max_receives=3)
    assert labeller.label(good, 1).outcome is Outcome.LABELLED
    assert labeller.label(odd, 2).outcome is Outcome.FAILED
    result = labeller.label(odd, 3)
    assert (result.outcome, result.source) == (Outcome.UNREADABLE, odd)
    assert result.error
    assert "CopyObject" in result.error.message or "GetObject" in result.error.message
    assert (outcomes(aws, odd), len(aws.final_keys())) == (["pending"], 2)


@kinds_of_refusals
def test_before_any_label_a_refused_object_is_retried_soon_and_counted_if_our_permission_may_be_the_cause(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, kind: str
) -> None:
    odd = upload(aws, "odd.png", picture)
    refuse(aws, kind)
    labeller = make_labeller(detect=detect, max_receives=3)
    result = labeller.label(odd, 2)
    assert (result.outcome, result.is_own) == (Outcome.FAILED, True)
    assert result.retry_seconds <= 8
    assert labeller.doubts.counted(1) == ([] if kind in TO_ALL else [Doubt.OBJECT])
    wanted = Outcome.UNREADABLE if kind in TO_ALL else Outcome.FAILED
    assert make_labeller(detect=detect, max_receives=3).label(odd, 4).outcome is wanted


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        pytest.param({"key": "/line 3/odd.png"}, Outcome.UNREADABLE, id="this object alone"),
        pytest.param({"key": "/"}, Outcome.FAILED, id="every key, also one without an object"),
        pytest.param({"key": "/line 3/odd.png", "message": "no kms:Decrypt"}, Outcome.FAILED, id="a KMS key"),
    ],
)
def test_without_other_objects_a_read_of_a_missing_key_shows_the_cause_at_the_second_delivery(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, fault: dict[str, str], outcome: Outcome
) -> None:
    odd = upload(aws, "line 3/odd.png", picture)
    for operation in ("HeadObject", "GetObject"):
        where = {"key": odd.bucket + fault["key"]}
        aws.fail("s3", operation, status=403, code="AccessDenied", **(fault | where))
    labeller = make_labeller(detect=detect, max_receives=3)
    assert labeller.label(odd, 3).outcome is Outcome.FAILED
    assert labeller.label(odd, 4).outcome is outcome
    assert aws.source_keys() == ["line 3/odd.png"]


def test_another_readable_object_shows_that_the_refused_object_is_the_cause(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    odd = upload(aws, "odd.png", picture)
    upload(aws, "good.png", picture)
    refuse(aws, "another account's")
    labeller = make_labeller(detect=detect, max_receives=3)
    assert labeller.label(odd, 3).outcome is Outcome.UNREADABLE
    assert labeller.doubts.counted(1) == []


def test_an_object_over_5_gb_is_unreadable_without_a_doubt(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    image = upload(aws, "large.png", picture)
    aws.fail("s3", "CopyObject", status=400, code="InvalidRequest")

    class Large:
        def __getattr__(self, name: str) -> Any:
            return getattr(aws.s3, name)

        def get_object(self, **request: Any) -> Any:
            return aws.s3.get_object(**request) | {"ContentRange": f"bytes 0-0/{6 * 1024**3}"}

    labeller = make_labeller(s3=Large(), detect=detect, max_receives=1)
    assert labeller.label(image, 1).outcome is Outcome.UNREADABLE


def test_an_object_that_may_not_be_deleted_is_labelled_once_and_left(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    aws.fail("s3", "DeleteObject", status=403, code="AccessDenied", key="odd")
    asked: list[str] = []

    def counting(image: ImageRef, _: float) -> Detection:
        asked.append(image.key)
        return FOUND

    labeller = make_labeller(detect=counting, max_receives=3)
    assert labeller.label(odd, 1).outcome is Outcome.FAILED
    assert labeller.doubts.counted(1) == [Doubt.DELETE]
    labeller.label(good, 1)
    assert labeller.label(odd, 3).outcome is Outcome.UNREADABLE
    assert asked == ["odd.png", "good.png"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(400, "ExpiredToken", id="expired token"),
        pytest.param(403, "InvalidAccessKeyId", id="no such key"),
        pytest.param(403, "SignatureDoesNotMatch", id="wrong secret"),
        pytest.param(403, "RequestTimeTooSkewed", id="wrong clock"),
    ],
)
@pytest.mark.parametrize("operation", ["HeadObject", "CopyObject"])
def test_credentials_that_s3_refuses_are_no_objects_fault(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, operation: str, status: int, code: str
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    labeller = make_labeller(detect=detect)
    labeller.label(good, 1)
    for call in {"GetObject", operation}:
        aws.fail("s3", call, status=status, code=code, key="odd")
    with pytest.raises(ClientError):
        labeller.label(odd, 99)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (400, "KMS.DisabledException"), (403, "AllAccessDisabled")]
)
def test_a_refused_copy_of_a_readable_source_is_no_images_fault(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, status: int, code: str
) -> None:
    good, image = upload(aws, "good.png", picture), upload(aws, "a.png", picture)
    labeller = make_labeller(detect=detect)
    labeller.label(good, 1)
    aws.fail("s3", "CopyObject", status=status, code=code)
    with pytest.raises(ClientError, match=code):
        labeller.label(image, 99)


@pytest.mark.parametrize("labelled", [True, False], ids=["others labelled", "none labelled"])
def test_an_object_that_only_the_models_service_cannot_read_is_never_rejected(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, labelled: bool
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    labeller = make_labeller(detect=fails_at_odd(CANNOT_READ), max_receives=3)
    if labelled:
        labeller.label(good, 1)
    results = [labeller.label(odd, receives).outcome for receives in (1, 2, 3, 500)]
    wanted = Outcome.UNREADABLE if labelled else Outcome.FAILED
    assert results == [Outcome.FAILED, Outcome.FAILED, wanted, wanted]
    assert outcomes(aws, odd) == ["pending"]
    assert labeller.doubts.counted(1) == ([] if labelled else [Doubt.MODEL])


def test_an_image_that_the_model_refuses_for_its_format_shows_that_the_bucket_can_be_read(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    odd, text = upload(aws, "odd.png", picture), upload(aws, "text.png", TEXT)

    def looks(image: ImageRef, _: float) -> Detection:
        raise CANNOT_READ if image.key == "odd.png" else ImageRefusedError(Error("InvalidImageFormatException", "no"))

    labeller = make_labeller(detect=looks, max_receives=3)
    assert labeller.label(text, 1).outcome is Outcome.REJECTED
    assert labeller.label(odd, 3).outcome is Outcome.UNREADABLE


def refused(labeller: Labeller, images: list[ImageRef], receives: int) -> list[Result]:
    return [labeller.label(image, receives) for image in images]


def test_a_doubtful_refusal_rejects_at_once_when_another_image_was_labelled(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    labeller = make_labeller(detect=fails_at_odd(WRONG))
    labeller.label(good, 1)
    assert labeller.label(odd, 1).outcome is Outcome.REJECTED
    assert outcomes(aws, odd) == ["rejected"]


def test_with_none_labelled_a_doubtful_refusal_rejects_the_second_time_after_max_receives(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    odd = upload(aws, "odd.png", picture)
    labeller = make_labeller(detect=fails_at_odd(WRONG), max_receives=3)
    first = labeller.label(odd, 5)  # other images may come, and show that the request is wrong
    assert (first.outcome, first.retry_seconds) == (Outcome.FAILED, 2)
    assert labeller.label(odd, 6).outcome is Outcome.REJECTED


def test_a_request_that_is_wrong_for_every_image_rejects_none(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    odd = [upload(aws, f"odd {n}.png", picture) for n in range(ENOUGH)]
    labeller = make_labeller(detect=fails_at_odd(WRONG), max_receives=3)
    results = refused(labeller, odd, 9) + refused(labeller, odd, 10)
    assert {result.outcome for result in results} == {Outcome.FAILED}
    assert labeller.doubts.counted(ENOUGH) == [Doubt.REQUEST]
    assert aws.final_keys() == []


@pytest.mark.parametrize("receives", [1, 4, 5, 6, 99])
def test_an_image_that_the_model_fails_for_is_sent_at_most_twice_in_one_delivery(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, receives: int
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    asked: list[str] = []

    def looks(image: ImageRef, _: float) -> Detection:
        asked.append(image.key)
        if image.key.startswith("odd"):
            raise TryAgainError(Error("InternalServerError", "cannot"), throttled=False)
        return FOUND

    labeller = make_labeller(detect=looks)
    labeller.label(good, 1)
    labeller.label(odd, receives)
    assert asked.count("odd.png") == (1 if receives < 5 else 2)


@pytest.mark.parametrize(("receives", "seconds"), [(1, 2), (2, 8), (3, 32), (4, 128), (5, 512), (6, 900), (4000, 900)])
@pytest.mark.parametrize("trouble", ["S3's", "the model's", "S3 refuses it"])
def test_each_failure_of_an_image_lengthens_its_delay(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, trouble: str, receives: int, seconds: float
) -> None:
    odd, good = upload(aws, "odd.png", picture), upload(aws, "good.png", picture)
    error = TryAgainError(Error("InternalServerError", "cannot"), throttled=False)
    labeller = make_labeller(detect=fails_at_odd(error) if trouble == "the model's" else detect, max_receives=5000)
    labeller.label(good, 1)
    if trouble == "S3's":
        aws.fail("s3", "CopyObject", status=500, code="InternalError", key="odd")
    if trouble == "S3 refuses it":
        refuse(aws, "another account's")
    result = labeller.label(odd, receives)
    assert (result.outcome, result.retry_seconds) == (Outcome.FAILED, seconds)


def test_a_throttled_image_returns_soon_after_any_number_of_deliveries(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    odd = upload(aws, "odd.png", picture)
    throttled = TryAgainError(Error("ThrottlingException", "slow down"), throttled=True)
    assert make_labeller(detect=fails_at_odd(throttled)).label(odd, 50).retry_seconds == 2
