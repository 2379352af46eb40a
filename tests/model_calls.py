"""What a model is asked, by kind: for tests that run for each, and break one call of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Call = Literal["describe", "start", "stop", "detect"]


@dataclass(frozen=True)
class ModelCalls:
    """A kind of models as the embedded AWS has it.

    :param page: the name of its model on the control pages.
    :param operations: what its service calls each call.
    :param in_use: the error's code when the model is not in the state for a call.
    :param fixed_units: so many it has, whatever it is asked for.
    :param is_sent_bytes: it is sent an image's bytes; what is no image is refused before.
    """

    service: str
    page: str
    operations: dict[Call, str]
    in_use: str
    fixed_units: int | None = None
    is_sent_bytes: bool = False

    def units(self, asked: int) -> int:
        """How many it starts with when it is asked for so many."""
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
