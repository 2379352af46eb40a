"""The control pages of all model types: common state names for each, and the service's own."""

from typing import Any

import pytest
import requests

from tests.local_aws.conftest import Aws
from tests.local_aws.endpoints import CLASSIFICATION, DETECTION, HUGGINGFACE, status_of
from tests.local_aws.lookout import ARN, Lookout

CONFIG = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/{DETECTION}"
MEMBERS = {
    *("kind", "name", "arn", "status", "says", "message", "units", "start_outcome", "history", "detects", "throttled"),
    *("on_seconds", "running_seconds", "first_detect_at", "last_detect_at"),
}
SAYS = [
    ("TRAINING_COMPLETED", "TRAINING_COMPLETED", None, "TRAINED"),
    ("STARTING", "STARTING", "Creating", "STARTING_HOSTING"),
    ("RUNNING", "RUNNING", "InService", "HOSTED"),
    ("FAILED", "FAILED", "Failed", "HOSTING_FAILED"),
    ("STOPPING", "STOPPING", "Deleting", "STOPPING_HOSTING"),
    ("STOPPED", "STOPPED", None, "TRAINED"),
]


def test_all_models_are_listed_with_unique_names_and_the_same_members(aws: Aws) -> None:
    models = aws.models()
    kinds = {model["name"]: model["kind"] for model in models}
    assert len(kinds) == len(models)
    sagemaker = dict.fromkeys((DETECTION, CLASSIFICATION, HUGGINGFACE), "sagemaker")
    assert kinds.items() >= {"1": "rekognition", "lookoutvision": "lookoutvision", **sagemaker}.items()
    assert all(set(model) == MEMBERS for model in models)
    assert all(aws.model(model["name"]) == model for model in models if model["status"] == "TRAINING_COMPLETED")


def test_the_arn_is_the_one_that_a_pipeline_is_given(aws: Aws) -> None:
    assert aws.model()["arn"] == aws.model("1")["arn"] == aws.model_arn
    assert aws.model(DETECTION)["arn"] == CONFIG
    assert aws.model("lookoutvision")["arn"] == ARN


@pytest.mark.parametrize(("state", "rekognition", "sagemaker", "lookout"), SAYS)
def test_a_state_set_manually_is_returned_as_the_services_state(
    aws: Aws, state: str, rekognition: str, sagemaker: str | None, lookout: str
) -> None:
    for name, word in (("1", rekognition), (DETECTION, sagemaker), ("lookoutvision", lookout)):
        page = aws.model(name, status=state, message="put there")
        assert (page["status"], page["says"], page["message"]) == (state, word, "put there")
    assert Lookout(aws).status() == lookout
    found = aws.client("sagemaker").list_endpoints(NameContains=DETECTION)["Endpoints"]
    last = aws.model(DETECTION)["status"]
    assert last == state
    if found:
        assert [endpoint["EndpointStatus"] for endpoint in found] == [sagemaker]


def test_an_endpoint_set_to_failed_exists_with_a_reason_and_one_set_to_off_does_not(aws: Aws) -> None:
    sagemaker = aws.client("sagemaker")
    sagemaker.create_endpoint(EndpointName="put-by-hand", EndpointConfigName=CLASSIFICATION)
    aws.model(CLASSIFICATION, status="STOPPED")
    names = [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]]
    assert "put-by-hand" not in names
    aws.model(CLASSIFICATION, status="FAILED", message="no capacity")
    described = sagemaker.describe_endpoint(EndpointName="put-by-hand")
    assert (described["EndpointStatus"], described["FailureReason"]) == ("Failed", "no capacity")
    aws.model(CLASSIFICATION, status="RUNNING")
    assert status_of(sagemaker, "put-by-hand") == "InService"
    assert "FailureReason" not in sagemaker.describe_endpoint(EndpointName="put-by-hand")


@pytest.mark.parametrize("name", [DETECTION, "lookoutvision"])
@pytest.mark.parametrize(
    "change", [{"status": "EXPIRED"}, {"start_outcome": "COPYING_FAILED"}, {"status": "InService"}]
)
def test_the_error_of_an_unknown_state_lists_the_states_of_the_model_type(
    aws: Aws, name: str, change: dict[str, Any]
) -> None:
    answer = requests.put(f"{aws.endpoint}/_local/model/{name}", json=change, timeout=10)
    assert answer.status_code == 400
    states = "TRAINING_COMPLETED, STARTING, RUNNING, FAILED, STOPPING, STOPPED"
    assert f"of a model of {aws.model(name)['kind']} must be one of {states}, not" in answer.json()["error"]
    assert aws.model(name)["status"] == "TRAINING_COMPLETED"


@pytest.mark.parametrize(("method", "page"), [("PUT", "models"), ("GET", "models/1")])
def test_the_list_of_models_can_only_be_read(aws: Aws, method: str, page: str) -> None:
    answer = requests.request(method, f"{aws.endpoint}/_local/{page}", json={}, timeout=10)
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]


def test_a_users_own_config_has_a_page_until_it_is_deleted(aws: Aws) -> None:
    sagemaker = aws.client("sagemaker")
    variant = {"VariantName": "v", "ModelName": DETECTION, "InstanceType": "ml.m5.large", "InitialInstanceCount": 3}
    sagemaker.create_endpoint_config(EndpointConfigName="mine", ProductionVariants=[variant])
    assert aws.model("mine", status="RUNNING")["units"] == 3
    assert status_of(sagemaker, "mine") == "InService"
    aws.model("mine", status="STOPPED")
    sagemaker.delete_endpoint_config(EndpointConfigName="mine")
    assert requests.get(f"{aws.endpoint}/_local/model/mine", timeout=10).status_code == 404
