"""The model's states, its pace and the service's errors."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from botocore.exceptions import ClientError

from local_aws.model_life import ModelStatus
from local_aws.rekognition.exceptions import ProvisionedThroughputExceeded
from local_aws.rekognition.project_version import ProjectVersion
from local_aws.settings import ModelSettings
from tests.local_aws.conftest import HOURS, SOON, Aws, running, until
from tests.local_aws.pictures import jpeg, photograph, png

MB = 1024 * 1024


def refusal(call: Callable[..., Any], **arguments: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value


def project_arn(rekognition: Any) -> str:
    (project,) = rekognition.describe_projects(ProjectNames=["label-detection"])["ProjectDescriptions"]
    return str(project["ProjectArn"])


def status(rekognition: Any) -> str:
    answer = rekognition.describe_project_versions(ProjectArn=project_arn(rekognition), VersionNames=["1"])
    return str(answer["ProjectVersionDescriptions"][0]["Status"])


def test_the_project_arn_cannot_be_made_from_the_models(aws: Aws, rekognition: Any) -> None:
    project = project_arn(rekognition)
    assert project.rpartition("/")[2].isdigit()
    assert project.rpartition("/")[2] != aws.model_arn.rpartition("/")[2]
    assert aws.model_arn.startswith(project.rpartition("/")[0] + "/version/1/")


def test_a_model_is_started_and_stopped_and_botocores_waiter_sees_it(plain_aws: Aws, rekognition: Any) -> None:
    aws = plain_aws
    assert status(rekognition) == "TRAINING_COMPLETED"
    aws.model(**HOURS)
    units = {"MinInferenceUnits": 2, "MaxInferenceUnits": 3}
    start = rekognition.start_project_version(ProjectVersionArn=aws.model_arn, **units)
    assert start["Status"] == status(rekognition) == "STARTING"
    aws.model(status="RUNNING")
    assert rekognition.stop_project_version(ProjectVersionArn=aws.model_arn)["Status"] == "STOPPING"
    assert status(rekognition) == "STOPPING"
    aws.model(status="STOPPED", **SOON)
    began = time.monotonic()
    rekognition.start_project_version(ProjectVersionArn=aws.model_arn, **units)
    rekognition.get_waiter("project_version_running").wait(
        ProjectArn=project_arn(rekognition), VersionNames=["1"], WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )
    assert time.monotonic() - began >= 0.3
    assert aws.model()["units"] == 2
    rekognition.stop_project_version(ProjectVersionArn=aws.model_arn)
    until(lambda: status(rekognition) == "STOPPED")
    page = aws.model()
    assert [change["status"] for change in page["history"][-4:]] == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]
    assert page["units"] == 0
    assert page["on_seconds"] >= 0.6


@pytest.mark.parametrize("state", list(ModelStatus))
def test_a_state_set_manually_is_described_and_stays(aws: Aws, rekognition: Any, state: ModelStatus) -> None:
    aws.model(status=state, message="put there")
    answer = rekognition.describe_project_versions(ProjectArn=project_arn(rekognition))
    (version,) = answer["ProjectVersionDescriptions"]
    assert (version["Status"], version["StatusMessage"]) == (state, "put there")


@pytest.mark.parametrize("state", list(ModelStatus))
def test_start_stop_and_detect_are_allowed_from_these_states_alone(
    aws: Aws, rekognition: Any, state: ModelStatus
) -> None:
    startable = state in ("TRAINING_COMPLETED", "COPYING_COMPLETED", "STOPPED", "FAILED")
    image = {"Bytes": png(photograph("moon"))}
    calls: tuple[tuple[Any, dict[str, Any], bool, str], ...] = (
        (rekognition.start_project_version, {"MinInferenceUnits": 1}, startable, "ResourceInUseException"),
        (rekognition.stop_project_version, {}, state == "RUNNING", "ResourceInUseException"),
        (rekognition.detect_custom_labels, {"Image": image}, state == "RUNNING", "ResourceNotReadyException"),
    )
    for call, arguments, allowed, code in calls:
        aws.model(status=state)
        if allowed:
            call(ProjectVersionArn=aws.model_arn, **arguments)
        else:
            error = refusal(call, ProjectVersionArn=aws.model_arn, **arguments)
            assert error.response["Error"]["Code"] == code
            assert aws.model()["status"] == state


def test_rate_and_latency_can_be_changed_while_it_runs(aws: Aws, rekognition: Any) -> None:
    aws.model(status="RUNNING", rate=0.05, latency=0.3)  # one call in 20 s, even on a slow machine
    image = {"Bytes": png(photograph("moon"))}
    before = time.monotonic()
    rekognition.detect_custom_labels(ProjectVersionArn=aws.model_arn, Image=image)
    assert time.monotonic() - before > 0.3
    error = refusal(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image=image)
    assert error.response["Error"]["Code"] == "ProvisionedThroughputExceededException"


def test_the_model_knows_its_first_and_last_detect_since_it_runs(aws: Aws, rekognition: Any) -> None:
    image = {"Bytes": png(photograph("moon"))}
    aws.model(status="RUNNING")
    assert (aws.model()["first_detect_at"], aws.model()["last_detect_at"]) == (None, None)
    for _ in range(2):
        rekognition.detect_custom_labels(ProjectVersionArn=aws.model_arn, Image=image)
    seen = aws.model()
    assert seen["history"][-1]["at"] <= seen["first_detect_at"] < seen["last_detect_at"]
    aws.model(status="RUNNING")
    assert aws.model()["first_detect_at"] is None


def test_a_start_can_be_made_to_fail(plain_aws: Aws, rekognition: Any) -> None:
    plain_aws.model(start_outcome="FAILED")
    rekognition.start_project_version(ProjectVersionArn=plain_aws.model_arn, MinInferenceUnits=1)
    assert until(lambda: status(rekognition) != "STARTING")
    assert status(rekognition) == "FAILED"


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("start_project_version", {"MinInferenceUnits": 1}, "ResourceNotFoundException"),
        ("stop_project_version", {}, "ResourceNotFoundException"),
        ("detect_custom_labels", {"Image": {"Bytes": b"x"}}, "ResourceNotFoundException"),
    ],
)
def test_an_unknown_model_is_not_found(
    aws: Aws, rekognition: Any, operation: str, arguments: dict[str, Any], code: str
) -> None:
    arn = aws.model_arn.replace("/1/", "/2/")
    error = refusal(getattr(rekognition, operation), ProjectVersionArn=arn, **arguments)
    assert error.response["Error"]["Code"] == code


def test_an_unknown_project_is_not_found_and_an_unknown_version_is_no_version(rekognition: Any) -> None:
    arn = project_arn(rekognition)
    error = refusal(rekognition.describe_project_versions, ProjectArn=arn.replace("label-", "l-"))
    assert error.response["Error"]["Code"] == "ResourceNotFoundException"
    assert rekognition.describe_projects(ProjectNames=["none"])["ProjectDescriptions"] == []
    answer = rekognition.describe_project_versions(ProjectArn=arn, VersionNames=["9"], MaxResults=5)
    assert answer["ProjectVersionDescriptions"] == []


def post(aws: Aws, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request that botocore would refuse, because it checks parameters itself."""
    headers = {
        "X-Amz-Target": f"RekognitionService.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/rekognition/aws4_request",
    }
    answer = requests.post(aws.endpoint, json=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    return dict(answer.json())


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        pytest.param("StartProjectVersion", {"MinInferenceUnits": 0}, id="no units"),
        pytest.param("StartProjectVersion", {}, id="units not given"),
        pytest.param("StartProjectVersion", {"MinInferenceUnits": 2, "MaxInferenceUnits": 1}, id="most below least"),
        pytest.param("StartProjectVersion", {"MinInferenceUnits": "two"}, id="units are a word"),
        pytest.param("DetectCustomLabels", {"Image": {}}, id="no image"),
        pytest.param("DetectCustomLabels", {"Image": {"S3Object": {"Bucket": "b"}}}, id="no key"),
        pytest.param("DetectCustomLabels", {"Image": {"Bytes": "?"}}, id="not base64"),
        pytest.param(
            "DetectCustomLabels", {"Image": {"Bytes": "aaaa"}, "MinConfidence": 101}, id="confidence over 100"
        ),
        pytest.param("DetectCustomLabels", {"Image": {"Bytes": "aaaa"}, "MaxResults": -1}, id="results below 0"),
    ],
)
def test_a_wrong_parameter_is_the_services_error(aws: Aws, operation: str, body: dict[str, Any]) -> None:
    aws.model(status="RUNNING" if operation == "DetectCustomLabels" else "STOPPED")
    answer = post(aws, operation, {"ProjectVersionArn": aws.model_arn, **body})
    assert answer["__type"].endswith("InvalidParameterException")
    assert answer["Message"]


