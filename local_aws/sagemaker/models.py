"""SageMaker's state: moto's models and endpoint configs, and endpoints that start, run and stop."""

import threading
from datetime import UTC, datetime
from typing import Any

from moto.sagemaker.exceptions import ValidationError
from moto.sagemaker.models import FakeEndpoint, FakeEndpointConfig, SageMakerModelBackend, sagemaker_backends

from local_aws.detector import Detector
from local_aws.model_life import ModelStatus, WrongStateError
from local_aws.sagemaker.endpoint_life import Endpoint, EndpointLife
from local_aws.sagemaker.exceptions import Validation
from local_aws.settings import ModelSettings


class LocalSageMakerBackend(SageMakerModelBackend):
    """moto's SageMaker with endpoints that need time to start and stop.

    Each endpoint config has an EndpointLife for its first endpoint and, after that endpoint's deletion, for the next
    one. If a config has several endpoints at a time, each further endpoint has an EndpointLife of its own.
    """

    def __init__(self, region_name: str, account_id: str):
        self._lock = threading.RLock()
        self._lives: list[EndpointLife] = []
        self._settings = ModelSettings()
        self.detector: Detector | None = None
        super().__init__(region_name, account_id)

    def teach(self, settings: ModelSettings, detector: Detector) -> None:
        """Set the behaviour of models whose config is created from now on, and the detector of all models."""
        self._settings = settings
        self.detector = detector

    @property
    def endpoints(self) -> dict[str, FakeEndpoint]:
        """The present endpoints by name, with their present status; moto stores its own endpoints in this attribute."""
        with self._lock:
            records = [record for life in self._lives if (record := _record(life)) is not None]
        return {record.endpoint_name: record for record in records}

    @endpoints.setter
    def endpoints(self, value: Any) -> None:
        """Ignore the assignment of moto's constructor: the endpoints are computed."""

    def config_lives(self) -> list[EndpointLife]:
        """The first EndpointLife of each endpoint config."""
        with self._lock:
            first: dict[str, EndpointLife] = {}
            for life in self._lives:
                first.setdefault(life.name, life)
            return list(first.values())

    def life_of(self, endpoint_name: str) -> EndpointLife | None:
        """The EndpointLife of the endpoint with this name; None if the endpoint does not exist."""
        with self._lock:
            for life in self._lives:
                if (endpoint := life.endpoint) is not None and endpoint.record.endpoint_name == endpoint_name:
                    return life
        return None

    def create_endpoint_config(self, endpoint_config_name: str, *args: Any, **kwargs: Any) -> FakeEndpointConfig:
        """Create an endpoint config and its EndpointLife. Raises Validation."""
        with self._lock:
            if (known := self.endpoint_configs.get(endpoint_config_name)) is not None:
                arn = known.endpoint_config_arn
                raise Validation(f'Cannot create already existing endpoint configuration "{arn}".')
            config = super().create_endpoint_config(endpoint_config_name, *args, **kwargs)
            self._lives.append(self._new_life(config, self._settings))
            return config

    def delete_endpoint_config(self, endpoint_config_name: str) -> None:
        """Delete an endpoint config; its endpoints remain."""
        with self._lock:
            super().delete_endpoint_config(endpoint_config_name)
            self._lives = [life for life in self._lives if life.name != endpoint_config_name or life.endpoint]

    def create_endpoint(self, endpoint_name: str, endpoint_config_name: str, tags: Any) -> FakeEndpoint:
        """Begin to create an endpoint. Raises Validation."""
        with self._lock:
            config = self.endpoint_configs.get(endpoint_config_name)
            if config is None:
                arn = FakeEndpointConfig.arn_formatter(endpoint_config_name, self.account_id, self.region_name)
                raise Validation(f'Could not find endpoint configuration "{arn}".')
            if self.life_of(endpoint_name) is not None:
                raise Validation(f'Cannot create already existing endpoint "{self._arn(endpoint_name)}".')
            record = self._free_life(config).create(endpoint_name).record
            record.tags = tags or []
            return record

    def describe_endpoint(self, endpoint_name: str) -> dict[str, Any]:
        """The answer of DescribeEndpoint. Raises Validation."""
        record = self.endpoints.get(endpoint_name)
        if record is None:
            raise self._not_found(endpoint_name)
        return dict(record.response_object)

    def delete_endpoint(self, endpoint_name: str) -> None:
        """Begin to delete an endpoint. Raises Validation."""
        with self._lock:
            life = self.life_of(endpoint_name)
            if life is None:
                raise self._not_found(endpoint_name)
            try:
                life.stop()
            except WrongStateError as error:
                raise Validation(f'Cannot update in-progress endpoint "{self._arn(endpoint_name)}".') from error

    def _free_life(self, config: FakeEndpointConfig) -> EndpointLife:
        """The config's first EndpointLife, or a new one if that has an endpoint. Unused further ones are removed."""
        own = next(life for life in self.config_lives() if life.name == config.endpoint_config_name)
        self._lives = [life for life in self._lives if life in self.config_lives() or life.endpoint]
        if own.endpoint is None:
            return own
        other = self._new_life(config, own.settings)
        self._lives.append(other)
        return other

    def _new_life(self, config: FakeEndpointConfig, settings: ModelSettings) -> EndpointLife:
        def make(endpoint_name: str) -> Endpoint:
            record = FakeEndpoint(  # type: ignore[abstract]
                self.account_id,
                self.region_name,
                endpoint_name,
                config.endpoint_config_name,
                config.production_variants,
                config.data_capture_config,
                [],
            )
            record.arn = self._arn(endpoint_name)
            instances = sum(variant.get("InitialInstanceCount") or 1 for variant in config.production_variants)
            return Endpoint(record, self._image(config.production_variants[0]["ModelName"]), instances)

        return EndpointLife(config.endpoint_config_arn, config.endpoint_config_name, settings, make)

    def _image(self, model_name: str) -> str:
        """The image of a model's container; empty if the model was deleted or has no container."""
        try:
            model = self.describe_model(model_name)
        except ValidationError:
            return ""
        container = model.primary_container or next(iter(model.containers), {})
        return str(container.get("Image", ""))

    def _arn(self, endpoint_name: str) -> str:
        """The endpoint's ARN, in lower case as in AWS."""
        return FakeEndpoint.arn_formatter(endpoint_name, self.account_id, self.region_name).lower()

    def _not_found(self, endpoint_name: str) -> Validation:
        return Validation(f'Could not find endpoint "{self._arn(endpoint_name)}".')


def _record(life: EndpointLife) -> FakeEndpoint | None:
    """moto's record of the present endpoint, with its present status; None without an endpoint."""
    endpoint, word = life.endpoint, life.says
    if endpoint is None or word is None:
        return None
    record = endpoint.record
    record.endpoint_status = word
    vars(record)["failure_reason"] = life.message if life.status is ModelStatus.FAILED else None
    record.last_modified_time = datetime.fromtimestamp(life.history[-1].at, UTC).replace(tzinfo=None)
    return record


def install() -> None:
    """Make moto serve this SageMaker; call it before moto's first request."""
    sagemaker_backends.backend = LocalSageMakerBackend


def backend_of(account_id: str, region_name: str) -> LocalSageMakerBackend:
    """The SageMaker of an account and Region."""
    backend = sagemaker_backends[account_id][region_name]
    if not isinstance(backend, LocalSageMakerBackend):
        raise TypeError("moto's SageMaker was used before the embedded one: call sagemaker.models.install first")
    return backend
