"""Injected faults, and the control pages."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.local_aws.conftest import Aws, running, until
from tests.local_aws.lookout import Lookout, error
from tests.local_aws.pictures import photograph, png


def fault(service: str, operation: str, **more: Any) -> dict[str, Any]:
    return {"service": service, "operation": operation, "code": "Broken", "message": "on purpose", **more}


def failure(call: Callable[..., Any], **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"].get("Message", "")


def code_of(call: Callable[..., Any], **arguments: Any) -> str:
    """The error's code; empty if there was none."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def calls(aws: Aws) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    s3, sqs, rekognition = aws.client("s3"), aws.client("sqs"), aws.client("rekognition")
    place = {"Bucket": aws.source, "Key": "part 1/é.txt"}
    arn = {"ProjectVersionArn": aws.model_arn}
    queue = {"QueueUrl": aws.queue_url}
    entries = [{"Id": "1", "ReceiptHandle": "x"}]
    sagemaker, runtime = aws.client("sagemaker"), aws.client("sagemaker-runtime")
    endpoint = {"EndpointName": "eyes"}
    return {
        "s3:PutObject": (s3.put_object, {**place, "Body": b"1"}),
        "s3:GetObject": (s3.get_object, place),
        "s3:HeadObject": (s3.head_object, place),
        "s3:CopyObject": (s3.copy_object, {**place, "CopySource": {**place}}),
        "s3:DeleteObject": (s3.delete_object, place),
        "s3:GetObjectTagging": (s3.get_object_tagging, place),
        "s3:ListObjectsV2": (s3.list_objects_v2, {"Bucket": aws.source}),
        "s3:HeadBucket": (s3.head_bucket, {"Bucket": aws.source}),
        "s3:DeleteObjects": (s3.delete_objects, {"Bucket": aws.source, "Delete": {"Objects": [{"Key": "a"}]}}),
        "s3:CreateMultipartUpload": (s3.create_multipart_upload, place),
        "s3:UploadPart": (s3.upload_part, {**place, "UploadId": "1", "PartNumber": 1, "Body": b"1"}),
        "sqs:ReceiveMessage": (sqs.receive_message, queue),
        "sqs:DeleteMessageBatch": (sqs.delete_message_batch, {**queue, "Entries": entries}),
        "sqs:GetQueueAttributes": (sqs.get_queue_attributes, queue),
        "rekognition:StartProjectVersion": (rekognition.start_project_version, {**arn, "MinInferenceUnits": 1}),
        "rekognition:StopProjectVersion": (rekognition.stop_project_version, arn),
        "rekognition:DescribeProjects": (rekognition.describe_projects, {}),
        "rekognition:DetectCustomLabels": (rekognition.detect_custom_labels, {**arn, "Image": {"Bytes": b"1"}}),
        "sagemaker:CreateEndpoint": (sagemaker.create_endpoint, {**endpoint, "EndpointConfigName": "none"}),
        "sagemaker:DescribeEndpoint": (sagemaker.describe_endpoint, endpoint),
        "sagemaker:DeleteEndpoint": (sagemaker.delete_endpoint, endpoint),
        "sagemaker:InvokeEndpoint": (
            runtime.invoke_endpoint,
            {**endpoint, "Body": png(photograph("moon")), "ContentType": "image/png"},
        ),
        "sns:ListTopics": (aws.client("sns").list_topics, {}),
        "scheduler:GetSchedule": (aws.client("scheduler").get_schedule, {"Name": "a"}),
        "iam:ListRoles": (aws.client("iam").list_roles, {}),
    }


NAMES = [
    *("s3:PutObject", "s3:GetObject", "s3:HeadObject", "s3:CopyObject", "s3:DeleteObject", "s3:GetObjectTagging"),
    *("s3:ListObjectsV2", "s3:HeadBucket", "s3:DeleteObjects", "s3:CreateMultipartUpload", "s3:UploadPart"),
    *("sqs:ReceiveMessage", "sqs:DeleteMessageBatch", "sqs:GetQueueAttributes"),
    *("rekognition:StartProjectVersion", "rekognition:StopProjectVersion", "rekognition:DescribeProjects"),
    *("sagemaker:CreateEndpoint", "sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"),
    *(
        "sagemaker:InvokeEndpoint",
        "rekognition:DetectCustomLabels",
        "sns:ListTopics",
        "scheduler:GetSchedule",
        "iam:ListRoles",
    ),
]


@pytest.mark.parametrize("name", NAMES)
def test_only_the_chosen_call_fails_and_in_its_services_format(aws: Aws, name: str) -> None:
    service, _, operation = name.partition(":")
    aws.faults(fault(service, operation, status=503, times=1))
    all_calls = calls(aws)
    for other, (call, arguments) in all_calls.items():
        if other != name and other.startswith(service):
            assert code_of(call, **arguments) not in ("Broken", "503"), other
    call, arguments = all_calls[name]
    head = operation.startswith("Head")  # the answer has no body, so botocore knows only the status
    expected = (503, "503", "Service Unavailable") if head else (503, "Broken", "on purpose")
    status, code, message = failure(call, **arguments)
    assert (status, code) == expected[:2]
    assert head or message == expected[2]
    assert aws.left_faults() == []