def plain(width: int, height: int) -> bytes:
    return png(np.full((height, width), 90, np.uint8))


NOT_AN_IMAGE = "InvalidImageFormatException"
REFUSED = [
    pytest.param(b"", NOT_AN_IMAGE, id="empty"),
    pytest.param(b"not a picture", NOT_AN_IMAGE, id="text"),
    pytest.param(b"GIF89a" + bytes(60), NOT_AN_IMAGE, id="GIF"),
    pytest.param(png(photograph("moon"))[:20], NOT_AN_IMAGE, id="PNG cut in its header"),
    pytest.param(jpeg(photograph("moon"))[:90], NOT_AN_IMAGE, id="JPEG cut in its header"),
    pytest.param(png(photograph("moon"))[:60_000], NOT_AN_IMAGE, id="PNG cut in its middle"),
    pytest.param(jpeg(photograph("moon"))[:8_000], NOT_AN_IMAGE, id="JPEG cut in its middle"),
    pytest.param(b"\xff\xd8\xff" + bytes(50), NOT_AN_IMAGE, id="only the start of a JPEG"),
    pytest.param(plain(63, 200), "InvalidParameterException", id="63 px wide"),
    pytest.param(plain(200, 63), "InvalidParameterException", id="63 px high"),
    pytest.param(plain(4097, 400), "InvalidParameterException", id="4097 px wide"),
    pytest.param(plain(1302, 65), "InvalidParameterException", id="over 20 to 1"),
    pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(15 * MB), "ImageTooLargeException", id="over 15 MB"),
]


