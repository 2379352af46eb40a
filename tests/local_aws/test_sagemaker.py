"""SageMaker's endpoints: created, in service, deleted, gone; and refused calls."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.local_aws.conftest import HOURS, SOON, Aws, until
from tests.local_aws.endpoints import CLASSIFICATION, DETECTION, endpoint_arn, in_service, make_config, status_of
from tests.local_aws.policies import error_of

REGISTRY = "811284229777.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def sagemaker(aws: Aws) -> Any:
    return aws.client("sagemaker")


@pytest.fixture
def own_config(sagemaker: Any) -> Iterator[str]:
    """A config of two instances for this test only."""
    yield make_config(sagemaker, "of-two", f"{REGISTRY}/object-detection:1", instances=2)
    sagemaker.delete_endpoint_config(EndpointConfigName="of-two")


def is_gone(sagemaker: Any, name: str) -> bool:
    return error_of(sagemaker.describe_endpoint, EndpointName=name)[1] == "ValidationException"


def test_an_endpoint_is_created_and_deleted_and_botocores_waiters_see_it(aws: Aws, sagemaker: Any) -> None:
    aws.model(DETECTION, **HOURS)
    arn = sagemaker.create_endpoint(EndpointName="Eyes", EndpointConfigName=DETECTION)["EndpointArn"]
    assert arn == endpoint_arn("eyes")
    described = sagemaker.describe_endpoint(EndpointName="Eyes")
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("Creating", DETECTION)
    assert "FailureReason" not in described
    aws.model(DETECTION, status="RUNNING")
    sagemaker.delete_endpoint(EndpointName="Eyes")
    assert status_of(sagemaker, "Eyes") == "Deleting"
    aws.model(DETECTION, status="STOPPED", **SOON)
    sagemaker.create_endpoint(EndpointName="Eyes", EndpointConfigName=DETECTION)
    wait = {"Delay": 1, "MaxAttempts": 60}
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="Eyes", WaiterConfig=wait)
    assert aws.model(DETECTION)["says"] == "InService"
    sagemaker.delete_endpoint(EndpointName="Eyes")
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName="Eyes", WaiterConfig=wait)
    page = aws.model(DETECTION)
    assert [change["status"] for change in page["history"][-4:]] == ["STARTING", "RUNNING", "STOPPING", "STOPPED"]
    assert (page["says"], page["units"]) == (None, 0)
    assert page["on_seconds"] >= 0.6


def test_a_config_keeps_its_history_when_its_endpoint_is_created_again(aws: Aws, sagemaker: Any) -> None:
    before = len(aws.model(DETECTION)["history"])
    for name in ("first", "second"):
        in_service(sagemaker, name)
        sagemaker.delete_endpoint(EndpointName=name)
        until(partial(is_gone, sagemaker, name))
    assert len(aws.model(DETECTION)["history"]) == before + 8


def test_an_endpoint_whose_start_fails_has_a_reason_and_can_be_deleted(aws: Aws, sagemaker: Any) -> None:
    aws.model(DETECTION, start_outcome="FAILED")
    sagemaker.create_endpoint(EndpointName="unlucky", EndpointConfigName=DETECTION)
    until(lambda: status_of(sagemaker, "unlucky") == "Failed")
    assert sagemaker.describe_endpoint(EndpointName="unlucky")["FailureReason"] == "The model failed to start."
    assert error_of(sagemaker.create_endpoint, EndpointName="unlucky", EndpointConfigName=DETECTION)[0] == 400
    sagemaker.delete_endpoint(EndpointName="unlucky")
    until(lambda: is_gone(sagemaker, "unlucky"))


def test_an_image_that_does_not_run_here_makes_a_failed_endpoint(aws: Aws, sagemaker: Any) -> None:
    make_config(sagemaker, "own-algorithm", "123456789012.dkr.ecr.us-east-1.amazonaws.com/own:latest")
    sagemaker.create_endpoint(EndpointName="own", EndpointConfigName="own-algorithm")
    until(lambda: status_of(sagemaker, "own") == "Failed")
    assert "own:latest" in sagemaker.describe_endpoint(EndpointName="own")["FailureReason"]


def test_the_instances_are_those_of_the_config(aws: Aws, sagemaker: Any, own_config: str) -> None:
    in_service(sagemaker, "pair", own_config)
    (variant,) = sagemaker.describe_endpoint(EndpointName="pair")["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == ("all", 2, 2)
    assert aws.model(own_config)["units"] == 2
    sagemaker.delete_endpoint(EndpointName="pair")


def test_a_second_endpoint_of_a_config_has_its_own_state(aws: Aws, sagemaker: Any) -> None:
    in_service(sagemaker, "one")
    in_service(sagemaker, "two")
    listed = {endpoint["EndpointName"]: endpoint for endpoint in sagemaker.list_endpoints()["Endpoints"]}
    assert {"one", "two"} <= set(listed)
    sagemaker.delete_endpoint(EndpointName="one")
    until(lambda: is_gone(sagemaker, "one"))
    assert aws.model(DETECTION)["status"] == "STOPPED"
    assert status_of(sagemaker, "two") == "InService"
    sagemaker.delete_endpoint(EndpointName="two")
    until(lambda: is_gone(sagemaker, "two"))


@pytest.mark.parametrize(
    ("operation", "arguments", "message"),
    [
        pytest.param(
            "describe_endpoint",
            {"EndpointName": "None"},
            f'Could not find endpoint "{endpoint_arn("none")}".',
            id="describe",
        ),
        pytest.param(
            "delete_endpoint",
            {"EndpointName": "none"},
            f'Could not find endpoint "{endpoint_arn("none")}".',
            id="delete",
        ),
        pytest.param(
            "create_endpoint",
            {"EndpointName": "new", "EndpointConfigName": "none"},
            'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/none".',
            id="create from no config",
        ),
        pytest.param(
            "create_endpoint",
            {"EndpointName": "there", "EndpointConfigName": CLASSIFICATION},
            f'Cannot create already existing endpoint "{endpoint_arn("there")}".',
            id="create again",
        ),
    ],
)
def test_a_wrong_name_reads_as_in_aws(
    aws: Aws, sagemaker: Any, operation: str, arguments: dict[str, str], message: str
) -> None:
    sagemaker.create_endpoint(EndpointName="there", EndpointConfigName=DETECTION)
    assert error_of(getattr(sagemaker, operation), **arguments) == (400, "ValidationException", message)


@pytest.mark.parametrize(
    ("state", "allowed"), [("STARTING", False), ("RUNNING", True), ("FAILED", True), ("STOPPING", False)]
)
def test_an_endpoint_can_be_deleted_from_these_states_alone(
    aws: Aws, sagemaker: Any, state: str, allowed: bool
) -> None:
    in_service(sagemaker, "busy")
    aws.model(DETECTION, status=state)
    answer = error_of(sagemaker.delete_endpoint, EndpointName="busy")
    refusal = f'Cannot update in-progress endpoint "{endpoint_arn("busy")}".'
    assert answer == ((0, "", "") if allowed else (400, "ValidationException", refusal))


def test_a_config_cannot_be_made_twice(sagemaker: Any, own_config: str) -> None:
    variant = {"VariantName": "all", "ModelName": own_config, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    refusal = error_of(sagemaker.create_endpoint_config, EndpointConfigName=own_config, ProductionVariants=[variant])
    assert refusal[1] == "ValidationException"


def test_of_many_who_create_the_same_endpoint_at_once_one_does(aws: Aws, sagemaker: Any) -> None:
    begin = threading.Barrier(8)

    def create(_: int) -> str:
        begin.wait()
        return error_of(sagemaker.create_endpoint, EndpointName="crowded", EndpointConfigName=DETECTION)[1]

    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(create, range(8)))
    assert sorted(codes) == ["", *["ValidationException"] * 7]
    names = [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]]
    assert names.count("crowded") == 1
