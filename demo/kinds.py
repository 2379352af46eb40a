"""The model types that the demo can run, and the demo's texts about each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The services that have models; the values are the names in the command line, in ARNs and in the embedded AWS."""

    REKOGNITION = "rekognition"
    SAGEMAKER = "sagemaker"
    LOOKOUT_VISION = "lookoutvision"


@dataclass(frozen=True)
class Service:
    """A service in the demo's texts.

    `thing`: the resource that costs money while it is on; `unit`: the unit that is paid for; `price`: USD per unit and
    hour; `gone`: the state of a model that is off, if the service has no name for it; `about`: an introduction for
    newcomers, printed before the run.
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
        about="The model is an object detector on an Amazon SageMaker endpoint. A run creates the endpoint from its "
        "configuration, and deletes it at the end. The detector returns class numbers; the option class_names has the "
        "names of the classes.",
    ),
    Kind.LOOKOUT_VISION: Service(
        name="Amazon Lookout for Vision",
        thing="model",
        unit="inference unit",
        price=4.0,
        gone="off",
        about="The model is one of Amazon Lookout for Vision, a service that AWS has ended; the embedded AWS has its "
        "API. The model decides whether a picture is normal (it looks like the example pictures) or anomalous, and "
        "where the anomaly is. The pictures under spoiled/ show an object with a painted blot or scratch. The pictures "
        "under empty/ show no object, so the whole picture is anomalous. The second view shows an object from a side "
        "that no example shows.",
    ),
}


def kind_of(model_arn: str) -> Kind:
    """The service of the model that an ARN names."""
    return Kind(model_arn.split(":")[2])
