"""The model types. A model's ARN tells its type, and so which hook speaks to its service."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel

_ARN = r"arn:(?P<partition>[a-z\d-]+):{service}:(?P<region>[a-z\d-]+):\d{{12}}:"


class UnknownModelError(ValueError):
    """An ARN of an unknown model type; the message lists the known ones."""


@dataclass(frozen=True)
class ModelType:
    """A model type: a service that runs models.

    :param name: the service, as its ARNs have it.
    :param arn: of a model; the groups are its parts, `region` one of them.
    :param shape: human-readable form of the ARN, for error messages.
    :param hook: where its hook is, a `label_detection.hooks.model.ModelHook`.
    :param stop_command: what stops a model manually.
    :param console_page: of a model in the AWS console, without its host; the service's when none of its own is known.
    """

    name: str
    arn: re.Pattern[str]
    shape: str
    hook: str
    stop_command: Callable[[Model], str]
    console_page: Callable[[Model], str]


@dataclass(frozen=True)
class Model:
    """A model, its type, and the parts of its ARN."""

    arn: str
    type: ModelType
    parts: dict[str, str]

    @property
    def partition(self) -> str:
        """Its AWS partition: `aws`, `aws-cn` or `aws-us-gov`."""
        return self.parts["partition"]

    @property
    def region(self) -> str:
        """Its Region, which the images and the queue must be in too."""
        return self.parts["region"]

    @property
    def stop_command(self) -> str:
        """What stops it manually."""
        return self.type.stop_command(self)


#: What the names of all endpoints begin with that are made here.
ENDPOINT_PREFIX = "label-detection-"


def endpoint_name(model: Model) -> str:
    """The endpoint that is made from a SageMaker endpoint configuration. AWS: 63 characters at most.

    One of its own: an endpoint is deleted to stop it, and one that somebody else has made must never be.
    """
    digest = hashlib.sha256(model.arn.encode()).hexdigest()[:8]
    return f"{ENDPOINT_PREFIX}{model.parts['config'][:38].rstrip('-')}-{digest}"


MODEL_TYPES = (
    ModelType(
        name="rekognition",
        # AWS: the pattern of a Custom Labels project version's ARN (botocore's service model).
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
        console_page=lambda model: f"console/home?region={model.region}",  # the service has ended
    ),
)


@lru_cache  # a process meets few models, each of them at several doors
def model_of(arn: str) -> Model:
    """The model that an ARN names, parsed when a process first meets it.

    :raises UnknownModelError: when it is no model's.
    """
    for known in MODEL_TYPES:
        if match := known.arn.fullmatch(arn):
            return Model(arn, known, match.groupdict())
    shapes = "; or ".join(f"{known.shape} ({known.name})" for known in MODEL_TYPES)
    raise UnknownModelError(f"must be the ARN of a model: {shapes}")


class NamesModel(BaseModel):
    """What is stored with a model's ARN as text, in a field `model_arn`."""

    @property
    def model(self) -> Model:
        """The model. :raises UnknownModelError: when somebody has edited the text, and it names none."""
        return model_of(self.model_arn)  # type: ignore[attr-defined]