LOOKOUT: dict[str, Callable[[Lookout], requests.Response]] = {
    "DescribeModel": Lookout.describe,
    "StartModel": Lookout.start,
    "StopModel": Lookout.stop,
    "DetectAnomalies": lambda lookout: lookout.detect(png(photograph("moon"))),
}


@pytest.mark.parametrize("operation", LOOKOUT)
def test_only_the_chosen_call_of_lookout_for_vision_fails_and_in_its_format(aws: Aws, operation: str) -> None:
    lookout = Lookout(aws)
    aws.faults(fault("lookoutvision", operation, status=503, times=1))
    for other, call in LOOKOUT.items():
        if other != operation:
            assert error(call(lookout))[1] != "Broken"
    assert error(LOOKOUT[operation](lookout)) == (503, "Broken")
    assert aws.left_faults() == []


def test_a_fault_before_keeps_the_call_from_happening_and_one_after_does_not(aws: Aws, s3: Any) -> None:
    for when, happened in (("before", 0), ("after", 1)):
        aws.faults(fault("s3", "PutObject", when=when, times=1))
        assert failure(s3.put_object, Bucket=aws.final, Key="a", Body=b"1")[1] == "Broken"
        assert s3.list_objects_v2(Bucket=aws.final)["KeyCount"] == happened


def test_a_fault_lasts_for_its_number_of_calls(aws: Aws, s3: Any) -> None:
    aws.faults(fault("s3", "ListObjectsV2", times=2))
    assert failure(s3.list_objects_v2, Bucket=aws.final)[0] == 500
    assert aws.left_faults()[0]["times"] == 1
    failure(s3.list_objects_v2, Bucket=aws.final)
    s3.list_objects_v2(Bucket=aws.final)
    aws.faults(fault("s3", "*"))
    for _ in range(5):
        failure(s3.list_objects_v2, Bucket=aws.final)
    assert requests.delete(f"{aws.endpoint}/_local/faults", timeout=10).json() == []
    s3.list_objects_v2(Bucket=aws.final)


def test_a_fault_can_be_for_one_key_or_one_body(aws: Aws, s3: Any, sqs: Any) -> None:
    aws.faults(fault("s3", "PutObject", key="é 2"), fault("sqs", "SendMessage", key="poison"))
    s3.put_object(Bucket=aws.final, Key="é 1.png", Body=b"1")
    assert failure(s3.put_object, Bucket=aws.final, Key="é 2.png", Body=b"1")[1] == "Broken"
    url = sqs.create_queue(QueueName="bodies")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="bread")
    assert failure(sqs.send_message, QueueUrl=url, MessageBody="poison")[1] == "Broken"


def test_a_fault_for_every_service_is_for_every_service(aws: Aws) -> None:
    aws.faults(fault("*", "*"))
    for name, (call, arguments) in calls(aws).items():
        assert code_of(call, **arguments) in ("Broken", "500"), name


