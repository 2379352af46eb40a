"""The states of a SageMaker model: its endpoint is created, in service, deleted, and may be created again."""

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
    """An endpoint: moto's record of it, and the container image and the number of instances from its config."""

    record: FakeEndpoint
    image: str
    instances: int

    @property
    def answers(self) -> Answers | None:
        """The format of the container's answers; None for an unknown container image."""
        return answers_of(self.image)

    @property
    def flaw(self) -> str | None:
        """The reason for which the endpoint will end as Failed; None if it will be in service."""
        if self.answers is not None:
            return None
        kinds = "object-detection, image-classification and huggingface-*"
        return f"The image {self.image!r} does not run in the embedded AWS: use {kinds}."


class EndpointLife(ModelLife):
    """The endpoint of an endpoint config; its units are instances.

    ``arn`` and ``name`` are those of the config. ``make`` creates an endpoint of the config with the name it is given.
    """

    def __init__(self, arn: str, config_name: str, settings: ModelSettings, make: Callable[[str], Endpoint]):
        super().__init__(arn, config_name, SAGEMAKER, settings)
        self._make = make
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint | None:
        """The present endpoint, or None."""
        return None if self.says is None else self._endpoint

    def create(self, endpoint_name: str) -> Endpoint:
        """Begin to create an endpoint. Raises WrongStateError if the config has one."""
        with self._lock:
            endpoint = self._make(endpoint_name)
            self.start(endpoint.instances, None, endpoint.flaw)
            self._endpoint = endpoint
            return endpoint

    def put(self, status: ModelStatus, message: str | None = None) -> None:
        """Put the model into a state. A missing endpoint is created, with the name of the last one or of the config."""
        with self._lock:
            if self.endpoint is None:
                self._endpoint = self._make(self._endpoint.record.endpoint_name if self._endpoint else self.name)
            self.min_units = self._endpoint.instances if self._endpoint else 0
            super().put(status, message)
