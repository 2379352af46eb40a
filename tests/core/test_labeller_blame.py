"""An image that fails repeatedly: whether the image or the service is the cause."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection_core.labelling.keys import final_key
from label_detection_core.labelling.labeller import ImageUnreadableError, Outcome, TryAgainError
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.queue.messages import ImageRef
from tests.conftest import Aws
from tests.core.conftest import MakeLabeller
from tests.core.images import FOUND, outcomes, upload


class Model:
    """A model that fails for images whose key is in `fails_at`, once per entry or permanently."""

    def __init__(self, *fails_at: str) -> None:
        self.fails_at = list(fails_at)

    def __call__(self, image: ImageRef, _: float) -> Detection:
        for key in self.fails_at:
            if image.key.startswith(key):
                raise TryAgainError(Error("InternalServerError", "cannot"), throttled=False)
        return FOUND


def test_an_image_that_the_model_fails_for_is_rejected_when_it_labels_others(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    good, bad = upload(aws, "good.png", picture), upload(aws, "bad.png", picture)
    labeller = make_labeller(detect=Model("bad"), max_receives=3)
    assert labeller.label(good, 1).outcome is Outcome.LABELLED
    assert labeller.label(bad, 2).outcome is Outcome.FAILED
    result = labeller.label(bad, 3)
    assert (result.outcome, result.error) == (Outcome.REJECTED, Error("InternalServerError", "cannot"))
    assert outcomes(aws, bad) == ["rejected"]


def test_a_model_that_is_down_rejects_no_image_however_often_it_comes(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    good, image = upload(aws, "good.png", picture), upload(aws, "a.png", picture)
    model = Model()
    labeller = make_labeller(detect=model, max_receives=3)
    labeller.label(good, 1)
    model.fails_at = ["a.", "good"]
    assert labeller.label(image, 99).outcome is Outcome.FAILED
    model.fails_at = []
    assert labeller.label(image, 100).outcome is Outcome.LABELLED


def test_an_image_that_no_longer_fails_while_the_model_is_tried_is_labelled(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes
) -> None:
    good, image = upload(aws, "good.png", picture), upload(aws, "a.png", picture)

    class Recovering(Model):
        def __call__(self, image: ImageRef, confidence: float) -> Detection:
            try:
                return super().__call__(image, confidence)
            finally:
                if image.key == "a.png":
                    self.fails_at = []

    labeller = make_labeller(detect=Recovering("a."), max_receives=3)
    labeller.label(good, 1)
    assert labeller.label(image, 3).outcome is Outcome.LABELLED


@pytest.mark.parametrize("gone", [False, True], ids=["nothing labelled yet", "what was labelled is gone"])
def test_without_another_image_to_try_an_image_may_fail_ten_times_as_often(
    aws: Aws, make_labeller: MakeLabeller, picture: bytes, gone: bool
) -> None:
    good, image = upload(aws, "good.png", picture), upload(aws, "a.png", picture)

    def detect(image: ImageRef, _: float | None) -> Detection:
        if image.key == "good.png":
            return FOUND
        raise (ImageUnreadableError if "good" in image.key else CannotError)(Error("x", "y"))

    class CannotError(TryAgainError):
        def __init__(self, error: Error) -> None:
            super().__init__(error, throttled=False)

    labeller = make_labeller(detect=detect, max_receives=3)
    if gone:
        labeller.label(good, 1)
        aws.s3.delete_object(Bucket=aws.settings.final_bucket, Key=final_key(good))
    assert labeller.label(image, 29).outcome is Outcome.FAILED
    assert labeller.label(image, 30).outcome is Outcome.REJECTED


def test_throttling_never_rejects_an_image(aws: Aws, make_labeller: MakeLabeller, picture: bytes) -> None:
    image = upload(aws, "a.png", picture)

    def throttled(*_: Any) -> Detection:
        raise TryAgainError(Error("ThrottlingException", "slow down"), throttled=True)

    assert make_labeller(detect=throttled, max_receives=1).label(image, 9).outcome is Outcome.FAILED
    assert outcomes(aws, image) == ["pending"]


def test_an_error_of_s3_never_rejects_an_image(aws: Aws, make_labeller: MakeLabeller, picture: bytes) -> None:
    image = upload(aws, "a.png", picture)
    aws.fail("s3", "CopyObject", status=503, code="SlowDown")
    assert make_labeller(max_receives=1).label(image, 9).outcome is Outcome.FAILED
    assert outcomes(aws, image) == ["pending"]