@pytest.mark.parametrize(("content", "code"), REFUSED)
def test_a_file_that_is_no_valid_image_is_refused(
    aws: Aws, s3: Any, rekognition: Any, content: bytes, code: str
) -> None:
    aws.model(status="RUNNING")
    s3.put_object(Bucket=aws.source, Key="picture.png", Body=content)
    image = {"S3Object": {"Bucket": aws.source, "Name": "picture.png"}}
    error = refusal(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image=image)
    assert error.response["Error"]["Code"] == code
    assert error.response["Error"]["Message"]
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(plain(64, 64), id="64 px a side"),
        pytest.param(plain(4096, 205), id="4096 px, 20 to 1"),
        pytest.param(plain(205, 4096), id="upright"),
        pytest.param(jpeg(photograph("moon")) + bytes(4 * MB), id="over 4 MB, from S3"),
    ],
)
def test_an_image_within_the_limits_is_accepted_whatever_its_key(
    aws: Aws, s3: Any, rekognition: Any, content: bytes
) -> None:
    aws.model(status="RUNNING")
    s3.put_object(Bucket=aws.source, Key="notes.txt", Body=content)
    image = {"S3Object": {"Bucket": aws.source, "Name": "notes.txt"}}
    assert rekognition.detect_custom_labels(ProjectVersionArn=aws.model_arn, Image=image)["CustomLabels"] == []


