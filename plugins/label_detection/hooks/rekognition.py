"""Amazon Rekognition Custom Labels: a model is a project version."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from label_detection.hooks.model import ModelInUseError, ModelState, Phase, QuotaExceededError, StopTarget
from label_detection.hooks.pacing import Load, keep_pace
from label_detection.hooks.quotas import send_once
from label_detection.hooks.redacting import RedactingAwsHook
from label_detection_core import aws_errors
from label_detection_core.config.model_types import Model
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.labeller import ImageRefusedError, ImageUnreadableError, TryAgainError
from label_detection_core.labelling.labels import Detection, Error
from label_detection_core.queue.messages import ImageRef

if TYPE_CHECKING:
    from mypy_boto3_rekognition import RekognitionClient

#: The states of a project version (AWS: 14), and what to do about those that cannot be started.
_PHASES = {
    "TRAINING_COMPLETED": Phase.OFF,  # never started
    "COPYING_COMPLETED": Phase.OFF,  # never started, a copy
    "STOPPED": Phase.OFF,
    "FAILED": Phase.OFF,  # its last start failed; another start may succeed, which only AWS knows
    "STARTING": Phase.STARTING,
    "RUNNING": Phase.RUNNING,
    "STOPPING": Phase.STOPPING,
}
_REMEDIES = {
    "TRAINING_IN_PROGRESS": "wait until its training has ended",
    "TRAINING_FAILED": "its training failed: train it again",
    "COPYING_IN_PROGRESS": "wait until it has been copied",
    "COPYING_FAILED": "it could not be copied: copy it again",
    "DELETING": "it is being deleted: set model_arn to another version",
    "DEPRECATED": "AWS has deprecated it: train a new version and set model_arn to its ARN",
    "EXPIRED": "it has expired: train a new version and set model_arn to its ARN",
}
_IMAGE_REFUSED = {"InvalidImageFormatException", "ImageTooLargeException", "InvalidParameterException"}
#: AWS returns this error for an image with too many or too few pixels, and also for a wrong request.
_DOUBTFUL = "InvalidParameterException"
_NOT_READY = "ResourceNotReadyException"
_QUOTA = "LimitExceededException"


class RekognitionModelHook(RedactingAwsHook):
    """The hook of one project version.

    :param model: the model; its `arn` is spelled as DescribeProjectVersions returns it.
    """

    STATUS = "ProjectVersionDescriptions[0].Status"

    def __init__(self, model: Model, **kwargs: Any) -> None:
        super().__init__(client_type="rekognition", **kwargs)
        self.model_arn, self.partition = model.arn, model.partition
        self.project, self.version = model.parts["project"], model.parts["version"]
        self._pace: Pace | None = None

    @property
    def api(self) -> RekognitionClient:
        """The service's client."""
        client: RekognitionClient = self.conn
        return client

    @cached_property
    def waiter_path(self) -> Path:
        """The file with the waiters `model_running` and `model_stopped`."""
        return Path(__file__).parents[1] / "waiters" / "rekognition.json"

    @cached_property
    def project_arn(self) -> str:
        """The project's ARN. It cannot be derived from the version's ARN: the two end in different digits.

        :raises LookupError: when there is no such project.
        """
        found = self.api.describe_projects(ProjectNames=[self.project])["ProjectDescriptions"]
        if not found:
            raise LookupError(f"there is no project {self.project!r} in {self.api.meta.region_name}: check model_arn")
        return found[0]["ProjectArn"]

    def waiter_args(self) -> dict[str, Any]:
        """Arguments of DescribeProjectVersions, for this version only."""
        return {"ProjectArn": self.project_arn, "VersionNames": [self.version]}

    def describe(self) -> ModelState:
        """The model's state now.

        :raises LookupError: when there is no such model.
        """
        versions = self.api.describe_project_versions(**self.waiter_args())["ProjectVersionDescriptions"]
        for version in versions:
            if version["ProjectVersionArn"] == self.model_arn:
                status = str(version["Status"])
                reasons = (version.get("StatusMessage"), _REMEDIES.get(status))
                return ModelState(
                    phase=_PHASES.get(status, Phase.UNUSABLE),
                    status=status,
                    reason="; ".join(reason for reason in reasons if reason),
                    units=version.get("MinInferenceUnits"),
                )
        raise LookupError(f"project {self.project!r} has no model {self.model_arn}: check model_arn")

    def start(self, units: int, max_units: int | None = None) -> None:
        """Request a start with `units` inference units; AWS may add more, up to `max_units`."""
        most: dict[str, Any] = {} if max_units is None else {"MaxInferenceUnits": max_units}
        send_once(self.api, "StartProjectVersion", _QUOTA)
        try:
            self.api.start_project_version(ProjectVersionArn=self.model_arn, MinInferenceUnits=units, **most)
        except self.api.exceptions.ResourceInUseException as error:
            raise ModelInUseError(aws_errors.message(error)) from error
        except self.api.exceptions.LimitExceededException as error:
            raise QuotaExceededError(
                f"Amazon Rekognition does not start the model with {units} inference units, because a quota of the "
                f"account for Custom Labels (running models, inference units) is used up: {aws_errors.message(error)}: "
                "stop another model, lower min_inference_units and max_inference_units, or ask AWS for a higher "
                "quota (AWS console: Service Quotas)"
            ) from error

    def stop(self) -> None:
        """Request a stop of the model."""
        try:
            self.api.stop_project_version(ProjectVersionArn=self.model_arn)
        except self.api.exceptions.ResourceNotFoundException as error:
            raise LookupError(f"there is no model {self.model_arn}: {aws_errors.message(error)}") from error
        except self.api.exceptions.ResourceInUseException as error:
            raise ModelInUseError(aws_errors.message(error)) from error

    def stop_target(self) -> StopTarget:
        """StopProjectVersion, as a universal target of EventBridge Scheduler in the model's partition."""
        return StopTarget(
            f"arn:{self.partition}:scheduler:::aws-sdk:rekognition:stopProjectVersion",
            {"ProjectVersionArn": self.model_arn},
        )

    def keep_pace(self, pace: Pace) -> None:
        """Have DetectCustomLabels calls keep the pace."""
        self._pace = pace
        keep_pace(self.api, "DetectCustomLabels", pace, self.describe, _load_of)

    def detect(self, image: ImageRef, min_confidence: float | None) -> Detection:
        """The custom labels of an image in S3, as the service returns them.

        :param min_confidence: 0-100; None: not sent, and the assumed threshold of each label holds.
        """
        least: dict[str, Any] = {} if min_confidence is None else {"MinConfidence": min_confidence}
        try:
            answer = self.api.detect_custom_labels(
                ProjectVersionArn=self.model_arn,
                Image={"S3Object": {"Bucket": image.bucket, "Name": image.key}},
                **least,
            )
        except ClientError as error:
            code, problem = aws_errors.code(error), Error(aws_errors.code(error), aws_errors.message(error))
            if code in _IMAGE_REFUSED:
                raise ImageRefusedError(problem, doubtful=code == _DOUBTFUL) from error
            if code == "InvalidS3ObjectException":
                raise ImageUnreadableError(problem) from error
            if code == _NOT_READY and self._pace and self._pace.ended:  # the task ends, so no more waiting
                raise TryAgainError(problem, throttled=True) from error
            raise
        return Detection([dict(label) for label in answer["CustomLabels"]])


def _load_of(response: dict[str, Any]) -> Load:
    return Load.NOT_READY if response.get("Error", {}).get("Code") == _NOT_READY else Load.NORMAL
