"""Amazon SageMaker: a model is an endpoint configuration. It is on while an endpoint with this configuration exists."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.exceptions import ClientError

from label_detection.hooks.clients import aws_hook
from label_detection.hooks.model import ModelInUseError, ModelState, Phase, QuotaExceededError, StopTarget
from label_detection.hooks.pacing import Load, keep_pace
from label_detection.hooks.source_images import SendsImages
from label_detection_core import aws_errors
from label_detection_core.config.model_types import Model, endpoint_name
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.endpoint_answers import detection_of
from label_detection_core.labelling.image_bytes import ImageBytes
from label_detection_core.labelling.labeller import ImageRefusedError, TryAgainError
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.queue.messages import ImageRef

if TYPE_CHECKING:
    from mypy_boto3_sagemaker import SageMakerClient
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

#: AWS's endpoint states. An endpoint that serves requests while someone else updates it counts as running.
_PHASES = {
    "Creating": Phase.STARTING,
    "InService": Phase.RUNNING,
    "Updating": Phase.RUNNING,
    "SystemUpdating": Phase.RUNNING,
    "RollingBack": Phase.RUNNING,
    "Deleting": Phase.STOPPING,
    "Failed": Phase.OFF,
    "OutOfService": Phase.OFF,
    "UpdateRollbackFailed": Phase.RUNNING,  # it serves requests, partly in its state from before the update
}
_NONE = "NoEndpoint"  # our own name: SageMaker has none for a missing endpoint
_INVALID = "ValidationException"
#: Error codes of InvokeEndpoint for a bad request, and for an endpoint that the runtime does not know.
_INVALID_CALL = {_INVALID, "ValidationError"}
_TOO_LARGE = 413
#: Client timeout. AWS: a model must answer within 60 s.
_ANSWER_SECONDS = 70
#: HTTP status of an overloaded container: containers queue requests, and refuse them when the queue is full.
#: https://docs.aws.amazon.com/sagemaker/latest/dg/runtime-monitoring-troubleshoot.html
_BUSY = {429, 503, 507, 529}
#: With this text in the response, those statuses do not mean overload: the container's code failed on the image, or
#: crashed (Multi Model Server: 503 "Prediction failed"; TorchServe: 507 "Worker died").
#: https://docs.aws.amazon.com/sagemaker/latest/dg/neo-troubleshooting-inference.html
_FAILED_AT_IT = "InternalServerException"
#: Status that SageMaker reports when a container answers too late or not at all.
_SILENT = {0, 502, 504}


class SageMakerModelHook(SendsImages):
    """The hook of one endpoint configuration, and of the one endpoint that the pipeline makes from it.

    :param model: the endpoint configuration.
    """

    STATUS = "EndpointStatus"
    #: 25 MB to a real-time endpoint, by AWS's FAQ of SageMaker hosting. The service model and older pages give 6 MB. A
    #: container may accept less.
    max_bytes = 25 * 1024 * 1024

    def __init__(self, model: Model, **kwargs: Any) -> None:
        super().__init__(client_type="sagemaker", **kwargs)
        self.model_arn, self.partition = model.arn, model.partition
        self.endpoint_config = model.parts["config"]
        self.endpoint = endpoint_name(model)

    @property
    def api(self) -> SageMakerClient:
        """The service's client."""
        client: SageMakerClient = self.conn
        return client

    @cached_property
    def runtime(self) -> SageMakerRuntimeClient:
        """The client for requests to endpoints."""
        config = self.config.merge(Config(read_timeout=_ANSWER_SECONDS))
        hook = aws_hook("sagemaker-runtime", self.aws_conn_id, self.region_name, verify=self.verify, config=config)
        client: SageMakerRuntimeClient = hook.conn
        return client

    @cached_property
    def waiter_path(self) -> Path:
        """The file with the waiters `model_running` and `model_stopped`."""
        return Path(__file__).parents[1] / "waiters" / "sagemaker.json"

    def waiter_args(self) -> dict[str, Any]:
        """Arguments of DescribeEndpoint."""
        return {"EndpointName": self.endpoint}

    def describe(self) -> ModelState:
        """The endpoint's state now; OFF when there is no endpoint.

        :raises LookupError: when there is no such endpoint configuration either.
        """
        try:
            endpoint = self.api.describe_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if not _is_missing(error):
                raise
            return self._not_made()
        status = str(endpoint["EndpointStatus"])
        phase = _PHASES.get(status, Phase.UNUSABLE)
        variants: list[Any] = list(endpoint.get("ProductionVariants", []))
        instances = sum(each.get("CurrentInstanceCount") or each.get("DesiredInstanceCount", 0) for each in variants)
        return ModelState(
            phase=phase,
            status=status,
            reason=endpoint.get("FailureReason", ""),
            units=instances or None,
            fixed_units=instances or None,
            remains=phase is Phase.OFF,
        )

    def start(self, units: int, max_units: int | None = None) -> None:  # noqa: ARG002  # the endpoint configuration has the units
        """Create the endpoint. The number of instances is that of the endpoint configuration."""
        try:
            self.api.create_endpoint(EndpointName=self.endpoint, EndpointConfigName=self.endpoint_config)
        except ClientError as error:
            said = aws_errors.message(error)
            if aws_errors.code(error) == _INVALID and "already existing" in said:
                raise ModelInUseError(said) from error
            if aws_errors.code(error) == "ResourceLimitExceeded":
                raise QuotaExceededError(
                    f"Amazon SageMaker creates no endpoint from {self.endpoint_config!r}, because the account's quota "
                    f"of instances for endpoints is used up: {said}: delete another endpoint, use fewer or other "
                    "instances in the endpoint configuration, or ask AWS for a higher quota (AWS console: Service "
                    "Quotas, Amazon SageMaker)"
                ) from error
            raise

    def stop(self) -> None:
        """Delete the endpoint. The endpoint configuration and its models stay."""
        try:
            self.api.delete_endpoint(EndpointName=self.endpoint)
        except ClientError as error:
            if _is_missing(error):
                raise LookupError(f"there is no endpoint {self.endpoint}: {aws_errors.message(error)}") from error
            if aws_errors.code(error) in {
                _INVALID,
                "ResourceInUse",
            }:  # the endpoint is being created, or deleted already
                raise ModelInUseError(aws_errors.message(error)) from error
            raise

    def stop_target(self) -> StopTarget:
        """DeleteEndpoint, as a universal target of EventBridge Scheduler in the model's partition."""
        return StopTarget(f"arn:{self.partition}:scheduler:::aws-sdk:sagemaker:deleteEndpoint", self.waiter_args())

    def keep_pace(self, pace: Pace) -> None:
        """Have InvokeEndpoint calls keep the pace. SageMaker rarely throttles them; the container reports overload."""
        self._paced(pace)
        keep_pace(self.runtime, "InvokeEndpoint", pace, self.describe, _load_of)

    def detect(self, image: ImageRef, min_confidence: float | None) -> Detection:
        """The labels that the endpoint returns, with at least `min_confidence` (0-100); None: all labels."""
        with self.picture(image) as picture:
            answer = self._ask(picture)
            try:
                return detection_of(answer, picture.width, picture.height, min_confidence)
            except (ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
                raise TryAgainError(Error("UnknownAnswer", str(error)), throttled=False) from error

    def _ask(self, picture: ImageBytes) -> bytes:
        try:
            answer = self.runtime.invoke_endpoint(
                EndpointName=self.endpoint,
                ContentType=picture.content_type,
                Accept="application/json",
                Body=cast("IO[bytes]", picture.content),
            )
            return answer["Body"].read()
        except ClientError as error:
            problem = Error(aws_errors.code(error), aws_errors.message(error))
            if _TOO_LARGE in {_original_status(error.response), aws_errors.status(error)}:
                raise ImageRefusedError(problem) from error
            # A container returns the same error for an unreadable image and for a broken model. A request with another
            # image, which it has labelled before, tells the two apart. An overload error says nothing about the image.
            if problem.code == "ModelError":
                raise TryAgainError(problem, throttled=_is_busy(error.response)) from error
            if problem.code == "ModelNotReadyException" or (_is_absent(error.response) and self._told_to_end()):
                raise TryAgainError(problem, throttled=True) from error
            if problem.code in _INVALID_CALL and not _is_absent(error.response):
                raise ImageRefusedError(problem, doubtful=True) from error
            raise

    def _not_made(self) -> ModelState:
        """State of an endpoint configuration without an endpoint: OFF, or UNUSABLE with the reason.

        :raises LookupError: when there is no such endpoint configuration.
        """
        try:
            found = self.api.describe_endpoint_config(EndpointConfigName=self.endpoint_config)
        except ClientError as error:
            if _is_missing(error):
                raise LookupError(
                    f"there is no endpoint configuration {self.endpoint_config!r} in {self.api.meta.region_name}: "
                    "check model_arn"
                ) from error
            raise
        variants = found["ProductionVariants"]
        if "AsyncInferenceConfig" in found or any("ServerlessConfig" in each for each in variants):
            return ModelState(
                Phase.UNUSABLE,
                _NONE,
                "its endpoint configuration is not for a real-time endpoint on instances: set model_arn to one that is",
            )
        if any("ModelName" not in each for each in variants):
            reason = "its endpoint configuration has a variant for inference components, without a model of its own"
            return ModelState(Phase.UNUSABLE, _NONE, reason)
        return ModelState(Phase.OFF, _NONE, fixed_units=sum(each["InitialInstanceCount"] for each in variants))


def _original_status(response: Mapping[str, Any]) -> int | None:
    """The container's HTTP status in a ModelError; None: SageMaker does not report it."""
    status = response.get("OriginalStatusCode")
    return int(status) if status is not None else None


def _load_of(response: Mapping[str, Any]) -> Load:
    code, status = response.get("Error", {}).get("Code"), _original_status(response)
    if code == "ModelNotReadyException" or _is_absent(response):
        return Load.NOT_READY
    if code != "ModelError":
        return Load.NORMAL
    return Load.BUSY if _is_busy(response) else Load.SILENT if status in _SILENT else Load.NORMAL


def _is_busy(response: Mapping[str, Any]) -> bool:
    """Whether a ModelError means that the container is overloaded."""
    said = f"{response.get('OriginalMessage')} {response.get('Error', {}).get('Message')}"
    return _original_status(response) in _BUSY and _FAILED_AT_IT not in said


def _is_absent(response: Mapping[str, Any]) -> bool:
    """Whether the runtime does not know the endpoint: there is none, or it has only just come into service."""
    error = response.get("Error", {})
    return error.get("Code") in _INVALID_CALL and "not found" in str(error.get("Message", "")).lower()


def _is_missing(error: ClientError) -> bool:
    """Whether the endpoint or the configuration is missing, for which SageMaker has no error code of its own."""
    said = aws_errors.message(error).lower()
    return aws_errors.code(error) == "ResourceNotFound" or (
        aws_errors.code(error) == _INVALID and "could not find" in said
    )
