"""Rekognition's hook: detect with real pictures, and which errors count against the image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from label_detection_core.labelling.labeller import ImageRefusedError, ImageUnreadableError
from label_detection_core.queue.messages import ImageRef
from tests.plugins.label_detection.hooks.conftest import Show

if TYPE_CHECKING:
    from label_detection.hooks.rekognition import RekognitionModelHook
    from tests.conftest import Aws

_TOO_MANY_BYTES = 15 * 1024 * 1024 + 1  # AWS: 15 MB from S3


def pixels(height: int, width: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def png(height: int, width: int) -> bytes:
    return cv2.imencode(".png", pixels(height, width))[1].tobytes()


def upload(aws: Aws, body: bytes) -> ImageRef:
    aws.upload("a picture.png", body)
    return ImageRef(aws.settings.source_bucket, "a picture.png")


def test_a_thing_in_a_picture_is_found_where_it_is(aws: Aws, hook: RekognitionModelHook, show: Show) -> None:
    aws.put_model("RUNNING")
    scene = np.full((400, 600, 3), 200, np.uint8)
    scene[100:260, 300:460] = show("part", 160)
    scene[100:140, 300:460] = 200  # a quarter of the object is hidden, so the confidence is lower
    image = upload(aws, cv2.imencode(".png", scene)[1].tobytes())
    (label,) = hook.detect(image, 0).labels
    assert label["Name"] == "part"
    box = label["Geometry"]["BoundingBox"]
    assert (box["Left"], box["Top"]) == pytest.approx((300 / 600, 100 / 400), abs=0.03)
    assert (box["Width"], box["Height"]) == pytest.approx((160 / 600, 160 / 400), abs=0.03)
    assert hook.detect(image, label["Confidence"] - 0.5).labels == [label]
    assert hook.detect(image, label["Confidence"] + 0.5).labels == []


def test_with_the_models_own_thresholds_no_least_confidence_is_sent(
    aws: Aws, hook: RekognitionModelHook, picture: bytes
) -> None:
    aws.put_model("RUNNING")
    sent: list[dict[str, Any]] = []
    hook.api.meta.events.register(
        "before-call.rekognition.DetectCustomLabels", lambda params, **_: sent.append(json.loads(params["body"]))
    )
    for least in (None, 0.0, 70):
        hook.detect(upload(aws, picture), least)
    assert [request.get("MinConfidence", "none") for request in sent] == ["none", 0.0, 70]


def test_a_picture_with_nothing_in_it_has_no_labels(aws: Aws, hook: RekognitionModelHook, picture: bytes) -> None:
    aws.put_model("RUNNING")
    assert hook.detect(upload(aws, picture), 0).labels == []
    assert aws.model()["detects"] > 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"GIF89a" + bytes(200), "InvalidImageFormatException"),
        (b"a shopping list: bread, milk", "InvalidImageFormatException"),
        (b"", "InvalidImageFormatException"),
        (png(96, 96)[:400], "InvalidImageFormatException"),
        (png(96, 96) + bytes(_TOO_MANY_BYTES), "ImageTooLargeException"),
        (png(63, 96), "InvalidParameterException"),
        (png(64, 4097), "InvalidParameterException"),
        (png(64, 1300), "InvalidParameterException"),
    ],
    ids=["gif", "text", "empty", "cut off", "over 15 MB", "63 pixels high", "4097 pixels wide", "longer than 20:1"],
)
def test_an_image_that_the_model_can_never_accept_is_refused(
    aws: Aws, hook: RekognitionModelHook, body: bytes, code: str
) -> None:
    aws.put_model("RUNNING")
    with pytest.raises(ImageRefusedError) as refusal:
        hook.detect(upload(aws, body), 50)
    assert refusal.value.error.code == code
    assert refusal.value.doubtful == (code == "InvalidParameterException"), "a wrong request has this answer too"
    assert refusal.value.error.message
    assert isinstance(refusal.value.__cause__, ClientError)


@pytest.mark.parametrize("body", [png(64, 1280), cv2.imencode(".jpg", pixels(64, 64))[1].tobytes()], ids=["20:1", "64"])
def test_a_picture_at_the_limits_is_taken(aws: Aws, hook: RekognitionModelHook, body: bytes) -> None:
    aws.put_model("RUNNING")
    assert hook.detect(upload(aws, body), 50).labels == []


@pytest.mark.parametrize("there", ["the bucket", "nothing"])
def test_an_object_that_the_service_cannot_read_is_unreadable(aws: Aws, hook: RekognitionModelHook, there: str) -> None:
    aws.put_model("RUNNING")
    bucket = aws.settings.source_bucket if there == "the bucket" else "no-such-bucket-anywhere"
    with pytest.raises(ImageUnreadableError) as unreadable:
        hook.detect(ImageRef(bucket, "gone.png"), 50)
    assert unreadable.value.error.code == "InvalidS3ObjectException"


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("InvalidImageFormatException", ImageRefusedError),
        ("ImageTooLargeException", ImageRefusedError),
        ("InvalidParameterException", ImageRefusedError),
        ("InvalidS3ObjectException", ImageUnreadableError),
        ("AccessDeniedException", ClientError),
        ("ResourceNotReadyException", ClientError),
        ("ResourceNotFoundException", ClientError),
        ("ProvisionedThroughputExceededException", ClientError),
        ("ThrottlingException", ClientError),
        ("LimitExceededException", ClientError),
        ("InternalServerError", ClientError),
        ("AnErrorOfTheYear2030", ClientError),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_error_of_detect_is_the_images_fault_or_raised(
    aws: Aws, hook: RekognitionModelHook, picture: bytes, code: str, raised: type[Exception]
) -> None:
    aws.put_model("RUNNING")
    status = 500 if code == "InternalServerError" else 400
    aws.fail("rekognition", "DetectCustomLabels", status=status, code=code, message="words of the service")
    with pytest.raises(raised, match=f"{code}.*words of the service"):
        hook.detect(upload(aws, picture), 50)


def test_a_model_that_is_not_running_is_not_the_images_fault(
    aws: Aws, hook: RekognitionModelHook, picture: bytes
) -> None:
    with pytest.raises(ClientError, match="ResourceNotReadyException"):
        hook.detect(upload(aws, picture), 50)


def test_a_service_that_does_not_answer_is_not_the_images_fault(
    aws: Aws, hook: RekognitionModelHook, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    image = upload(aws, picture)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(EndpointConnectionError):
        hook.detect(image, 50)
