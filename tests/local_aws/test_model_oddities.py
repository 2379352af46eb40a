"""Rekognition's lags, and the statuses of its errors."""

import time
from typing import Any

import pytest

from local_aws.operations import error_statuses
from local_aws.rekognition import exceptions
from tests.local_aws.conftest import HOURS, SOON, Aws, until
from tests.local_aws.lookout import Lookout
from tests.local_aws.pictures import photograph, png
from tests.local_aws.policies import error_of
from tests.local_aws.test_rekognition import status

IMAGE = {"Bytes": png(photograph("moon"))}


@pytest.fixture
def lags(plain_aws: Aws) -> Aws:
    """Sets each lag to much longer than a test takes. A lag that is shortened is over that long after the change."""
    plain_aws.control("oddities", "PUT", {"ready_lag": 3600, "describe_lag": 3600})
    return plain_aws


def detect(aws: Aws, rekognition: Any) -> tuple[int, str]:
    return error_of(rekognition.detect_custom_labels, ProjectVersionArn=aws.model_arn, Image=IMAGE)[:2]


def test_a_model_that_is_running_is_not_ready_for_a_while(lags: Aws, rekognition: Any) -> None:
    began = time.monotonic()
    rekognition.start_project_version(ProjectVersionArn=lags.model_arn, MinInferenceUnits=1)
    until(lambda: lags.model()["status"] == "RUNNING")
    assert detect(lags, rekognition) == (400, "ResourceNotReadyException")
    lags.control("oddities", "PUT", {"ready_lag": 1})
    until(lambda: detect(lags, rekognition) == (0, ""))
    assert time.monotonic() - began >= SOON["start_seconds"] + 1


def test_a_model_that_was_put_to_running_is_ready(lags: Aws, rekognition: Any) -> None:
    lags.model(status="RUNNING")
    assert detect(lags, rekognition) == (0, "")


def test_describe_lags_behind_start_and_stop_and_the_model_does_not(lags: Aws, rekognition: Any) -> None:
    project = rekognition.describe_projects()["ProjectDescriptions"][0]["ProjectArn"]
    lags.model(status="STOPPED", **HOURS)
    rekognition.start_project_version(ProjectVersionArn=lags.model_arn, MinInferenceUnits=2)
    assert (status(rekognition), lags.model()["status"]) == ("STOPPED", "STARTING")
    (version,) = rekognition.describe_project_versions(ProjectArn=project)["ProjectVersionDescriptions"]
    assert (version["StatusMessage"], version.get("MinInferenceUnits")) == ("The model has been stopped.", None)
    again = error_of(rekognition.start_project_version, ProjectVersionArn=lags.model_arn, MinInferenceUnits=1)
    assert again[:2] == (400, "ResourceInUseException")
    lags.control("oddities", "PUT", {"describe_lag": 0.1})
    until(lambda: status(rekognition) == "STARTING")
    lags.control("oddities", "PUT", {"describe_lag": 3600})
    lags.model(status="RUNNING")
    rekognition.stop_project_version(ProjectVersionArn=lags.model_arn)
    assert (status(rekognition), lags.model()["status"]) == ("RUNNING", "STOPPING")
    lags.control("oddities", "PUT", {"describe_lag": 0.1})
    until(lambda: status(rekognition) == "STOPPING")


def test_describe_shows_a_state_that_was_put_at_once(lags: Aws, rekognition: Any) -> None:
    rekognition.start_project_version(ProjectVersionArn=lags.model_arn, MinInferenceUnits=1)
    lags.model(status="FAILED")
    assert status(rekognition) == "FAILED"


OWN = {
    vars(value)["code"]
    for value in vars(exceptions).values()
    if isinstance(value, type) and value.__module__ == exceptions.__name__
}


@pytest.mark.parametrize("code", sorted({*OWN, "AccessDeniedException"}))
def test_every_error_of_its_own_is_modelled_as_the_400_that_it_answers(code: str) -> None:
    assert error_statuses("rekognition")[code] == 400


@pytest.mark.parametrize(
    ("service", "operation", "given", "wanted"),
    [
        pytest.param("rekognition", "DetectCustomLabels", {"code": "ThrottlingException"}, 500, id="a fault is 500"),
        pytest.param("rekognition", "DetectCustomLabels", {"code": "InternalServerError"}, 500, id="another fault"),
        pytest.param(
            "rekognition", "DetectCustomLabels", {"code": "ProvisionedThroughputExceededException"}, 400, id="an error"
        ),
        pytest.param("rekognition", "DetectCustomLabels", {"code": "LimitExceededException"}, 400, id="a quota"),
        pytest.param("rekognition", "DetectCustomLabels", {"code": "NoSuchCode"}, 500, id="not modelled"),
        pytest.param("rekognition", "DetectCustomLabels", {}, 500, id="neither status nor code"),
        pytest.param(
            "rekognition", "DetectCustomLabels", {"code": "ThrottlingException", "status": 400}, 400, id="as given"
        ),
        pytest.param("*", "*", {"code": "LimitExceededException"}, 400, id="of every service"),
        pytest.param("s3", "HeadBucket", {"code": "NoSuchBucket"}, 404, id="S3's own status"),
        pytest.param("sqs", "ListQueues", {"code": "RequestThrottled"}, 400, id="SQS"),
        pytest.param("scheduler", "ListSchedules", {"code": "ConflictException"}, 409, id="Scheduler's"),
        pytest.param("lookoutvision", "DescribeModel", {"code": "ThrottlingException"}, 429, id="Lookout's"),
    ],
)
def test_a_fault_has_its_codes_status_in_the_service(
    aws: Aws, rekognition: Any, service: str, operation: str, given: dict[str, Any], wanted: int
) -> None:
    calls = {
        "DetectCustomLabels": lambda: detect(aws, rekognition)[0],
        "HeadBucket": lambda: error_of(aws.client("s3").head_bucket, Bucket=aws.source)[0],
        "ListQueues": lambda: error_of(aws.client("sqs").list_queues)[0],
        "ListSchedules": lambda: error_of(aws.client("scheduler").list_schedules)[0],
    }
    calls["*"] = calls["DetectCustomLabels"]
    calls["DescribeModel"] = lambda: Lookout(aws).describe().status_code
    aws.faults({"service": service, "operation": operation, **given})
    assert calls[operation]() == wanted
