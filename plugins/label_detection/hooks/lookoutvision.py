"""Amazon Lookout for Vision, as its API was: a model is a version of a project, and says whether an image is anomalous.

AWS ended the service on 2025-10-31, and botocore has dropped it since: what is needed of its service model is in
`service_models/`. It serves whatever still speaks the API.
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
    "AWS ended Amazon Lookout for Vision on 2025-10-31: a model of it cannot run there any more. Set model_arn to a "
    "SageMaker endpoint configuration (sagemaker), see docs/lookout-for-vision.md; or, for a service of your own that "
    "speaks its API, set AWS_ENDPOINT_URL_LOOKOUTVISION to where it is"
)

#: The states of a model. While the service is updated under a model, it is not hosted, and will be.
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
#: Of a call to detect: the model is not hosted.
_NOT_READY = "ConflictException"


class LookoutVisionModelHook(SendsImages):
    """One model.

    :param model: its `arn`, as DescribeModel has it.
    """

    STATUS = "ModelDescription.Status"
    max_bytes = 8 * 1024 * 1024  # DetectAnomalies' body

    def __init__(self, model: Model, **kwargs: Any) -> None:
        super().__init__(client_type="lookoutvision", **kwargs)
        self.model_arn, self.partition = model.arn, model.partition
        self.project, self.version = model.parts["project"], model.parts["version"]

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """A session that knows the service."""
        session = super().get_session(region_name, deferrable)
        botocore_session = getattr(session, "_session", session)  # boto3's own, or aiobotocore's
        # A loader of its own: Airflow has one for all, which remembers the services that it has found.
        botocore_session.register_component("data_loader", create_loader(str(_PACKAGE / "service_models")))
        return session

    @property
    def api(self) -> Any:
        """The service's client.

        :raises ServiceEndedError: when it would ask AWS itself.
        """
        client: Any = self.conn
        if (urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AWS):
            raise ServiceEndedError(_ENDED)
        return client

    @cached_property
    def waiter_path(self) -> Path:
        """The waiters of this service: `model_running` and `model_stopped`."""
        return _PACKAGE / "waiters" / "lookoutvision.json"

    def waiter_args(self) -> dict[str, Any]:
        """DescribeModel."""
        return {"ProjectName": self.project, "ModelVersion": self.version}

    def describe(self) -> ModelState:
        """Where the model is now.

        :raises LookupError: when there is no such model.
        """
        try:
            model = self.api.describe_model(**self.waiter_args())["ModelDescription"]
        except self.api.exceptions.ResourceNotFoundException as error:
            raise LookupError(
                f"there is no model {self.model_arn}: {aws_errors.message(error)}: see model_arn"
            ) from error
        status = str(model["Status"])
        phase = _PHASES.get(status, Phase.UNUSABLE)
        words = (model.get("StatusMessage"), _REMEDIES.get(status))
        is_on = phase in {Phase.STARTING, Phase.RUNNING, Phase.STOPPING}
        return ModelState(
            phase=phase,
            status=status,
            reason="; ".join(word for word in words if word),
            units=model.get("MinInferenceUnits") if is_on else None,
        )

    def start(self, units: int, max_units: int | None = None) -> None:
        """Ask for the model with `units` inference units; the service may add some, up to `max_units`."""
        most: dict[str, Any] = {} if max_units is None else {"MaxInferenceUnits": max_units}
        try:
            self.api.start_model(**self.waiter_args(), MinInferenceUnits=units, **most)
        except self.api.exceptions.ConflictException as error:
            raise ModelInUseError(aws_errors.message(error)) from error
        except self.api.exceptions.ServiceQuotaExceededException as error:
            raise QuotaExceededError(
                f"the service does not start the model with {units} inference units, because a quota of the account "
                f"is used up: {aws_errors.message(error)}: stop another model, lower min_inference_units, "
                "or have AWS raise the quota (AWS console: Service Quotas)"
            ) from error

    def stop(self) -> None:
        """Ask for the model's end."""
        try:
            self.api.stop_model(**self.waiter_args())
        except self.api.exceptions.ResourceNotFoundException as error:
            raise LookupError(f"there is no model {self.model_arn}: {aws_errors.message(error)}") from error
        except self.api.exceptions.ConflictException as error:
            raise ModelInUseError(aws_errors.message(error)) from error

    def stop_target(self) -> StopTarget:
        """StopModel, as a universal target of the model's partition."""
        return StopTarget(f"arn:{self.partition}:scheduler:::aws-sdk:lookoutvision:stopModel", self.waiter_args())

    def keep_pace(self, pace: Pace) -> None:
        """DetectAnomalies keeps it."""
        self._paced(pace)
        keep_pace(self.api, "DetectAnomalies", pace, self.describe, _load_of)

    def detect(self, image: ImageRef, min_confidence: float | None) -> Detection:
        """Whether an image is anomalous, and its labels; an anomaly below `min_confidence` has none."""
        with self.picture(image) as picture:
            answer = self._ask(picture)
            try:
                return detection_of(answer["DetectAnomalyResult"], min_confidence)
            except (LookupError, OSError, TypeError, ValueError) as error:
                said = f"its answer is not understood: {type(error).__name__}: {error}"
                raise TryAgainError(Error("UnknownAnswer", said), throttled=False) from error

    def _ask(self, picture: ImageBytes) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.api.detect_anomalies(
                **self.waiter_args(), Body=picture.content, ContentType=picture.content_type
            )
        except ClientError as error:
            code, problem = aws_errors.code(error), Error(aws_errors.code(error), aws_errors.message(error))
            if code == "ValidationException":  # said of an image, and of a wrong request
                raise ImageRefusedError(problem, doubtful=True) from error
            if code == _NOT_READY and self._told_to_end():  # no longer waited for
                raise TryAgainError(problem, throttled=True) from error
            raise
        return answer


def _load_of(response: dict[str, Any]) -> Load:
    return Load.NOT_READY if response.get("Error", {}).get("Code") == _NOT_READY else Load.NORMAL
