"""The API calls of each model type, for tests that run for every type and make one call fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Call = Literal["describe", "start", "stop", "detect"]


@dataclass(frozen=True)
class ModelCalls:
    """A model type, as the embedded AWS implements it.

    :param page: the name of its model on the control pages.
    :param operations: the service's operation for each call.
    :param in_use: the error code when the model's state does not allow the call.
    :param fixed_units: the number of units that it always has, whatever number is requested.
    :param is_sent_bytes: whether it is sent the image's bytes. Then the hook rejects what is not an image before the
        call.
    """

    service: str
    page: str
    operations: dict[Call, str]
    in_use: str
    fixed_units: int | None = None
    is_sent_bytes: bool = False

    def units(self, asked: int) -> int:
        """The number of units that it starts with when `asked` units are requested."""
        return self.fixed_units or asked


CALLS = {
    "rekognition": ModelCalls(
        "rekognition",
        "1",
        {
            "describe": "DescribeProjectVersions",
            "start": "StartProjectVersion",
            "stop": "StopProjectVersion",
            "detect": "DetectCustomLabels",
        },
        "ResourceInUseException",
    ),
    "sagemaker": ModelCalls(
        "sagemaker",
        "label-detection-object-detection",
        {
            "describe": "DescribeEndpoint",
            "start": "CreateEndpoint",
            "stop": "DeleteEndpoint",
            "detect": "InvokeEndpoint",
        },
        "ValidationException",
        fixed_units=1,
        is_sent_bytes=True,
    ),
    "lookoutvision": ModelCalls(
        "lookoutvision",
        "lookoutvision",
        {"describe": "DescribeModel", "start": "StartModel", "stop": "StopModel", "detect": "DetectAnomalies"},
        "ConflictException",
        is_sent_bytes=True,
    ),
}
KINDS = tuple(CALLS)
