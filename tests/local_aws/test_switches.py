"""One-time schedules that turn off models of SageMaker and Lookout for Vision."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.local_aws.conftest import Aws, until
from tests.local_aws.endpoints import DETECTION
from tests.local_aws.test_scheduler import OFF, ROLE, at, delivered, refused


@pytest.fixture
def scheduler(aws: Aws) -> Any:
    return aws.client("scheduler")


@pytest.mark.parametrize(
    ("target", "given", "model"),
    [
        pytest.param("sagemaker:deleteEndpoint", {"EndpointName": "watched"}, DETECTION, id="SageMaker"),
        pytest.param(
            "lookoutvision:stopModel",
            {"ProjectName": "label-detection", "ModelVersion": "1"},
            "lookoutvision",
            id="Lookout for Vision",
        ),
    ],
)
def test_a_switch_turns_off_models_of_the_other_types(
    aws: Aws, scheduler: Any, target: str, given: dict[str, str], model: str
) -> None:
    aws.client("sagemaker").create_endpoint(EndpointName="watched", EndpointConfigName=DETECTION)
    aws.model(model, status="RUNNING")
    name = f"label-detection-{uuid4().hex[:8]}"
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression=at(1),
        FlexibleTimeWindow=OFF,
        Target={"Arn": f"arn:aws:scheduler:::aws-sdk:{target}", "RoleArn": ROLE, "Input": json.dumps(given)},
    )
    until(lambda: aws.model(model)["status"] == "STOPPED")
    until(lambda: delivered(aws, name))


@pytest.mark.parametrize("target", ["lookoutvision:stopModel", "sagemaker:deleteEndpoint"])
def test_a_switch_whose_input_names_no_model_is_refused(scheduler: Any, target: str) -> None:
    arn = f"arn:aws:scheduler:::aws-sdk:{target}"
    schedule = {"Name": "wrong", "ScheduleExpression": at(60), "FlexibleTimeWindow": OFF}
    code, message = refused(
        scheduler.create_schedule, **schedule, Target={"Arn": arn, "RoleArn": ROLE, "Input": '{"Model": "1"}'}
    )
    assert code == "ValidationException"
    assert "RequestJson" in message
