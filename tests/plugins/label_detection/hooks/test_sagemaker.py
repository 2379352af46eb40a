"""The differences of SageMaker's hook: endpoints are created and deleted, and answers have three formats.

`test_conformance.py` specifies what is common to all hooks.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import cv2
import numpy as np
import psutil
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import WaiterError
from botocore.model import StringShape
from botocore.stub import Stubber
from urllib3 import HTTPResponse

from label_detection.hooks.model import ModelInUseError, Phase, hook_for
from label_detection.hooks.pacing import Load
from label_detection.hooks.sagemaker import SageMakerModelHook
from label_detection_core.config.model_types import ENDPOINT_PREFIX, model_of
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import ImageRefusedError, TryAgainError
from label_detection_core.queue.messages import ImageRef
from sandbox.waiting import wait_until
from tests.core.images import upload
from tests.plugins.label_detection.hooks.conftest import Show

if TYPE_CHECKING:
    from tests.conftest import Aws

MB = 1024 * 1024
CONFIGS = ("object-detection", "image-classification", "huggingface")
#: By state: its phase, whether an endpoint is left to delete, and the result of each waiter.
DONE, GOES_ON, FAILS = "done", "goes on", "fails"
STATES = {
    "Creating": (Phase.STARTING, False, GOES_ON, GOES_ON),
    "InService": (Phase.RUNNING, False, DONE, GOES_ON),
    "Updating": (Phase.RUNNING, False, DONE, GOES_ON),
    "SystemUpdating": (Phase.RUNNING, False, DONE, GOES_ON),
    "RollingBack": (Phase.RUNNING, False, DONE, GOES_ON),
    "Deleting": (Phase.STOPPING, False, FAILS, GOES_ON),
    "Failed": (Phase.OFF, True, FAILS, GOES_ON),
    "OutOfService": (Phase.OFF, True, FAILS, GOES_ON),
    "UpdateRollbackFailed": (Phase.RUNNING, False, DONE, GOES_ON),
}


@pytest.fixture
def model_kind() -> str:
    return "sagemaker"


@pytest.fixture
def hook(aws: Aws) -> SageMakerModelHook:
    hook = hook_of(aws.settings.model_arn)
    assert isinstance(hook, SageMakerModelHook)
    return hook


def hook_of(arn: str) -> Any:
    return hook_for(model_of(arn), "aws_default", Config(retries={"total_max_attempts": 1}))


def response(status: int, headers: Any, body: bytes) -> AWSResponse:
    return AWSResponse("http://container", status, headers, HTTPResponse(io.BytesIO(body), preload_content=False))


def test_the_table_has_every_state_of_the_service(hook: SageMakerModelHook) -> None:
    states = hook.api.meta.service_model.shape_for("EndpointStatus")
    assert isinstance(states, StringShape)
    assert set(STATES) == set(states.enum)


@pytest.mark.parametrize("status", STATES)
def test_each_state_is_a_phase_and_ends_the_wait_or_goes_on(hook: SageMakerModelHook, status: str) -> None:
    """Uses a stub, because the embedded AWS has only four of the states; the others belong to updates."""
    phase, remains, running, stopped = STATES[status]
    times: Any = {"CreationTime": 0, "LastModifiedTime": 0}
    endpoint = {"EndpointName": hook.endpoint, "EndpointArn": "arn:aws:" + "x" * 20, "EndpointStatus": status, **times}
    variants = [{"VariantName": "all", "CurrentInstanceCount": 2}, {"VariantName": "new", "DesiredInstanceCount": 1}]
    with Stubber(hook.api) as stub:
        stub.add_response("describe_endpoint", endpoint | {"ProductionVariants": variants})
        state = hook.describe()
        assert (state.phase, state.remains, state.units, state.fixed_units) == (phase, remains, 3, 3)
        for waiter, expected in (("model_running", running), ("model_stopped", stopped)):
            stub.add_response("describe_endpoint", endpoint)
            assert one_look(hook, waiter) == expected


def one_look(hook: SageMakerModelHook, waiter: str) -> str:
    try:
        hook.get_waiter(waiter).wait(**hook.waiter_args(), WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    except WaiterError as error:
        return GOES_ON if "Max attempts exceeded" in str(error) else FAILS
    return DONE


def test_the_endpoint_has_its_own_name_that_aws_accepts(aws: Aws) -> None:
    arn = aws.settings.model_arn
    longest = arn.replace("label-detection-object-detection", "a" * 37 + "-" * 3 + "b" * 23)
    names = {hook_of(other).endpoint for other in (arn, arn.replace("us-east-1", "eu-west-1"), longest)}
    assert len(names) == 3
    shape = boto3.client("sagemaker").meta.service_model.shape_for("EndpointName").metadata
    assert all(name.startswith(ENDPOINT_PREFIX) and len(name) <= shape["max"] and "--" not in name for name in names)


def test_an_endpoint_that_another_user_made_is_neither_used_nor_deleted(aws: Aws, hook: SageMakerModelHook) -> None:
    api, theirs = boto3.client("sagemaker"), hook.endpoint_config
    api.create_endpoint(EndpointName=theirs, EndpointConfigName=hook.endpoint_config)
    try:
        assert (hook.describe().phase, hook.describe().status) == (Phase.OFF, "NoEndpoint")
        with pytest.raises(LookupError):
            hook.stop()
        assert api.describe_endpoint(EndpointName=theirs)["EndpointStatus"] in {"Creating", "InService"}
    finally:
        api.get_waiter("endpoint_in_service").wait(EndpointName=theirs, WaiterConfig={"Delay": 1})
        api.delete_endpoint(EndpointName=theirs)
        api.get_waiter("endpoint_deleted").wait(EndpointName=theirs, WaiterConfig={"Delay": 1})
        hook.start(1)  # the pipeline's endpoint is again the newest, whose name control pages use
        aws.put_model("STOPPED")


def test_a_failed_endpoint_has_its_reason_and_prevents_a_start_until_it_is_deleted(
    aws: Aws, hook: SageMakerModelHook
) -> None:
    aws.change_model(status="FAILED", message="no capacity in the Region")
    state = hook.describe()
    assert (state.phase, state.remains, state.reason) == (Phase.OFF, True, "no capacity in the Region")
    with pytest.raises(ModelInUseError, match="already existing"):
        hook.start(1)
    hook.stop()
    assert hook.describe().phase is Phase.STOPPING


@pytest.mark.parametrize(
    ("variant", "more", "says"),
    [
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}, {}, "real-time endpoint on instances"),
        (
            {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"},
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://parts/out"}}},
            "real-time endpoint on instances",
        ),
        ({"ModelName": None, "InitialInstanceCount": 2}, {}, "inference components"),
    ],
    ids=["serverless", "asynchronous", "inference components"],
)
def test_a_configuration_without_real_time_answers_is_not_started(
    hook: SageMakerModelHook, variant: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    """Uses a stub, because the embedded AWS has only real-time endpoints."""
    whole = {"VariantName": "all", "ModelName": "parts", **variant}
    config = {"EndpointConfigName": "parts", "EndpointConfigArn": "arn:aws:" + "x" * 20, "CreationTime": 0, **more}
    with Stubber(hook.api) as stub:
        stub.add_client_error("describe_endpoint", "ValidationException", 'Could not find endpoint "parts".')
        stub.add_response(
            "describe_endpoint_config",
            config | {"ProductionVariants": [{name: value for name, value in whole.items() if value is not None}]},
        )
        state = hook.describe()
    assert (state.phase, state.fixed_units) == (Phase.UNUSABLE, None)
    assert says in state.reason


def test_the_number_of_instances_is_the_configurations_for_any_request(aws: Aws, hook: SageMakerModelHook) -> None:
    assert hook.describe().fixed_units == 1
    hook.start(7, 9)
    wait_until(lambda: hook.describe().phase is Phase.RUNNING, 60, "the endpoint")
    assert hook.describe().units == 1


@pytest.fixture
def scene(aws: Aws, show: Show) -> ImageRef:
    """A known object from (300, 100) to (460, 260) in a picture of 600 x 400 pixels."""
    pixels = np.full((400, 600, 3), 200, np.uint8)
    pixels[100:260, 300:460] = show("thing", 160)
    return upload(aws, "scene.png", cv2.imencode(".png", pixels)[1].tobytes())


@pytest.mark.parametrize("answers", CONFIGS)
def test_what_is_in_a_picture_is_found_in_each_format_of_answers(aws: Aws, scene: ImageRef, answers: str) -> None:
    hook = hook_of(aws.settings.model_arn.replace("object-detection", answers))
    hook.start(1)
    wait_until(lambda: hook.describe().phase is Phase.RUNNING, 60, "the endpoint")
    best = hook.detect(scene, 0).labels[0]
    hook.stop()
    assert best["Name"] == ("thing" if answers == "huggingface" else "0")
    assert 50 < best["Confidence"] <= 100
    if answers == "image-classification":
        assert "Geometry" not in best
    else:
        box = best["Geometry"]["BoundingBox"]
        assert (box["Left"], box["Top"]) == pytest.approx((300 / 600, 100 / 400), abs=0.03)
        assert (box["Width"], box["Height"]) == pytest.approx((160 / 600, 160 / 400), abs=0.03)


def test_an_image_over_the_limit_of_a_request_is_refused_and_one_at_it_is_taken(
    aws: Aws, hook: SageMakerModelHook, picture: bytes
) -> None:
    aws.put_model("RUNNING")
    most = 25 * 1024 * 1024
    at_most = upload(aws, "a.png", picture + bytes(most - len(picture)))
    hook.detect(at_most, 50)
    with pytest.raises(ImageRefusedError, match="26,214,401 bytes; the model accepts at most 26,214,400"):
        hook.detect(upload(aws, "b.png", picture + bytes(most - len(picture) + 1)), 50)


@pytest.mark.parametrize(
    ("fault", "throttled"),
    [
        pytest.param({"status": 424, "code": "ModelError"}, False, id="the container fails"),
        pytest.param({"status": 429, "code": "ModelNotReadyException"}, True, id="the model is being loaded"),
    ],
)
def test_errors_count_against_an_image_only_if_it_may_be_their_cause(
    aws: Aws, hook: SageMakerModelHook, picture: bytes, fault: dict[str, Any], throttled: bool
) -> None:
    aws.put_model("RUNNING")
    image = upload(aws, "a.png", picture)
    aws.fail_model("detect", message="words of the service", **fault)
    with pytest.raises(TryAgainError, match="words of the service") as again:
        hook.detect(image, 50)
    assert (again.value.error.code, again.value.throttled) == (fault["code"], throttled)


def test_an_overloaded_container_does_not_count_against_the_image_and_slows_the_pace_down(
    aws: Aws, hook: SageMakerModelHook, picture: bytes
) -> None:
    aws.change_model(status="RUNNING", rate=0.05)
    image, pace = upload(aws, "a.png", picture), Pace(100.0, 0.1)
    hook.keep_pace(pace)
    hook.detect(image, 50)
    with pace.image() as calls, pytest.raises(TryAgainError, match=r"server error .503.") as again:
        hook.detect(image, 50)
    aws.change_model(rate=0)
    assert (again.value.error.code, again.value.throttled) == ("ModelError", True)
    assert calls.throttled == 1
    assert pace.images_per_second < 100


def test_an_overloaded_container_is_called_as_often_as_a_throttling_service(aws: Aws, picture: bytes) -> None:
    aws.change_model(status="RUNNING", rate=2)
    image, pace = upload(aws, "a.png", picture), Pace(100.0, 0.1)
    patient = hook_for(aws.settings.model, "aws_default", Config(retries={"total_max_attempts": 10}))
    patient.keep_pace(pace)
    throttled = 0
    for _ in range(4):
        with pace.image() as calls:
            patient.detect(image, 50)
        throttled += calls.throttled
    aws.change_model(rate=0)
    assert throttled > 0


@pytest.mark.parametrize(
    ("answer", "load"),
    [
        ({"Error": {"Code": "ModelError"}, "OriginalStatusCode": 503}, Load.BUSY),
        ({"Error": {"Code": "ModelError"}, "OriginalStatusCode": 429}, Load.BUSY),
        ({"Error": {"Code": "ModelError"}, "OriginalStatusCode": 0}, Load.SILENT),
        ({"Error": {"Code": "ModelError"}, "OriginalStatusCode": 504}, Load.SILENT),
        ({"Error": {"Code": "ModelError"}, "OriginalStatusCode": 500}, Load.NORMAL),
        ({"Error": {"Code": "ModelError"}, "OriginalStatusCode": 413}, Load.NORMAL),
        ({"Error": {"Code": "ModelError"}}, Load.NORMAL),
        ({"Body": b"[]"}, Load.NORMAL),
    ],
    ids=["503", "429", "no answer", "504", "500", "413", "nothing said", "an answer"],
)
def test_only_a_call_to_an_overloaded_container_is_repeated_immediately(
    aws: Aws, hook: SageMakerModelHook, picture: bytes, answer: dict[str, Any], load: Load
) -> None:
    """Uses a stub instead of the container, because the embedded container knows no failure but 503."""
    pace, sent = Pace(1000.0, 0.1), []
    patient: Any = hook_for(aws.settings.model, "aws_default", Config(retries={"total_max_attempts": 3}))
    patient.keep_pace(pace)
    image = upload(aws, "a.png", picture)

    def reply(**_: Any) -> Any:
        sent.append(load)
        body, status = (b'{"Message": "m"}', 424) if "Error" in answer else (b"[]", 200)
        headers = {"x-amzn-ErrorType": answer["Error"]["Code"]} if "Error" in answer else {}
        if "OriginalStatusCode" in answer:
            body = json.dumps({"Message": "m", "OriginalStatusCode": answer["OriginalStatusCode"]}).encode()
        return response(status, headers, body)

    patient.runtime.meta.events.register_last("before-send.sagemaker-runtime.InvokeEndpoint", reply)
    with pace.image() as calls, contextlib.suppress(TryAgainError, ImageRefusedError):
        patient.detect(image, 50)
    assert len(sent) == (3 if load is Load.BUSY else 1)
    assert calls.throttled == (0 if load is Load.NORMAL else len(sent))


@pytest.mark.parametrize(
    ("status", "said", "throttled"),
    [
        (503, '{"code": 503, "type": "InternalServerException", "message": "Prediction failed"}', False),
        (507, '{"code": 507, "type": "InternalServerException", "message": "Worker died."}', False),
        (503, '{"code": 503, "type": "ServiceUnavailableException", "message": "No worker is available"}', True),
        (507, "", True),
    ],
    ids=["its code failed", "it died", "no worker is free", "no message"],
)
def test_a_container_that_fails_at_an_image_counts_against_the_image_whatever_its_status(
    aws: Aws, picture: bytes, status: int, said: str, throttled: bool
) -> None:
    """Uses a stub, because the embedded container has no such failures."""
    hook: Any = hook_for(aws.settings.model, "aws_default", Config(retries={"total_max_attempts": 2}))
    pace, sent = Pace(1000.0, 0.1), []
    hook.keep_pace(pace)

    def reply(**_: Any) -> Any:
        sent.append(status)
        words = f'Received server error ({status}) from primary with message "{said}"'
        body = json.dumps({"Message": words, "OriginalStatusCode": status, "OriginalMessage": said}).encode()
        return response(424, {"x-amzn-ErrorType": "ModelError"}, body)

    hook.runtime.meta.events.register_last("before-send.sagemaker-runtime.InvokeEndpoint", reply)
    with pace.image() as calls, pytest.raises(TryAgainError) as again:
        hook.detect(upload(aws, "a.png", picture), 50)
    assert again.value.throttled is throttled
    assert (len(sent), calls.throttled) == ((2, 2) if throttled else (1, 0))


@pytest.mark.parametrize(
    ("status", "headers", "body", "doubtful"),
    [
        pytest.param(424, "ModelError", {"OriginalStatusCode": 413}, False, id="the container's own limit"),
        pytest.param(413, "RequestEntityTooLarge", {}, False, id="a limit of the service in front of it"),
        pytest.param(400, "ValidationError", {}, True, id="a wrong request"),
        pytest.param(400, "ValidationException", {}, True, id="the error's other name"),
    ],
)
def test_a_permanent_refusal_has_its_reason_and_whether_it_is_doubtful(
    aws: Aws, hook: Any, picture: bytes, status: int, headers: str, body: dict[str, Any], doubtful: bool
) -> None:
    """Uses a stub, because the embedded container has no such limit."""
    said = json.dumps({"Message": "at most 8 MB are taken", **body}).encode()

    def reply(**_: Any) -> Any:
        return response(status, {"x-amzn-ErrorType": headers}, said)

    hook.runtime.meta.events.register_last("before-send.sagemaker-runtime.InvokeEndpoint", reply)
    with pytest.raises(ImageRefusedError, match="at most 8 MB are taken") as refusal:
        hook.detect(upload(aws, "a.png", picture), 50)
    assert refusal.value.doubtful is doubtful


@pytest.mark.parametrize("announced", [True, False], ids=["its size announced", "its size not known"])
def test_the_images_in_a_tasks_memory_stay_within_its_budget(
    aws: Aws, picture: bytes, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    size, budget, threads = 16 * MB, 64 * MB, 16
    monkeypatch.setattr("label_detection.hooks.source_images.MEMORY_BYTES", budget)
    aws.put_model("RUNNING")
    hook = hook_for(aws.settings.model, "aws_default", Config(max_pool_connections=threads))
    hook.keep_pace(Pace(1000.0, 0.1))
    image = upload(aws, "a.png", picture + bytes(size - len(picture)))
    image = image if announced else replace(image, size=None)
    assert (image.size == size) is announced
    small = upload(aws, "b.png", picture)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: hook.detect(small, 50), range(4 * threads)))  # creates threads and connections
        with peak_memory() as peak:
            found = list(pool.map(lambda _: hook.detect(image, 50), range(2 * threads)))
    assert len(found) == 2 * threads
    own = 2.5 * MB * threads  # each thread keeps two megabytes, from signing and sending
    assert peak() < budget + own, "each image may be in memory once, and only while it is worked on"


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """The growth of this process's memory during the block, at its maximum, in bytes."""
    process, ended = psutil.Process(), threading.Event()
    before = most = process.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.005):
            most = max(most, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: most - before
    finally:
        ended.set()
        watcher.join()


def test_a_picture_that_is_cut_off_is_sent_to_the_container(aws: Aws, hook: SageMakerModelHook, picture: bytes) -> None:
    aws.put_model("RUNNING")
    with pytest.raises(TryAgainError) as again:
        hook.detect(upload(aws, "a.png", picture[: len(picture) // 2]), 50)
    assert (again.value.error.code, again.value.throttled) == ("ModelError", False)


def test_an_answer_in_no_known_format_is_an_error_of_the_model(
    aws: Aws, hook: SageMakerModelHook, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    monkeypatch.setattr("label_detection.hooks.sagemaker.detection_of", unknown)
    with pytest.raises(TryAgainError, match="UnknownAnswer: no format") as again:
        hook.detect(upload(aws, "a.png", picture), 50)
    assert not again.value.throttled


def unknown(*_: Any) -> Any:
    raise ValueError("no format")
