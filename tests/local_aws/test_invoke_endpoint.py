"""Invoking an endpoint: the three answer formats, refusals, and the pace."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from botocore.exceptions import ClientError

from local_aws.sagemaker.answers import answers_of
from local_aws.settings import Answers
from tests.local_aws.conftest import Aws
from tests.local_aws.endpoints import CLASSIFICATION, DETECTION, HUGGINGFACE
from tests.local_aws.pictures import jpeg, pasted, photograph, png
from tests.local_aws.policies import error_of

Ask = Callable[..., Any]
ENDPOINTS = {DETECTION: "boxes", CLASSIFICATION: "classes", HUGGINGFACE: "faces"}


@pytest.fixture
def ask(aws: Aws) -> Ask:
    """Sends an image to the endpoint of a config, and returns the answer. The endpoints are in service."""
    sagemaker, runtime = aws.client("sagemaker"), aws.client("sagemaker-runtime")
    for config, name in ENDPOINTS.items():
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        aws.model(config, status="RUNNING")

    def ask(config: str, body: bytes, content_type: str = "image/png") -> Any:
        answer = runtime.invoke_endpoint(EndpointName=ENDPOINTS[config], Body=body, ContentType=content_type)
        assert answer["ContentType"] == "application/json"
        assert answer["InvokedProductionVariant"] == "AllTraffic"
        return json.loads(answer["Body"].read())

    return ask


@pytest.mark.parametrize(
    ("image", "answers"),
    [
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/object-detection:1", Answers.OBJECT_DETECTION),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:latest", Answers.IMAGE_CLASSIFICATION),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:2.1.0-cpu", Answers.HUGGINGFACE),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-tensorflow-inference@sha256:0", Answers.HUGGINGFACE),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1", None),
        ("", None),
    ],
)
def test_the_format_follows_from_the_containers_image(image: str, answers: Answers | None) -> None:
    assert answers_of(image) is answers


@pytest.mark.parametrize("content_type", ["image/png", "image/jpeg", "application/x-image"])
def test_object_detection_answers_classes_scores_and_boxes_in_ratios(ask: Ask, content_type: str) -> None:
    image, truth = pasted(photograph("moon"), "cup", (320, 240), 300)
    (found,) = [row for row in ask(DETECTION, png(image), content_type)["prediction"] if row[1] > 0.5]
    number, score, left, top, right, bottom = found
    assert number == 1  # cat, cup, face, photographer
    assert 0.8 < score <= 1
    box = {"Left": left, "Top": top, "Width": right - left, "Height": bottom - top}
    assert truth.overlap(box) > 0.8


def test_image_classification_answers_a_probability_for_each_class(ask: Ask) -> None:
    image, _ = pasted(photograph("moon"), "face", (200, 240), 220)
    probabilities = ask(CLASSIFICATION, jpeg(image), "image/jpeg")
    assert len(probabilities) == 4
    assert probabilities[2] > 0.8
    two, _ = pasted(image, "cat", (480, 240), 220)
    both = ask(CLASSIFICATION, jpeg(two), "image/jpeg")
    assert both[0] == pytest.approx(both[2], abs=0.1) == pytest.approx(0.5, abs=0.1)
    assert sum(both) <= 1.0001
    assert max(ask(CLASSIFICATION, jpeg(photograph("moon")), "image/jpeg")) < 0.5


@pytest.mark.parametrize("scale", [1, 3], ids=["640 px", "1920 px"])
def test_hugging_face_answers_labels_and_boxes_in_pixels(ask: Ask, scale: int) -> None:
    image, truth = pasted(photograph("brick"), "photographer", (300, 240), 240, 10)
    large = cv2.resize(image, None, fx=scale, fy=scale).astype(np.uint8)
    (found,) = [entry for entry in ask(HUGGINGFACE, jpeg(large), "image/jpeg") if entry["score"] > 0.5]
    assert found["label"] == "photographer"
    box = found["box"]
    assert all(isinstance(pixels, int) for pixels in box.values())
    width, height = 640 * scale, 480 * scale
    ratios = {"Left": box["xmin"] / width, "Top": box["ymin"] / height}
    ratios |= {"Width": (box["xmax"] - box["xmin"]) / width, "Height": (box["ymax"] - box["ymin"]) / height}
    assert truth.overlap(ratios) > 0.8


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param(png(photograph("moon")), "text/csv", 415, id="not called an image"),
        pytest.param(png(photograph("moon")), "image/gif", 415, id="called a GIF"),
        pytest.param(b"not a picture", "image/png", 400, id="text"),
        pytest.param(b"", "image/png", 400, id="empty"),
        pytest.param(jpeg(photograph("moon"))[:8_000], "image/jpeg", 400, id="JPEG cut in its middle"),
        pytest.param(jpeg(photograph("moon")) + bytes(26_214_400), "image/jpeg", 413, id="over 25 MB"),
    ],
)
def test_an_image_that_the_container_cannot_read_is_a_model_error(
    ask: Ask, body: bytes, content_type: str, status: int
) -> None:
    with pytest.raises(ClientError) as caught:
        ask(DETECTION, body, content_type)
    answer: Any = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["Error"]["Code"] == "ModelError"
    assert answer["OriginalStatusCode"] == status
    assert answer["OriginalMessage"] in answer["Error"]["Message"]


def test_six_megabytes_are_accepted(ask: Ask) -> None:
    image = jpeg(photograph("moon"))
    ask(DETECTION, image + bytes(26_214_400 - len(image)), "image/jpeg")


@pytest.mark.parametrize("state", ["STARTING", "FAILED", "STOPPING", "STOPPED", "TRAINING_COMPLETED"])
def test_only_an_endpoint_in_service_can_be_invoked(aws: Aws, ask: Ask, state: str) -> None:
    aws.model(DETECTION, status=state)
    refusal = error_of(ask, config=DETECTION, body=png(photograph("moon")))
    assert refusal == (400, "ValidationError", "Endpoint boxes of account 123456789012 not found.")


def test_instances_set_the_pace_and_a_container_refuses_more(aws: Aws, ask: Ask) -> None:
    aws.model(DETECTION, rate=0.05)  # one call in 20 s, even on a slow machine
    aws.model(DETECTION, status="RUNNING")
    image = png(photograph("moon"))
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: error_of(ask, config=DETECTION, body=image), range(6)))
    assert sorted(answer[:2] for answer in answers) == [(0, ""), *[(424, "ModelError")] * 5]
    assert all("server error (503)" in answer[2] for answer in answers if answer[0])
    page = aws.model(DETECTION)
    assert page["throttled"] >= 5
    assert page["first_detect_at"] < page["last_detect_at"]
