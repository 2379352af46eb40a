"""Lookout for Vision's state: one project with one model, which distinguishes good parts from bad ones."""

import re
import time

from moto.utilities.utils import get_partition

from local_aws.anomaly import AnomalyDetector, Verdict
from local_aws.decoded_image import UnreadableError, decode, size_in_pixels
from local_aws.lookoutvision.exceptions import ConflictError, NotFoundError, ThrottlingError, ValidationError
from local_aws.model_life import Kind, ModelLife, ModelStatus, OverRateError, WrongStateError
from local_aws.settings import ModelSettings

PROJECT = "label-detection"
VERSION = "1"

# https://docs.aws.amazon.com/lookout-for-vision/latest/developer-guide/limits.html
MAX_BYTES = 8_388_608
MIN_SIDE = 64
MAX_SIDE = 4096
CONTENT_TYPES = ("image/png", "image/jpeg")

LOOKOUT_VISION = Kind(
    "lookoutvision",
    words={
        ModelStatus.TRAINING_COMPLETED: "TRAINED",
        ModelStatus.STARTING: "STARTING_HOSTING",
        ModelStatus.RUNNING: "HOSTED",
        ModelStatus.FAILED: "HOSTING_FAILED",
        ModelStatus.STOPPING: "STOPPING_HOSTING",
        ModelStatus.STOPPED: "TRAINED",
    },
    startable=frozenset({ModelStatus.TRAINING_COMPLETED, ModelStatus.STOPPED, ModelStatus.FAILED}),
    stoppable=frozenset({ModelStatus.RUNNING}),
)


class LookoutModel(ModelLife):
    """The model, with the service's errors; its name on the control pages is ``lookoutvision``."""

    def __init__(self, region: str, account_id: str, settings: ModelSettings, detector: AnomalyDetector):
        prefix = f"arn:{get_partition(region)}:lookoutvision:{region}:{account_id}"
        super().__init__(f"{prefix}:model/{PROJECT}/{VERSION}", LOOKOUT_VISION.name, LOOKOUT_VISION, settings)
        self.region = region
        self._detector = detector

    def host(self, min_units: int, max_units: int | None) -> None:
        """Begin to start the model. Raises ConflictError if it is on, starting or stopping."""
        if max_units is not None and max_units < min_units:
            raise ValidationError("MaxInferenceUnits must not be less than MinInferenceUnits.")
        try:
            self.start(min_units, max_units)
        except WrongStateError as error:
            raise self._conflict("started", error) from error

    def end_hosting(self) -> None:
        """Begin to stop the model. Raises ConflictError if it is not hosted."""
        try:
            self.stop()
        except WrongStateError as error:
            raise self._conflict("stopped", error) from error

    def detect(self, content_type: str, body: bytes) -> Verdict:
        """The model's verdict on an image, after at least the model's latency. Raises LookoutVisionError."""
        if len(body) > MAX_BYTES:
            raise ValidationError(f"The image has {len(body)} bytes: at most {MAX_BYTES} are allowed.")
        if not re.fullmatch("|".join(CONTENT_TYPES), content_type):
            raise ValidationError(f"Content-Type must be one of {', '.join(CONTENT_TYPES)}, not {content_type!r}.")
        try:
            self.admit()
        except WrongStateError as error:
            raise self._conflict("used", error) from error
        except OverRateError as error:
            raise ThrottlingError("Rate exceeded") from error
        began = time.monotonic()
        try:
            return self._look(body)
        finally:
            time.sleep(max(0.0, self.settings.latency - (time.monotonic() - began)))
            self.detected()

    def _look(self, body: bytes) -> Verdict:
        try:
            if min(size := size_in_pixels(body)) < MIN_SIDE or max(size) > MAX_SIDE:
                raise ValidationError(f"An image must have from {MIN_SIDE} to {MAX_SIDE} pixels a side, not {size}.")
            picture = decode(body, self._detector.matching_side)
        except UnreadableError as error:
            raise ValidationError("The image is neither PNG nor JPEG, or cannot be decoded.") from error
        return self._detector.judge(picture)

    def _conflict(self, done: str, error: WrongStateError) -> ConflictError:
        return ConflictError(f"The model cannot be {done}: its status is {self.kind.words[error.status]}.")


class LookoutProjects:
    """Finds the model that a request names."""

    def __init__(self) -> None:
        self.model: LookoutModel | None = None

    def find(self, region: str, project: str, version: str) -> LookoutModel:
        """The model of a project in a Region (empty: any Region). Raises NotFoundError."""
        model = self.model
        if model is None or (project, version) != (PROJECT, VERSION) or region not in ("", model.region):
            raise NotFoundError(f"There is no model {project}/{version}.")
        return model
