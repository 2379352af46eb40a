"""The settings of the embedded AWS, as plain values; the module imports nothing slow."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class ModelType(StrEnum):
    """The services whose models can be started and stopped."""

    REKOGNITION = "rekognition"
    SAGEMAKER = "sagemaker"
    LOOKOUT_VISION = "lookoutvision"


class Answers(StrEnum):
    """The answer formats of SageMaker's endpoints; the container image of an endpoint decides the format."""

    OBJECT_DETECTION = "object-detection"
    IMAGE_CLASSIFICATION = "image-classification"
    HUGGINGFACE = "huggingface"


@dataclass(frozen=True)
class ModelSettings:
    """A model's behaviour: delays in seconds, ``rate`` in images per second and unit (0: no limit)."""

    start_seconds: float = 8.0
    stop_seconds: float = 3.0
    rate: float = 5.0
    latency: float = 0.2


@dataclass(frozen=True)
class WorldSettings:
    """Names of the resources, behaviour of the models, and the model that the environment variables name.

    ``models_only``: no stack, so neither buckets nor a queue. ``pictures_endpoint``: the S3 that Rekognition reads
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
        """The control pages' name of the model that the environment variables name."""
        return {
            ModelType.REKOGNITION: self.model_version,
            ModelType.SAGEMAKER: f"label-detection-{self.answers}",
            ModelType.LOOKOUT_VISION: "lookoutvision",
        }[self.model_kind]
