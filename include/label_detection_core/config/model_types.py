"""The model types. The ARN of a model shows its type, and the type names the hook that calls the service."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel

_ARN = r"arn:(?P<partition>[a-z\d-]+):{service}:(?P<region>[a-z\d-]+):\d{{12}}:"


class UnknownModelError(ValueError):
    """The ARN is of no known model type; the message lists the known ones."""


@dataclass(frozen=True)
class ModelType:
    """A model type: a service that runs models.

    :param name: the service's name in ARNs.
    :param arn: the pattern of a model's ARN; its named groups become `Model.parts`, `region` among them.
    :param shape: human-readable form of the ARN, for error messages.
    :param hook: the import path of the hook class, a `label_detection.hooks.model.ModelHook`.
    :param stop_command: returns the shell command that stops a model manually.
    :param console_page: returns the path of the model's page in the AWS console, or of the service's page where the
        model has no known page.
    """

    name: str
    arn: re.Pattern[str]
    shape: str
    hook: str
    stop_command: Callable[[Model], str]
    console_page: Callable[[Model], str]


@dataclass(frozen=True)
class Model:
    """A model: its ARN, its type, and the named parts of the ARN."""

    arn: str
    type: ModelType
    parts: dict[str, str]

    @property
    def partition(self) -> str:
        """The AWS partition, such as `aws`, `aws-cn` or `aws-us-gov`."""
        return self.parts["partition"]

    @property
    def region(self) -> str:
        """The AWS Region of the model. The images and the queue must be in this Region too."""
        return self.parts["region"]

    @property
    def stop_command(self) -> str:
        """The shell command that stops the model manually."""
        return self.type.stop_command(self)


#: The prefix of the names of all endpoints that this project creates.
ENDPOINT_PREFIX = "label-detection-"


def endpoint_name(model: Model) -> str:
    """Return the name of the endpoint that this project creates from a SageMaker endpoint configuration.

    The name is this project's own: to stop a model, its endpoint is deleted, and an endpoint that someone else created
    must never be deleted. AWS allows at most 63 characters.
    """
    digest = hashlib.sha256(model.arn.encode()).hexdigest()[:8]
    return f"{ENDPOINT_PREFIX}{model.parts['config'][:38].rstrip('-')}-{digest}"


MODEL_TYPES = (
    ModelType(
        name="rekognition",
        # AWS: the pattern of the ARN of a Custom Labels project version, from botocore's service model.
        arn=re.compile(
            _ARN.format(service="rekognition")
            + r"project/(?P<project>[a-zA-Z0-9_.\-]{1,255})/version/(?P<version>[a-zA-Z0-9_.\-]{1,255})/\d+"
        ),
        shape="arn:aws:rekognition:<region>:<account>:project/<name>/version/<version>/<number>",
        hook="label_detection.hooks.rekognition.RekognitionModelHook",
        stop_command=lambda model: (
            f"aws rekognition stop-project-version --project-version-arn {model.arn} --region {model.region}"
        ),
        console_page=lambda model: f"rekognition/custom-labels?region={model.region}#/projects",
    ),
    ModelType(
        name="sagemaker",
        arn=re.compile(
            _ARN.format(service="sagemaker") + r"endpoint-config/(?P<config>[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62})"
        ),
        shape="arn:aws:sagemaker:<region>:<account>:endpoint-config/<name>",
        hook="label_detection.hooks.sagemaker.SageMakerModelHook",
        stop_command=lambda model: (
            f"aws sagemaker delete-endpoint --endpoint-name {endpoint_name(model)} --region {model.region}"
        ),
        console_page=lambda model: f"sagemaker/home?region={model.region}#/endpoints/{endpoint_name(model)}",
    ),
    ModelType(
        name="lookoutvision",
        arn=re.compile(
            _ARN.format(service="lookoutvision")
            + r"model/(?P<project>[a-zA-Z0-9][a-zA-Z0-9_\-]{0,254})/(?P<version>[1-9][0-9]{0,9})"
        ),
        shape="arn:aws:lookoutvision:<region>:<account>:model/<project>/<version>",
        hook="label_detection.hooks.lookoutvision.LookoutVisionModelHook",
        stop_command=lambda model: (
            f"aws lookoutvision stop-model --project-name {model.parts['project']} "
            f"--model-version {model.parts['version']} --region {model.region}"
        ),
        console_page=lambda model: f"console/home?region={model.region}",  # Lookout for Vision has ended
    ),
)


@lru_cache  # a process works with few models, and asks for each of them in several places
def model_of(arn: str) -> Model:
    """Return the model with this ARN.

    :raises UnknownModelError: when the ARN is of no known model type.
    """
    for known in MODEL_TYPES:
        if match := known.arn.fullmatch(arn):
            return Model(arn, known, match.groupdict())
    shapes = "; or ".join(f"{known.shape} ({known.name})" for known in MODEL_TYPES)
    raise UnknownModelError(f"must be the ARN of a model: {shapes}")


class NamesModel(BaseModel):
    """Base class of stored values that have the ARN of a model in the field `model_arn`."""

    @property
    def model(self) -> Model:
        """The model of `model_arn`. :raises UnknownModelError: when the ARN was edited and is of no known type."""
        return model_of(self.model_arn)  # type: ignore[attr-defined]
