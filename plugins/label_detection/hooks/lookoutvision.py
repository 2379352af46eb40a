"""Amazon Lookout for Vision: a model is a version of a project, and reports whether an image is anomalous.

AWS ended the service on 2025-10-31, and botocore has removed it since then. `service_models/` has the needed part of
the service model. The hook is for servers that still offer this API.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from botocore.loaders import create_loader

from label_detection.hooks.model import (
    ModelInUseError,
    ModelState,
    Phase,
    QuotaExceededError,
    ServiceEndedError,
    StopTarget,
)
from label_detection.hooks.pacing import Load, keep_pace
from label_detection.hooks.source_images import SendsImages
from label_detection_core import aws_errors
from label_detection_core.config.model_types import Model
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.anomalies import detection_of
from label_detection_core.labelling.image_bytes import ImageBytes
from label_detection_core.labelling.labeller import ImageRefusedError, TryAgainError
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.queue.messages import ImageRef

_PACKAGE = Path(__file__).parents[1]
_AWS = (".amazonaws.com", ".amazonaws.com.cn")
_ENDED = (
    "AWS ended Amazon Lookout for Vision on 2025-10-31: its models cannot run on AWS any more. Set model_arn to a "
    "SageMaker endpoint configuration (sagemaker), see docs/lookout-for-vision.md; or, if your own server offers the "
    "API of the service, set AWS_ENDPOINT_URL_LOOKOUTVISION to its URL"
)

#: Model states. SYSTEM_UPDATING: AWS updates the service; the model is not hosted now, and is hosted again afterwards.
_PHASES = {
    "TRAINED": Phase.OFF,  # also after a stop
    "HOSTING_FAILED": Phase.OFF,  # its last start failed
    "STARTING_HOSTING": Phase.STARTING,
    "SYSTEM_UPDATING": Phase.STARTING,
    "HOSTED": Phase.RUNNING,
    "STOPPING_HOSTING": Phase.STOPPING,
}
_REMEDIES = {
    "TRAINING": "wait until its training has ended",
    "TRAINING_FAILED": "its training failed: train it again",
    "DELETING": "it is being deleted: set model_arn to another version",
}
#: Error code of DetectAnomalies when the model is not hosted.
_NOT_READY = "ConflictException"


class LookoutVisionModelHook(SendsImages):
    """The hook of one Lookout for Vision model.

    :param model: the model; its `arn` is spelled as DescribeModel returns it.
    """

    STATUS = "ModelDescription.Status"
    max_bytes = 8 * 1024 * 1024  # AWS's limit for the request body of DetectAnomalies

    def __init__(self, model: Model, **kwargs: Any) -> None:
        super().__init__(client_type="lookoutvision", **kwargs)
        self.model_arn, self.partition = model.arn, model.partition
        self.project, self.version = model.parts["project"], model.parts["version"]

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """A session with the service model of Lookout for Vision."""
        session = super().get_session(region_name, deferrable)
        botocore_session = getattr(session, "_session", session)  # boto3's own, or aiobotocore's
        # A new loader: Airflow shares one among all sessions, and that one caches the list of services.
        botocore_session.register_component("data_loader", create_loader(str(_PACKAGE / "service_models")))
        return session

    @property
    def api(self) -> Any:
        """The service's client.

        :raises ServiceEndedError: when the client would call AWS itself, where the service has ended.
        """
        client: Any = self.conn
        if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AWS):
            raise ServiceEndedError(_ENDED)
        return client

    @cached_property
    def waiter_path(self) -> Path:
        """The file with the waiters `model_running` and `model_stopped`."""
        return _PACKAGE / "waiters" / "lookoutvision.json"

    def waiter_args(self) -> dict[str, Any]:
        """Arguments of DescribeModel."""
        return {"ProjectName": self.project, "ModelVersion": self.version}

    def describe(self) -> ModelState:
        """The model's state now.

        :raises LookupError: when there is no such model.
        """
        try:
            model = self.api.describe_model(**self.waiter_args())["ModelDescription"]
        except self.api.exceptions.ResourceNotFoundException as error:
            raise LookupError(
                f"there is no model {self.model_arn}: {aws_errors.message(error)}: check model_arn"
            ) from error
        status = str(model["Status"])
        phase = _PHASES.get(status, Phase.UNUSABLE)
        reasons = (model.get("StatusMessage"), _REMEDIES.get(status))
        is_on = phase in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING}
        return ModelState(
            phase=phase,
            status=status,
            reason="; ".join(reason for reason in reasons if reason),
            units=model.get("MinInferenceUnits") if is_on else None,
        )

    def start(self, units: int, max_units: int | None = None) -> None:
        """Request a start with `units` inference units; the service may add more, up to `max_units`."""
        most: dict[str, Any] = {} if max_units is None else {"MaxInferenceUnits": max_units}
        try:
            self.api.start_model(**self.waiter_args(), MinInferenceUnits=units, **most)
        except self.api.exceptions.ConflictException as error:
            raise ModelInUseError(aws_errors.message(error)) from error
        except self.api.exceptions.ServiceQuotaExceededException as error:
            raise QuotaExceededError(
                f"the service does not start the model with {units} inference units, because a quota of the account "
                f"is used up: {aws_errors.message(error)}: stop another model, lower min_inference_units, "
                "or ask AWS for a higher quota (AWS console: Service Quotas)"
            ) from error

    def stop(self) -> None:
        """Request a stop of the model."""
        try:
            self.api.stop_model(**self.waiter_args())
        except self.api.exceptions.ResourceNotFoundException as error:
            raise LookupError(f"there is no model {self.model_arn}: {aws_errors.message(error)}") from error
        except self.api.exceptions.ConflictException as error:
            raise ModelInUseError(aws_errors.message(error)) from error

    def stop_target(self) -> StopTarget:
        """StopModel, as a universal target of EventBridge Scheduler in the model's partition."""
        return StopTarget(f"arn:{self.partition}:scheduler:::aws-sdk:lookoutvision:stopModel", self.waiter_args())

    def keep_pace(self, pace: Pace) -> None:
        """Have DetectAnomalies calls keep the pace."""
        self._paced(pace)
        keep_pace(self.api, "DetectAnomalies", pace, self.describe, _load_of)

    def detect(self, image: ImageRef, min_confidence: float | None) -> Detection:
        """Whether an image is anomalous, and its labels. An anomaly below `min_confidence` (0-100) gets no labels."""
        with self.picture(image) as picture:
            answer = self._ask(picture)
            try:
                return detection_of(answer["DetectAnomalyResult"], min_confidence)
            except (LookupError, OSError, TypeError, ValueError) as error:
                message = f"the model's answer has an unknown format: {type(error).__name__}: {error}"
                raise TryAgainError(Error("UnknownAnswer", message), throttled=False) from error

    def _ask(self, picture: ImageBytes) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.api.detect_anomalies(
                **self.waiter_args(), Body=picture.content, ContentType=picture.content_type
            )
        except ClientError as error:
            code, problem = aws_errors.code(error), Error(aws_errors.code(error), aws_errors.message(error))
            if code == "ValidationException":  # AWS returns it for a bad image and for a wrong request
                raise ImageRefusedError(problem, doubtful=True) from error
            if code == _NOT_READY and self._told_to_end():  # the task ends, so no more waiting
                raise TryAgainError(problem, throttled=True) from error
            raise
        return answer


def _load_of(response: dict[str, Any]) -> Load:
    return Load.NOT_READY if response.get("Error", {}).get("Code") == _NOT_READY else Load.NORMAL
