"""Rekognition's state: projects and the versions of their models."""

import threading
import time
from binascii import crc32
from collections.abc import Sequence
from dataclasses import dataclass, field

from moto.rekognition.models import RekognitionBackend, rekognition_backends
from moto.utilities.utils import get_partition

from local_aws.detector import Detector, Finding
from local_aws.model_life import ModelStatus
from local_aws.oddities import OdditiesInForce
from local_aws.rekognition.exceptions import InvalidParameter, InvalidS3Object, ResourceNotFound
from local_aws.rekognition.images import MAX_BYTES_FROM_S3, MAX_BYTES_IN_REQUEST, read_image
from local_aws.rekognition.pictures import OtherS3, OwnS3, PictureStore, S3Object
from local_aws.rekognition.project_version import ProjectVersion
from local_aws.settings import ModelSettings

# The threshold if a request has no MinConfidence. In AWS each label has its own assumed threshold; here all share one.
ASSUMED_MIN_CONFIDENCE = 50.0


@dataclass
class Project:
    """A Custom Labels project. ``created``: seconds since 1970; ``versions``: by name."""

    name: str
    arn: str
    created: float
    versions: dict[str, ProjectVersion] = field(default_factory=dict)


class LocalRekognitionBackend(RekognitionBackend):
    """moto's Rekognition plus Custom Labels models that start, run, detect and stop.

    It has no models until ``add_model``, and none after a reset of moto.
    """

    oddities = OdditiesInForce()

    def __init__(self, region_name: str, account_id: str):
        super().__init__(region_name, account_id)
        self.projects: dict[str, Project] = {}
        self._lock = threading.Lock()
        self._detector: Detector | None = None
        self._pictures: PictureStore = OwnS3(region_name, account_id)

    def read_pictures_from(self, endpoint: str) -> None:
        """Read pictures over HTTP from the S3 at this endpoint from now on."""
        self._pictures = OtherS3(endpoint, self.region_name)

    def add_model(
        self, project_name: str, version_name: str, settings: ModelSettings, detector: Detector
    ) -> ProjectVersion:
        """Add a trained model to a project; the first model creates the project."""
        prefix = f"arn:{get_partition(self.region_name)}:rekognition:{self.region_name}:{self.account_id}:project"
        # In AWS an ARN ends with its creation time in milliseconds, so a project and its version have different digits.
        # Here the digits are computed from the names, so that an ARN is the same after a restart of the process.
        project_digits = 1_690_000_000_000 + crc32(project_name.encode())
        version_digits = 1_700_000_000_000 + crc32(f"{project_name}/{version_name}".encode())
        project_arn = f"{prefix}/{project_name}/{project_digits}"
        with self._lock:
            project = self.projects.setdefault(project_arn, Project(project_name, project_arn, time.time()))
            self._detector = detector
        version = ProjectVersion(
            f"{prefix}/{project_name}/version/{version_name}/{version_digits}",
            project.arn,
            version_name,
            settings,
            self.oddities,
        )
        project.versions[version_name] = version
        return version

    def describe_projects(self, names: Sequence[str]) -> list[Project]:
        """The projects with these names, or all projects if ``names`` is empty."""
        return [project for project in self.projects.values() if not names or project.name in names]

    def describe_project_versions(self, project_arn: str, names: Sequence[str]) -> list[ProjectVersion]:
        """A project's versions with these names, or all versions if ``names`` is empty. Raises ResourceNotFound."""
        project = self.projects.get(project_arn)
        if project is None:
            raise ResourceNotFound()
        return [version for version in project.versions.values() if not names or version.name in names]

    def start_project_version(self, arn: str, min_units: int | None, max_units: int | None) -> ModelStatus:
        """Start a model with ``min_units`` inference units; returns STARTING.

        The number of units never grows to ``max_units``: AWS does not publish how it scales between the two.
        Raises InvalidParameter, ResourceNotFound or ResourceInUse.
        """
        if min_units is None or min_units < 1:
            raise InvalidParameter("MinInferenceUnits must be at least 1.")
        if max_units is not None and max_units < min_units:
            raise InvalidParameter("MaxInferenceUnits must not be less than MinInferenceUnits.")
        return self.version(arn).start(min_units, max_units)

    def stop_project_version(self, arn: str) -> ModelStatus:
        """Stop a running model; returns STOPPING. Raises ResourceNotFound or ResourceInUse."""
        return self.version(arn).stop()

    def find_custom_labels(
        self, arn: str, source: bytes | S3Object, min_confidence: float | None, max_results: int | None
    ) -> list[Finding]:
        """The labels of an image, highest confidence first, after at least the model's latency.

        Raises the exceptions of ``rekognition/exceptions.py``.
        """
        if min_confidence is not None and not 0 <= min_confidence <= 100:
            raise InvalidParameter("MinConfidence must be from 0 to 100.")
        if max_results is not None and max_results < 0:
            raise InvalidParameter("MaxResults must not be less than 0.")
        version = self.version(arn)
        version.admit()
        began = time.monotonic()
        try:
            findings = self._look(source)
        finally:
            time.sleep(max(0.0, version.settings.latency - (time.monotonic() - began)))
            version.detected()
        least = ASSUMED_MIN_CONFIDENCE if min_confidence is None else min_confidence
        found = [finding for finding in findings if finding.confidence >= least]
        return found if max_results is None else found[:max_results]

    def version(self, arn: str) -> ProjectVersion:
        """The model with this ARN. Raises ResourceNotFound."""
        for project in self.projects.values():
            for version in project.versions.values():
                if version.arn == arn:
                    return version
        raise ResourceNotFound()

    def _look(self, source: bytes | S3Object) -> list[Finding]:
        if self._detector is None:
            raise ResourceNotFound()
        if isinstance(source, S3Object):
            if source.bucket in self.oddities.now.unreadable_buckets:
                raise InvalidS3Object()
            content, limit = self._pictures.read(source), MAX_BYTES_FROM_S3
        else:
            content, limit = source, MAX_BYTES_IN_REQUEST
        picture = read_image(content, limit, self._detector.matching_side)
        return self._detector.find(picture.gray)


def install(oddities: OdditiesInForce) -> None:
    """Make moto serve this Rekognition; call it before moto's first request."""
    LocalRekognitionBackend.oddities = oddities
    rekognition_backends.backend = LocalRekognitionBackend


def backend_of(account_id: str, region_name: str) -> LocalRekognitionBackend:
    """The Rekognition of an account and Region."""
    backend = rekognition_backends[account_id][region_name]
    if not isinstance(backend, LocalRekognitionBackend):
        raise TypeError("moto's Rekognition was used before the embedded one: call rekognition.models.install first")
    return backend
