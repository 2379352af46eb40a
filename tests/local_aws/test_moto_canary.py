"""Properties of moto that the embedded AWS depends on. A failure means: check the embedded AWS again."""

import inspect
from importlib.metadata import version
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend, cloudwatch_backends
from moto.core.base_backend import BaseBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler
from moto.rekognition.models import RekognitionBackend, rekognition_backends
from moto.s3 import notifications
from moto.s3.models import S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.s3.urls import url_paths
from moto.sagemaker.models import FakeEndpoint, SageMakerModelBackend, sagemaker_backends
from moto.sagemakerruntime.models import SageMakerRuntimeBackend, sagemakerruntime_backends
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.scheduler.models import EventBridgeSchedulerBackend, scheduler_backends
from moto.sqs.models import Queue, SQSBackend, sqs_backends


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_moto_is_the_version_it_was_written_against() -> None:
    assert version("moto").startswith("5.2.")


def test_a_backend_class_of_moto_can_be_replaced() -> None:
    for backends, backend in (
        (cloudwatch_backends, CloudWatchBackend),
        (rekognition_backends, RekognitionBackend),
        (s3_backends, S3Backend),
        (sagemaker_backends, SageMakerModelBackend),
        (sagemakerruntime_backends, SageMakerRuntimeBackend),
        (scheduler_backends, EventBridgeSchedulerBackend),
        (sqs_backends, SQSBackend),
    ):
        assert issubclass(backends.backend, backend)
    assert "self.__class__.__module__" in inspect.getsource(vars(BaseBackend)["_url_module"].fget)


def test_the_event_functions_are_looked_up_in_their_module_by_name() -> None:
    assert parameters(notifications._get_s3_event) == ["event_name", "bucket", "key", "notification_id"]
    assert parameters(notifications._send_event_bridge_message) == ["account_id", "bucket", "event_name", "key"]
    source = inspect.getsource(notifications.send_event)
    assert "_get_s3_event(" in source
    assert "_send_event_bridge_message(" in source


def test_s3_has_the_methods_that_are_overridden() -> None:
    for name in ("key_response", "bucket_response", "copy_object", "delete_object", "parse_key_name"):
        assert callable(getattr(S3Response, name))
    assert any("(?P<key_name>.+)" in path for path in url_paths)
    assert "x-amz-copy-source-if-match" not in inspect.getsource(S3Response.copy_object)


def test_a_queue_keeps_its_messages_where_the_store_stands_in() -> None:
    source = inspect.getsource(Queue)
    for use in ("self._messages.append(message)", "self._messages_lock = Condition()", "self._messages: list"):
        assert use in source
    assert parameters(SQSBackend.receive_message)[1:5] == [
        "queue_name",
        "count",
        "wait_seconds_timeout",
        "visibility_timeout",
    ]


def test_an_update_of_a_schedule_leaves_its_action_after_completion_out() -> None:
    assert "action_after_completion" in parameters(EventBridgeSchedulerBackend.create_schedule)
    assert "action_after_completion" not in parameters(EventBridgeSchedulerBackend.update_schedule)


def test_sagemaker_keeps_its_endpoints_where_the_lives_stand_in() -> None:
    backend = SageMakerModelBackend("us-east-1", "123456789012")
    assert backend.endpoints == {}
    assert "self.endpoints.values()" in inspect.getsource(vars(SageMakerModelBackend)["list_endpoints"].__wrapped__)
    assert parameters(SageMakerModelBackend.create_endpoint) == [
        "self",
        "endpoint_name",
        "endpoint_config_name",
        "tags",
    ]
    assert parameters(FakeEndpoint) == [
        *("account_id", "region_name", "endpoint_name", "endpoint_config_name", "production_variants"),
        *("data_capture_config", "tags"),
    ]
    make: Any = FakeEndpoint
    record = make("1", "us-east-1", "a", "b", [], {}, [])
    assert {"arn", "endpoint_status", "failure_reason", "last_modified_time"} <= set(vars(record))


def test_the_runtime_can_be_given_bytes() -> None:
    assert SageMakerRuntimeResponse.use_raw_body is False
    assert callable(SageMakerRuntimeResponse.invoke_endpoint)


def test_the_server_has_the_seams_that_are_used() -> None:
    assert parameters(DomainDispatcherApplication.get_backend_for_host) == ["self", "host"]
    assert parameters(MotoRequestHandler.run_wsgi) == ["self"]
