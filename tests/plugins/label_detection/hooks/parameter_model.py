"""A fourth model type, added as a contributor would: this hook, its waiter file, and a row in MODEL_TYPES.

Its service is AWS's Parameter Store: a parameter holds the model's state. The model finds a `thing` in every picture.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from label_detection.hooks.model import ModelInUseError, ModelState, Phase, StopTarget
from label_detection.hooks.pacing import keep_pace
from label_detection.hooks.source_images import SendsImages
from label_detection_core.config.model_types import Model, ModelType
from label_detection_core.drain.pace import Pace
from label_detection_core.labelling.image_bytes import ImageBytes
from label_detection_core.labelling.labels import Detection
from label_detection_core.queue.messages import ImageRef

PARAMETER = ModelType(
    name="ssm",
    arn=re.compile(r"arn:[a-z\d-]+:ssm:(?P<region>[a-z\d-]+):\d{12}:parameter/(?P<parameter>[a-z0-9-]+)"),
    shape="arn:aws:ssm:<region>:<account>:parameter/<name>",
    hook=f"{__name__}.ParameterModelHook",
    stop_command=lambda model: f"aws ssm put-parameter --name {model.parts['parameter']} --value off --overwrite",
    console_page=lambda model: f"systems-manager/parameters?region={model.region}",
)
ARN = "arn:aws:ssm:us-east-1:123456789012:parameter/fourth-model"


class ParameterModelHook(SendsImages):
    """The hook for a model that is one parameter."""

    STATUS = "Parameter.Value"
    max_bytes = 1_000_000

    def __init__(self, model: Model, **kwargs: Any) -> None:
        super().__init__(client_type="ssm", **kwargs)
        self.model_arn = model.arn
        self.name = model.parts["parameter"]

    @property
    def api(self) -> Any:
        """The service's client."""
        return self.conn

    @cached_property
    def waiter_path(self) -> Path:
        return Path(__file__).with_name("parameter_model.json")

    def waiter_args(self) -> dict[str, Any]:
        return {"Name": self.name}

    def describe(self) -> ModelState:
        try:
            value = self.api.get_parameter(Name=self.name)["Parameter"]["Value"]
        except self.api.exceptions.ParameterNotFound as error:
            raise LookupError(f"there is no model {self.model_arn}: check model_arn") from error
        return ModelState(Phase(value), value)

    def start(self, units: int, max_units: int | None = None) -> None:
        self._put("running", only_from=Phase.OFF)

    def stop(self) -> None:
        self._put("off", only_from=Phase.RUNNING)

    def stop_target(self) -> StopTarget:
        return StopTarget(
            f"arn:{self.model_arn.split(':')[1]}:scheduler:::aws-sdk:ssm:putParameter",
            {"Name": self.name, "Value": "off", "Overwrite": True},
        )

    def keep_pace(self, pace: Pace) -> None:
        self._paced(pace)
        keep_pace(self.conn, "GetParameter", pace, self.describe)

    def detect(self, image: ImageRef, min_confidence: float | None) -> Detection:
        with self.picture(image) as picture:
            return self._look_at(picture, min_confidence or 0.0)

    def _look_at(self, picture: ImageBytes, least: float) -> Detection:
        value = self.api.get_parameter(Name=self.name)["Parameter"]["Value"]
        if value != Phase.RUNNING.value:
            raise LookupError(f"the model is {value}")
        labels: list[dict[str, Any]] = [{"Name": "thing", "Confidence": 90.0, "Pixels": picture.width * picture.height}]
        return Detection([label for label in labels if label["Confidence"] >= least])

    def _put(self, value: str, only_from: Phase) -> None:
        state = self.describe()
        if state.phase is not only_from:
            raise ModelInUseError(f"it is {json.dumps(state.status)}")
        self.api.put_parameter(Name=self.name, Value=value, Overwrite=True)
