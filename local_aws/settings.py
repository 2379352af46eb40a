"""What can be set, as plain values: importing this costs nothing."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ModelType(StrEnum):
    """The services that have models that are started and stopped."""

    REKOGNITION = "rekognition"
    SAGEMAKER = "sagemaker"
    LOOKOUT_VISION = "lookoutvision"


class Answers(StrEnum):
    """What SageMaker's endpoints answer in, by the container that they are made from."""

    OBJECT_DETECTION = "object-detection"
    IMAGE_CLASSIFICATION = "image-classification"
    HUGGINGFACE = "huggingface"


@dataclass(frozen=True)
class ModelSettings:
    """How a model behaves: delays in seconds, ``rate`` in images a second per unit (0: no limit)."""

    start_seconds: float = 8.0
    stop_seconds: float = 3.0
    rate: float = 5.0
    latency: float = 0.2


@dataclass(frozen=True)
class WorldSettings:
    """The names of everything, how the models behave, and which of them the environment names.

    ``models_only``: no stack, so neither buckets nor a queue. ``pictures_endpoint``: the S3 that Rekognition reads its
    pictures from over HTTP; None: the S3 of this process.
    """

    region: str
    source_bucket: str
    final_bucket: str
    queue: str
    max_receive_count: int
    project: str
    model_version: str
    more_models: int
    examples: Path
    model: ModelSettings
    model_kind: ModelType
    answers: Answers
    models_only: bool = False
    pictures_endpoint: str | None = None

    @property
    def chosen_model(self) -> str:
        """The name on the control pages of the model that the environment names."""
        return {
            ModelType.REKOGNITION: self.model_version,
            ModelType.SAGEMAKER: f"label-detection-{self.answers}",
            ModelType.LOOKOUT_VISION: "lookoutvision",
        }[self.model_kind]
