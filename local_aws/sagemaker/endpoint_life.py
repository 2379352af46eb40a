"""The life of a SageMaker model: an endpoint is created, in service, deleted and gone, and may be created again."""

from collections.abc import Callable
from dataclasses import dataclass

from moto.sagemaker.models import FakeEndpoint

from local_aws.model_life import Kind, ModelLife, ModelStatus
from local_aws.sagemaker.answers import answers_of
from local_aws.settings import Answers, ModelSettings

SAGEMAKER = Kind(
    "sagemaker",
    words={
        ModelStatus.TRAINING_COMPLETED: None,
        ModelStatus.STARTING: "Creating",
        ModelStatus.RUNNING: "InService",
        ModelStatus.FAILED: "Failed",
        ModelStatus.STOPPING: "Deleting",
        ModelStatus.STOPPED: None,
    },
    startable=frozenset({ModelStatus.TRAINING_COMPLETED, ModelStatus.STOPPED}),
    stoppable=frozenset({ModelStatus.RUNNING, ModelStatus.FAILED}),
)


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as it was created: moto's record of it, and what its config says of its models and instances."""

    record: FakeEndpoint
    image: str
    instances: int

    @property
    def answers(self) -> Answers | None:
        """The format of its container's answers; None for a container that is not known here."""
        return answers_of(self.image)

    @property
    def flaw(self) -> str | None:
        """Why it will not be in service, if so."""
        if self.answers is not None:
            return None
        kinds = "object-detection, image-classification and huggingface-*"
        return f"The image {self.image!r} does not run in the embedded AWS: {kinds} do."


class EndpointLife(ModelLife):
    """An endpoint config's endpoint; its units are instances.

    ``arn`` and ``name`` are the config's. ``make`` makes an endpoint of that config with a name.
    """

    def __init__(self, arn: str, config_name: str, settings: ModelSettings, make: Callable[[str], Endpoint]):
        super().__init__(arn, config_name, SAGEMAKER, settings)
        self._make = make
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint that there is now."""
        return None if self.says is None else self._endpoint

    def create(self, endpoint_name: str) -> Endpoint:
        """Begin to create an endpoint. WrongStateError if there is one."""
        with self._lock:
            endpoint = self._make(endpoint_name)
            self.start(endpoint.instances, None, endpoint.flaw)
            self._endpoint = endpoint
            return endpoint

    def put(self, status: ModelStatus, message: str | None = None) -> None:
        """Put it into a state manually: an endpoint that is missing for that gets its last name, or the config's."""
        with self._lock:
            if self.endpoint is None:
                self._endpoint = self._make(self._endpoint.record.endpoint_name if self._endpoint else self.name)
            self.min_units = self._endpoint.instances if self._endpoint else 0
            super().put(status, message)
