"""Rekognition's hook: the model's state, start and stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import StringShape

from label_detection.hooks.clients import s3_client, sqs_client
from label_detection.hooks.model import ModelInUseError, Phase, model_hook
from label_detection.hooks.rekognition import RekognitionModelHook
from label_detection_core.config.model_types import model_of
from sandbox.waiting import wait_until

if TYPE_CHECKING:
    from tests.conftest import Aws

PHASES = {
    "TRAINING_COMPLETED": Phase.OFF,
    "COPYING_COMPLETED": Phase.OFF,
    "STOPPED": Phase.OFF,
    "FAILED": Phase.OFF,
    "STARTING": Phase.STARTING,
    "RUNNING": Phase.RUNNING,
    "STOPPING": Phase.STOPPING,
    "TRAINING_IN_PROGRESS": Phase.UNUSABLE,
    "TRAINING_FAILED": Phase.UNUSABLE,
    "COPYING_IN_PROGRESS": Phase.UNUSABLE,
    "COPYING_FAILED": Phase.UNUSABLE,
    "DELETING": Phase.UNUSABLE,
    "DEPRECATED": Phase.UNUSABLE,
    "EXPIRED": Phase.UNUSABLE,
}


def hook_of(model_arn: str) -> RekognitionModelHook:
    return RekognitionModelHook(model_of(model_arn), aws_conn_id="aws_default", region_name="us-east-1")


def test_the_table_has_every_state_of_the_service(hook: RekognitionModelHook) -> None:
    states = hook.api.meta.service_model.shape_for("ProjectVersionStatus")
    assert isinstance(states, StringShape)
    assert set(PHASES) == set(states.enum)


@pytest.mark.parametrize(("status", "phase"), PHASES.items(), ids=PHASES)
def test_each_state_of_the_service_is_a_phase(aws: Aws, hook: RekognitionModelHook, status: str, phase: Phase) -> None:
    aws.put_model(status)
    state = hook.describe()
    assert (state.status, state.phase) == (status, phase)
    assert state.is_on == (status in {"STARTING", "RUNNING", "STOPPING"})


@pytest.mark.parametrize("status", [status for status, phase in PHASES.items() if phase is Phase.UNUSABLE])
def test_a_state_that_cannot_be_started_has_the_cure(aws: Aws, hook: RekognitionModelHook, status: str) -> None:
    aws.control("model", "PUT", {"status": status, "message": "The service's own message"})
    assert hook.describe().reason.startswith("The service's own message; ")
    assert str(hook.describe()).startswith(f"{status} (The service's own message; ")


def test_the_project_arn_is_looked_up_and_not_derived_from_the_versions(aws: Aws, hook: RekognitionModelHook) -> None:
    (project,) = hook.api.describe_projects()["ProjectDescriptions"]
    assert hook.project_arn == project["ProjectArn"]
    assert hook.project_arn.rpartition("/")[2] != aws.settings.model_arn.rpartition("/")[2]


def test_the_waiters_ask_for_this_version_alone(hook: RekognitionModelHook) -> None:
    assert hook.waiter_args() == {"ProjectArn": hook.project_arn, "VersionNames": [hook.version]}


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("project/label-detection/", "project/no-such-project/", "'no-such-project'"),
        ("/version/1/", "/version/no-such-version/", "no-such-version"),
        ("/version/1/1", "/version/1/9", "/version/1/9"),
    ],
    ids=["project", "version", "number"],
)
def test_an_unknown_model_is_an_error_that_names_it(aws: Aws, old: str, new: str, named: str) -> None:
    unknown = aws.settings.model_arn.replace(old, new)
    assert unknown != aws.settings.model_arn
    with pytest.raises(LookupError, match=f"no (project|model) .*{named}.*: check model_arn"):
        hook_of(unknown).describe()


def test_what_is_not_an_arn_of_a_version_is_refused_before_any_call() -> None:
    with pytest.raises(ValueError, match=r"must be the ARN of a model: arn:aws:rekognition:"):
        hook_of("arn:aws:s3:::bucket")


def test_start_asks_for_the_units(aws: Aws, hook: RekognitionModelHook) -> None:
    hook.start(3)
    assert aws.model()["units"] == 3
    wait_until(lambda: hook.describe().is_on, 30, "Describe to show the start")
    assert hook.describe().units == 3


@pytest.mark.parametrize("most", [None, 3, 7], ids=["not set", "no more", "more"])
def test_start_passes_on_what_aws_may_add(hook: RekognitionModelHook, most: int | None) -> None:
    hook.start(3, most)
    wait_until(lambda: hook.describe().is_on, 30, "Describe to show the start")
    answer = hook.api.describe_project_versions(**hook.waiter_args())
    (version,) = answer["ProjectVersionDescriptions"]
    assert (version["MinInferenceUnits"], version.get("MaxInferenceUnits")) == (3, most)


@pytest.mark.parametrize("status", ["STARTING", "RUNNING", "STOPPING"])
def test_start_of_a_model_that_is_on_is_in_use(aws: Aws, hook: RekognitionModelHook, status: str) -> None:
    aws.put_model(status)
    with pytest.raises(ModelInUseError, match=status):
        hook.start(1)


def test_stop_of_a_running_model_begins_to_stop_it(aws: Aws, hook: RekognitionModelHook) -> None:
    aws.put_model("RUNNING")
    hook.stop()
    assert aws.model()["status"] == "STOPPING"


@pytest.mark.parametrize("status", ["STARTING", "STOPPING", "STOPPED", "TRAINING_COMPLETED"])
def test_stop_of_a_model_that_is_not_running_is_in_use(aws: Aws, hook: RekognitionModelHook, status: str) -> None:
    aws.put_model(status)
    with pytest.raises(ModelInUseError, match=status):
        hook.stop()
    assert aws.model()["status"] == status


@pytest.mark.parametrize("operation", ["StartProjectVersion", "StopProjectVersion"])
def test_another_error_of_start_or_stop_is_raised_as_it_is(
    aws: Aws, hook: RekognitionModelHook, operation: str
) -> None:
    aws.fail("rekognition", operation, status=400, code="AccessDeniedException", message="not yours")
    with pytest.raises(ClientError, match=r"AccessDeniedException.*not yours"):
        hook.start(1) if operation == "StartProjectVersion" else hook.stop()


def test_the_endpoint_variable_alone_points_all_clients_to_another_aws(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def async_endpoint() -> str:
        async with await hook_of(aws.settings.model_arn).get_async_conn() as client:
            return str(client.meta.endpoint_url)

    def endpoints() -> set[str]:
        model = model_hook(aws.settings)
        assert isinstance(model, RekognitionModelHook)
        clients = (model.api, s3_client(aws.settings), sqs_client(aws.settings))
        return {client.meta.endpoint_url for client in clients} | {asyncio.run(async_endpoint())}

    assert endpoints() == {aws.environment["AWS_ENDPOINT_URL"]}
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert all(endpoint.endswith(".amazonaws.com") for endpoint in endpoints())


def config_of(client: Any) -> Any:
    return client.meta.config


def test_the_clients_are_in_the_models_region_and_retry_adaptively(aws: Aws) -> None:
    there = aws.settings.model_copy(update={"model_arn": aws.settings.model_arn.replace("us-east-1", "eu-west-1")})
    model = model_hook(there)
    assert isinstance(model, RekognitionModelHook)
    assert model.api.meta.region_name == "eu-west-1"
    assert config_of(model.api).retries["mode"] == "adaptive"
    for client in (s3_client(there, workers=7), sqs_client(there, workers=7)):
        assert client.meta.region_name == "eu-west-1"
        assert config_of(client).retries["mode"] == "adaptive"
        assert config_of(client).max_pool_connections > 7
