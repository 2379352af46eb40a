"""Lookout for Vision's model: its states, its answers, and the service's errors."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import cv2
import numpy as np
import pytest
import requests

from local_aws.service_models import botocore_session
from tests.local_aws.conftest import HOURS, SOON, Aws, until
from tests.local_aws.lookout import ARN, MODEL, Lookout, error
from tests.local_aws.pictures import example, jpeg, pasted, photograph, png

NAME = "lookoutvision"


@pytest.fixture
def lookout(aws: Aws) -> Lookout:
    return Lookout(aws)


def result(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["DetectAnomalyResult"])


def test_a_model_is_started_and_stopped(aws: Aws, lookout: Lookout) -> None:
    description = lookout.describe().json()["ModelDescription"]
    assert (description["ModelArn"], description["ModelVersion"], description["Status"]) == (ARN, "1", "TRAINED")
    assert description["StatusMessage"]
    assert "MinInferenceUnits" not in description
    aws.model(NAME, **HOURS)
    started = lookout.start('{"MinInferenceUnits": 2, "MaxInferenceUnits": 3}')
    assert (started.status_code, started.json()) == (202, {"Status": "STARTING_HOSTING"})
    assert lookout.status() == "STARTING_HOSTING"
    aws.model(NAME, status="RUNNING")
    stopped = lookout.stop()
    assert (stopped.status_code, stopped.json()) == (202, {"Status": "STOPPING_HOSTING"})
    assert lookout.status() == "STOPPING_HOSTING"
    aws.model(NAME, status="STOPPED", **SOON)
    lookout.start('{"MinInferenceUnits": 2, "MaxInferenceUnits": 3}')
    until(lambda: lookout.status() == "HOSTED")
    hosted = lookout.describe().json()["ModelDescription"]
    assert (hosted["MinInferenceUnits"], hosted["MaxInferenceUnits"]) == (2, 3)
    assert aws.model(NAME)["units"] == 2
    lookout.stop()
    until(lambda: lookout.status() == "TRAINED")
    assert [change["status"] for change in aws.model(NAME)["history"][-2:]] == ["STOPPING", "STOPPED"]


def test_a_start_that_is_made_to_fail_can_be_made_again(aws: Aws, lookout: Lookout) -> None:
    aws.model(NAME, start_outcome="FAILED")
    lookout.start()
    until(lambda: lookout.status() == "HOSTING_FAILED")
    aws.model(NAME, start_outcome="RUNNING")
    lookout.start()
    until(lambda: lookout.status() == "HOSTED")


STATES = ["TRAINING_COMPLETED", "STARTING", "RUNNING", "FAILED", "STOPPING", "STOPPED"]


@pytest.mark.parametrize("state", STATES)
def test_start_stop_and_detect_are_allowed_from_these_states_alone(aws: Aws, lookout: Lookout, state: str) -> None:
    image = png(photograph("moon"))
    calls: tuple[tuple[Callable[[], requests.Response], bool], ...] = (
        (lookout.start, state in ("TRAINING_COMPLETED", "STOPPED", "FAILED")),
        (lookout.stop, state == "RUNNING"),
        (lambda: lookout.detect(image), state == "RUNNING"),
    )
    for call, allowed in calls:
        aws.model(NAME, status=state)
        answer = call()
        assert answer.ok is allowed
        assert allowed or error(answer) == (409, "ConflictException")
        assert allowed or aws.model(NAME)["status"] == state


def test_a_normal_picture_has_nothing_but_background(aws: Aws, lookout: Lookout) -> None:
    aws.model(NAME, status="RUNNING")
    image, _ = pasted(photograph("brick"), "cup", (320, 240), 240)
    found = result(lookout.detect(jpeg(image), "image/jpeg"))
    assert found["IsAnomalous"] is False
    assert 0.5 < found["Confidence"] <= 1
    assert found["Source"] == {"Type": "direct"}
    assert found["Anomalies"] == [
        {"Name": "background", "PixelAnomaly": {"TotalPercentageArea": 1.0, "Color": "#FFFFFF"}}
    ]


def test_a_blot_is_a_defect_and_the_mask_shows_where_it_is(aws: Aws, lookout: Lookout) -> None:
    aws.model(NAME, status="RUNNING")
    image = example("face").copy()
    cv2.circle(image, (100, 110), 20, 0, -1)
    found = result(lookout.detect(png(image)))
    assert found["IsAnomalous"] is True
    assert 0.75 < found["Confidence"] < 1
    background, defect = found["Anomalies"]
    assert (background["Name"], defect["Name"]) == ("background", "defect")
    area = defect["PixelAnomaly"]["TotalPercentageArea"]
    assert area == pytest.approx(np.pi * 20**2 / image.size, rel=0.35)
    assert background["PixelAnomaly"]["TotalPercentageArea"] == pytest.approx(1 - area)
    mask = cv2.imdecode(np.frombuffer(base64.b64decode(found["AnomalyMask"]), np.uint8), cv2.IMREAD_COLOR)
    assert mask is not None
    assert mask.shape[:2] == image.shape
    color = bytes.fromhex(defect["PixelAnomaly"]["Color"].removeprefix("#"))
    marked = (mask[..., ::-1] == list(color)).all(axis=2)
    assert marked.mean() == pytest.approx(area)
    assert marked[110, 100]
    assert not marked[:80].any()
    assert not marked[140:].any()


MB = 1024 * 1024
REFUSED = [
    pytest.param(png(photograph("moon")), "image/gif", id="called a GIF"),
    pytest.param(b"GIF89a" + bytes(60), "image/png", id="GIF"),
    pytest.param(b"", "image/png", id="empty"),
    pytest.param(jpeg(photograph("moon"))[:8_000], "image/jpeg", id="JPEG cut in its middle"),
    pytest.param(png(np.full((63, 200), 90, np.uint8)), "image/png", id="63 px high"),
    pytest.param(png(np.full((400, 4097), 90, np.uint8)), "image/png", id="4097 px wide"),
    pytest.param(jpeg(photograph("moon")) + bytes(8 * MB), "image/jpeg", id="over 8 MB"),
]


@pytest.mark.parametrize(("body", "content_type"), REFUSED)
def test_a_file_that_is_no_valid_image_is_refused(aws: Aws, lookout: Lookout, body: bytes, content_type: str) -> None:
    aws.model(NAME, status="RUNNING")
    assert error(lookout.detect(body, content_type)) == (400, "ValidationException")


def test_eight_megabytes_are_accepted(aws: Aws, lookout: Lookout) -> None:
    aws.model(NAME, status="RUNNING")
    image = jpeg(photograph("moon"))
    assert lookout.detect(image + bytes(8 * MB - len(image)), "image/jpeg").ok


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("{", id="not JSON"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no units"),
        pytest.param('{"MinInferenceUnits": 0}', id="less than one unit"),
        pytest.param('{"MinInferenceUnits": true}', id="units are true"),
        pytest.param('{"MinInferenceUnits": 2, "MaxInferenceUnits": 1}', id="maximum below minimum"),
    ],
)
def test_a_wrong_start_is_refused(aws: Aws, lookout: Lookout, body: str) -> None:
    assert error(lookout.start(body)) == (400, "ValidationException")
    assert aws.model(NAME)["status"] == "TRAINING_COMPLETED"


@pytest.mark.parametrize("path", [MODEL.replace("label-", "l-"), MODEL.replace("models/1", "models/2")])
def test_an_unknown_model_is_not_found(aws: Aws, lookout: Lookout, path: str) -> None:
    for answer in (
        lookout.describe(path),
        lookout.start(model=path),
        lookout.stop(path),
        lookout.detect(b"", model=path),
    ):
        assert error(answer) == (404, "ResourceNotFoundException")
    assert error(Lookout(aws, "eu-west-1").describe()) == (404, "ResourceNotFoundException")
    assert error(lookout.send("DELETE", MODEL)) == (404, "ResourceNotFoundException")


def test_a_model_that_is_put_off_forgets_its_units(aws: Aws, lookout: Lookout) -> None:
    lookout.start('{"MinInferenceUnits": 3}')
    aws.model(NAME, status="TRAINING_COMPLETED")
    assert aws.model(NAME, status="RUNNING")["units"] == 1


def test_over_the_rate_it_throttles(aws: Aws, lookout: Lookout) -> None:
    aws.model(NAME, rate=0.05)  # one call in 20 s: the five calls below are faster even on a slow machine
    aws.model(NAME, status="RUNNING")
    image = png(photograph("moon"))
    with ThreadPoolExecutor(5) as threads:
        answers = [error(answer) for answer in threads.map(lambda _: lookout.detect(image), range(5))]
    assert sorted(answers) == [(200, ""), *[(429, "ThrottlingException")] * 4]


def test_a_request_is_known_by_its_path_or_its_signature_and_others_are_not_touched(aws: Aws, s3: Any) -> None:
    answer = requests.get(f"{aws.endpoint}{MODEL}", timeout=10)
    assert answer.json()["ModelDescription"]["Status"] == "TRAINED"
    s3.create_bucket(Bucket="2020-11-20")
    key = MODEL.removeprefix("/2020-11-20/")
    s3.put_object(Bucket="2020-11-20", Key=key, Body=b"an object")
    assert s3.get_object(Bucket="2020-11-20", Key=key)["Body"].read() == b"an object"


def test_botocore_makes_a_client_of_the_embedded_services_model(aws: Aws) -> None:
    session = boto3.Session("local", "local", region_name="us-east-1", botocore_session=botocore_session())
    client: Any = session.client("lookoutvision", endpoint_url=aws.endpoint)  # type: ignore[call-overload]
    place = {"ProjectName": "label-detection", "ModelVersion": "1"}
    aws.model(NAME, **HOURS)
    assert client.start_model(**place, MinInferenceUnits=1)["Status"] == "STARTING_HOSTING"
    with pytest.raises(client.exceptions.ConflictException, match="STARTING_HOSTING"):
        client.stop_model(**place)
    aws.model(NAME, status="RUNNING")
    found = client.detect_anomalies(**place, Body=png(example("cat")), ContentType="image/png")["DetectAnomalyResult"]
    assert found["AnomalyMask"].startswith(b"\x89PNG")
    assert client.describe_model(**place)["ModelDescription"]["CreationTimestamp"].year >= 2025