def test_a_fault_with_a_probability_fails_the_same_calls_with_the_same_seed(aws: Aws, s3: Any) -> None:
    def drawn(seed: int) -> list[bool]:
        # The first fault never applies; it must not affect how often the second one does.
        aws.faults(fault("s3", "*", probability=0), fault("s3", "HeadBucket", probability=0.3, seed=seed))
        return [bool(code_of(s3.head_bucket, Bucket=aws.final)) for _ in range(100)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 15 <= sum(drawn(1)) <= 45


def test_only_the_calls_that_are_drawn_are_counted(aws: Aws, s3: Any) -> None:
    aws.faults(fault("s3", "HeadBucket", probability=0.2, times=3))
    assert sum(bool(code_of(s3.head_bucket, Bucket=aws.final)) for _ in range(100)) == 3
    assert aws.left_faults() == []


@pytest.mark.parametrize(("when", "happened"), [("before", 0), ("after", 1)])
def test_a_cut_connection_is_a_connection_error_and_the_next_call_works(
    aws: Aws, s3: Any, when: str, happened: int
) -> None:
    aws.faults(fault("s3", "PutObject", when=when, reset=True, times=1))
    with pytest.raises(ConnectionClosedError) as caught:
        s3.put_object(Bucket=aws.final, Key="a", Body=b"1" * 100_000)
    assert "reset by peer" in str(caught.value.kwargs["error"])
    assert s3.list_objects_v2(Bucket=aws.final)["KeyCount"] == happened


@pytest.mark.parametrize(("when", "happened"), [("before", 0), ("after", 1)])
def test_a_held_call_is_gone_from_the_faults_and_carried_out_or_not_at_once(
    aws: Aws, s3: Any, when: str, happened: int
) -> None:
    aws.faults(fault("s3", "PutObject", when=when, delay=4, times=1))
    with ThreadPoolExecutor(1) as thread:
        began = time.monotonic()
        held = thread.submit(code_of, s3.put_object, Bucket=aws.final, Key="a", Body=b"1")
        until(lambda: aws.left_faults() == [])
        until(lambda: s3.list_objects_v2(Bucket=aws.final)["KeyCount"] == happened)
        assert not held.done() or time.monotonic() - began >= 4
        assert held.result() == "Broken"
        assert time.monotonic() - began >= 4
    assert s3.list_objects_v2(Bucket=aws.final)["KeyCount"] == happened


@pytest.mark.parametrize("ended", [False, True], ids=["after its delay", "when the faults are ended"])
def test_a_late_call_is_carried_out(aws: Aws, s3: Any, ended: bool) -> None:
    aws.faults(fault("s3", "PutObject", when="late", delay=600 if ended else 2, times=1))
    with ThreadPoolExecutor(1) as thread:
        began = time.monotonic()
        late = thread.submit(code_of, s3.put_object, Bucket=aws.final, Key="a", Body=b"1")
        until(lambda: aws.left_faults() == [])
        found = s3.list_objects_v2(Bucket=aws.final)["KeyCount"]
        assert found == 0 or time.monotonic() - began >= 2
        if ended:
            requests.delete(f"{aws.endpoint}/_local/faults", timeout=10)
        assert late.result(60) == "Broken"
    assert s3.list_objects_v2(Bucket=aws.final)["KeyCount"] == 1


def test_a_held_call_whose_caller_is_gone_does_no_harm(tmp_path: Path) -> None:
    with running(tmp_path) as aws:
        s3 = aws.client("s3")
        impatient = aws.client("s3", read_timeout=0.3)
        for reset in (False, True):
            # The delay is much longer than the caller's time-out, so that the order is stable on a busy machine.
            aws.faults(fault("s3", "PutObject", delay=5, times=1, reset=reset))
            with pytest.raises(ReadTimeoutError):
                impatient.put_object(Bucket=aws.final, Key="a", Body=b"1")
        time.sleep(5.5)
        assert s3.list_objects_v2(Bucket=aws.final)["KeyCount"] == 0
    assert "Traceback" not in (tmp_path / "aws.log").read_text()
    assert "fault before s3:PutObject: reset" in (tmp_path / "aws.log").read_text()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param({}, "list", id="not a list"),
        pytest.param(["x"], "object", id="not an object"),
        pytest.param([{"operation": "PutObject"}], "service", id="no service"),
        pytest.param([{"service": "s3"}], "operation", id="no operation"),
        pytest.param([fault("s3", "PutObject", status=42)], "status", id="no such status"),
        pytest.param([fault("s3", "PutObject", when="later")], "when", id="no such time"),
        pytest.param([fault("s3", "PutObject", times=0)], "times", id="no times"),
        pytest.param([fault("s3", "PutObject", times=True)], "times", id="times is true"),
        pytest.param([fault("s3", "PutObject", key=5)], "key", id="key is a number"),
        pytest.param([fault("s3", "PutObject", probability=1.5)], "probability", id="probability over 1"),
        pytest.param([fault("s3", "PutObject", probability="half")], "probability", id="probability is a text"),
        pytest.param([fault("s3", "PutObject", seed=0.5)], "seed", id="half a seed"),
        pytest.param([fault("s3", "PutObject", delay=-1)], "delay", id="negative delay"),
        pytest.param([fault("s3", "PutObject", delay=3601)], "delay", id="infinite delay"),
        pytest.param([fault("s3", "PutObject", reset="yes")], "reset", id="reset is a text"),
        pytest.param([fault("s3", "PutObject", speed=5)], "speed", id="unknown member"),
    ],
)
def test_a_wrong_fault_is_refused_with_the_cause_and_changes_nothing(aws: Aws, value: Any, said: str) -> None:
    aws.faults(fault("s3", "GetObject"))
    answer = requests.put(f"{aws.endpoint}/_local/faults", json=value, timeout=10)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert [left["operation"] for left in aws.left_faults()] == ["GetObject"]


@pytest.mark.parametrize(
    ("method", "page", "body", "status"),
    [
        ("PUT", "model", "{", 400),
        ("PUT", "model", "[]", 400),
        ("PUT", "model", '{"status": "ON"}', 400),
        ("PUT", "model", '{"start_outcome": "ON", "status": "FAILED"}', 400),
        ("PUT", "model", '{"state": "FAILED"}', 400),
        ("PUT", "model", '{"status": "FAILED", "message": 5}', 400),
        ("PUT", "model", '{"rate": -1}', 400),
        ("PUT", "model", '{"latency": "long"}', 400),
        ("PUT", "model", '{"start_seconds": -1}', 400),
        ("PUT", "model", '{"stop_seconds": null}', 400),
        ("PUT", "faults", "", 400),
        ("DELETE", "model", "", 405),
        ("POST", "faults", "[]", 405),
        ("PUT", "schedules", "[]", 405),
        ("GET", "model/9", "", 404),
        ("GET", "faults/9", "", 404),
        ("GET", "other", "", 404),
    ],
)
def test_a_wrong_request_to_a_control_page_is_answered_with_an_error(
    aws: Aws, method: str, page: str, body: str, status: int
) -> None:
    answer = requests.request(method, f"{aws.endpoint}/_local/{page}", data=body, timeout=10)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert aws.model()["status"] == "TRAINING_COMPLETED"