def test_bytes_in_the_request_are_limited_to_4_mb(aws: Aws, rekognition: Any) -> None:
    aws.model(status="RUNNING")
    image = {"Bytes": jpeg(photograph("moon")) + bytes(4 * MB)}
    error = refusal(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image=image)
    assert error.response["Error"]["Code"] == "ImageTooLargeException"


@pytest.mark.parametrize(
    ("bucket", "version"),
    [("source", None), ("none", None), ("source", "no-such-version")],
    ids=["no such key", "no such bucket", "no such version"],
)
def test_an_object_that_is_not_there_reads_as_in_aws(
    aws: Aws, rekognition: Any, bucket: str, version: str | None
) -> None:
    aws.model(status="RUNNING")
    place = {"Bucket": aws.source if bucket == "source" else "no-such-bucket", "Name": "gone.png"}
    if version:
        place["Version"] = version
    error = refusal(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image={"S3Object": place})
    assert error.response["Error"] == {
        "Code": "InvalidS3ObjectException",
        "Message": "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
    }


def test_a_bucket_in_another_region_cannot_be_read(aws: Aws, s3: Any, rekognition: Any) -> None:
    aws.model(status="RUNNING")
    s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="far-away", Key="a.png", Body=png(photograph("moon")))
    image = {"S3Object": {"Bucket": "far-away", "Name": "a.png"}}
    error = refusal(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image=image)
    assert error.response["Error"]["Code"] == "InvalidS3ObjectException"


def test_units_set_the_pace_for_all_clients_together() -> None:
    now = [1000.0]
    model = ProjectVersion("arn", "project", "1", ModelSettings(rate=5), clock=lambda: now[0])
    model.start(2, None)
    now[0] += 60
    let_in = 0
    for _ in range(3000):
        now[0] += 0.01
        try:
            model.admit()
            let_in += 1
        except ProvisionedThroughputExceeded:
            pass
    assert 300 <= let_in <= 310  # 30 seconds of 2 units at 5 a second, and one second's burst
    assert model.throttled == 3000 - let_in


def test_over_the_rate_it_throttles_and_a_detection_takes_its_time(tmp_path: Path, examples: Path) -> None:
    options = ("--rate", "0.2", "--latency", "0.4", "--start-seconds", "0", "--examples", str(examples))
    with running(tmp_path, *options, "--ready-lag", "0") as aws:
        rekognition = aws.client("rekognition")
        rekognition.start_project_version(ProjectVersionArn=aws.model_arn, MinInferenceUnits=1)
        image = {"Bytes": png(photograph("moon"))}

        def detect(_: int) -> tuple[str, float]:
            began = time.monotonic()
            try:
                rekognition.detect_custom_labels(ProjectVersionArn=aws.model_arn, Image=image)
                return "", time.monotonic() - began
            except ClientError as error:
                return error.response["Error"]["Code"], time.monotonic() - began

        with ThreadPoolExecutor(15) as threads:
            answers = list(threads.map(detect, range(15)))
        throttled = [code for code, _ in answers if code]
        assert set(throttled) == {"ProvisionedThroughputExceededException"}
        assert len(throttled) >= 5
        assert min(seconds for code, seconds in answers if not code) >= 0.4
        assert aws.model()["throttled"] == len(throttled)
        assert aws.model()["detects"] == 15 - len(throttled)


def test_an_answer_to_bytes_equals_the_answer_to_the_object(aws: Aws, s3: Any, rekognition: Any) -> None:
    aws.model(status="RUNNING")
    content = png(photograph("cat"))
    s3.put_object(Bucket=aws.source, Key="cat.png", Body=content)
    by_key = rekognition.detect_custom_labels(
        ProjectVersionArn=aws.model_arn, Image={"S3Object": {"Bucket": aws.source, "Name": "cat.png"}}
    )
    by_bytes = rekognition.detect_custom_labels(ProjectVersionArn=aws.model_arn, Image={"Bytes": content})
    assert by_key["CustomLabels"] == by_bytes["CustomLabels"]
    assert [label["Name"] for label in by_key["CustomLabels"]] == ["cat"]
