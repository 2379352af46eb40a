"""InvokeEndpoint: an endpoint answers an image with the detector's findings, in the format of its container."""

import time
from typing import Any

from moto.sagemakerruntime.models import SageMakerRuntimeBackend, sagemakerruntime_backends

from local_aws.decoded_image import UnreadableError, decode
from local_aws.model_life import OverRateError, WrongStateError
from local_aws.sagemaker.answers import write_answer
from local_aws.sagemaker.models import backend_of
from local_aws.sagemaker_runtime.exceptions import Model, Validation
from local_aws.settings import Answers

# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
MAX_BYTES = 26_214_400
CONTENT_TYPES = ("image/png", "image/jpeg", "application/x-image")


class LocalSageMakerRuntimeBackend(SageMakerRuntimeBackend):
    """moto's runtime, with answers that depend on the image."""

    def invoke(self, endpoint_name: str, content_type: str, body: bytes) -> tuple[Any, str]:
        """The JSON of the answer and the name of the production variant, after at least the model's latency.

        Raises Validation if no such endpoint is in service, and Model for an error of the container.
        """
        sagemaker = backend_of(self.account_id, self.region_name)
        life = sagemaker.life_of(endpoint_name)
        endpoint = None if life is None else life.endpoint
        absent = f"Endpoint {endpoint_name} of account {self.account_id} not found."
        if life is None or endpoint is None:
            raise Validation(absent)
        if len(body) > MAX_BYTES:
            raise Model(413, f"the body has {len(body)} bytes: at most {MAX_BYTES} are allowed")
        try:
            life.admit()
        except WrongStateError as error:
            raise Validation(absent) from error
        except OverRateError as error:
            raise Model(503, "No worker is available to serve the request") from error
        began = time.monotonic()
        try:
            answer = self._look(endpoint.answers, content_type.partition(";")[0].strip().lower(), body)
        finally:
            time.sleep(max(0.0, life.settings.latency - (time.monotonic() - began)))
            life.detected()
        return answer, str(endpoint.record.production_variants[0]["VariantName"])

    def _look(self, form: Answers | None, content_type: str, body: bytes) -> Any:
        if content_type not in CONTENT_TYPES:
            raise Model(415, f"the content type {content_type!r} is not one of {', '.join(CONTENT_TYPES)}")
        detector = backend_of(self.account_id, self.region_name).detector
        if detector is None or form is None:
            raise Model(500, "the model has no detector or no known answer format")
        try:
            picture = decode(body, detector.matching_side)
        except UnreadableError as error:
            raise Model(400, "the body is not a PNG or JPEG image that can be decoded") from error
        return write_answer(form, detector.find(picture.gray), detector.classes(), picture)


def install() -> None:
    """Make moto serve this runtime; call it before moto's first request."""
    sagemakerruntime_backends.backend = LocalSageMakerRuntimeBackend
