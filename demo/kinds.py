"""The kinds of models that the demo can run, and what its pages say of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Services that have models, by the words of the command line, of ARNs, and of the embedded AWS."""

    REKOGNITION = "rekognition"
    SAGEMAKER = "sagemaker"
    LOOKOUT_VISION = "lookoutvision"


@dataclass(frozen=True)
class Service:
    """`thing`: what is on and costs money; `unit`: of what a number is paid for; `price`: USD for an hour of one.

    `gone`: what is said of a model that is off, where the service has no word for it. `about`: what a newcomer should
    know before the run.
    """

    name: str
    thing: str
    unit: str
    price: float
    gone: str
    about: str


SERVICES = {
    Kind.REKOGNITION: Service(
        name="Amazon Rekognition Custom Labels", thing="model", unit="inference unit", price=4.0, gone="off", about=""
    ),
    Kind.SAGEMAKER: Service(
        name="Amazon SageMaker",
        thing="endpoint",
        unit="instance",
        price=0.115,  # AWS: real-time inference on the embedded configuration's ml.m5.large, us-east-1
        gone="deleted",
        about="The model is an object detector on an Amazon SageMaker endpoint. A run makes the endpoint from its "
        "configuration, and deletes it. The detector numbers its classes; the option class_names has their names.",
    ),
    Kind.LOOKOUT_VISION: Service(
        name="Amazon Lookout for Vision",
        thing="model",
        unit="inference unit",
        price=4.0,
        gone="off",
        about="The model is one of Amazon Lookout for Vision, a service that AWS has ended; the embedded AWS speaks "
        "its API. It says whether a picture is normal, which is what the example pictures show, or anomalous, and "
        "where. In those under spoiled/ a blot or a scratch was painted on the thing, those under empty/ show no thing "
        "and so are anomalous all over, and the second view shows one from another side, which no example does.",
    ),
}


def kind_of(model_arn: str) -> Kind:
    """Whose model an ARN names."""
    return Kind(model_arn.split(":")[2])
