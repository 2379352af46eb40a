"""One method per operation of Rekognition: it reads the request's parameters and returns the service's JSON."""

import binascii
import json
from base64 import b64decode
from typing import Any, cast

from moto.rekognition.responses import RekognitionResponse

from local_aws.detector import Finding
from local_aws.rekognition.exceptions import InvalidParameter
from local_aws.rekognition.models import LocalRekognitionBackend, Project
from local_aws.rekognition.pictures import S3Object
from local_aws.rekognition.project_version import ProjectVersion


class LocalRekognitionResponse(RekognitionResponse):
    """Answers the Custom Labels operations; moto answers the others."""

    @property
    def _local(self) -> LocalRekognitionBackend:
        return cast(LocalRekognitionBackend, self.rekognition_backend)

    def describe_projects(self) -> str:
        """DescribeProjects: all projects in one page."""
        projects = self._local.describe_projects(self._list("ProjectNames"))
        return json.dumps({"ProjectDescriptions": [_project(project) for project in projects]})

    def describe_project_versions(self) -> str:
        """DescribeProjectVersions: all versions in one page."""
        versions = self._local.describe_project_versions(self._text("ProjectArn"), self._list("VersionNames"))
        return json.dumps({"ProjectVersionDescriptions": [_version(version) for version in versions]})

    def start_project_version(self) -> str:
        """StartProjectVersion."""
        status = self._local.start_project_version(
            self._text("ProjectVersionArn"), self._whole("MinInferenceUnits"), self._whole("MaxInferenceUnits")
        )
        return json.dumps({"Status": status})

    def stop_project_version(self) -> str:
        """StopProjectVersion."""
        return json.dumps({"Status": self._local.stop_project_version(self._text("ProjectVersionArn"))})

    def detect_custom_labels(self) -> str:
        """DetectCustomLabels."""
        findings = self._local.find_custom_labels(
            self._text("ProjectVersionArn"),
            self._image(),
            self._number("MinConfidence"),
            self._whole("MaxResults"),
        )
        return json.dumps({"CustomLabels": [_label(finding) for finding in findings]})

    def _image(self) -> bytes | S3Object:
        image = self._get_param("Image") or {}
        place = image.get("S3Object")
        content = image.get("Bytes")
        if (place is None) == (content is None):
            raise InvalidParameter("Image must have either Bytes or S3Object.")
        if place is None:
            try:
                return b64decode(cast(str, content), validate=True)
            except (binascii.Error, ValueError, TypeError) as error:
                raise InvalidParameter("Image.Bytes is not base64.") from error
        if not place.get("Bucket") or not place.get("Name"):
            raise InvalidParameter("Image.S3Object must have Bucket and Name.")
        return S3Object(place["Bucket"], place["Name"], place.get("Version"))

    def _text(self, name: str) -> str:
        value = self._get_param(name)
        if not isinstance(value, str) or not value:
            raise InvalidParameter(f"{name} is missing: it must be a text.")
        return value

    def _list(self, name: str) -> list[str]:
        return list(self._get_param(name) or [])

    def _number(self, name: str) -> float | None:
        value = self._get_param(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InvalidParameter(f"{name} must be a number.")
        return cast(float | None, value)

    def _whole(self, name: str) -> int | None:
        value = self._number(name)
        if value is not None and int(value) != value:
            raise InvalidParameter(f"{name} must be a whole number.")
        return None if value is None else int(value)


def _project(project: Project) -> dict[str, Any]:
    return {
        "ProjectArn": project.arn,
        "CreationTimestamp": project.created,
        "Status": "CREATED",
        "Feature": "CUSTOM_LABELS",
        "AutoUpdate": "DISABLED",
    }


def _version(version: ProjectVersion) -> dict[str, Any]:
    shown = version.describe()
    description: dict[str, Any] = {
        "ProjectVersionArn": version.arn,
        "CreationTimestamp": version.created,
        "Status": shown.status,
        "StatusMessage": shown.message,
        "BillableTrainingTimeInSeconds": 3600,
        "TrainingEndTimestamp": version.created,
        "Feature": "CUSTOM_LABELS",
    }
    if shown.min_units:
        description["MinInferenceUnits"] = shown.min_units
        if shown.max_units is not None:
            description["MaxInferenceUnits"] = shown.max_units
    return description


def _label(finding: Finding) -> dict[str, Any]:
    return {
        "Name": finding.name,
        "Confidence": finding.confidence,
        "Geometry": {
            "BoundingBox": {
                "Width": finding.box.width,
                "Height": finding.box.height,
                "Left": finding.box.left,
                "Top": finding.box.top,
            },
            "Polygon": [{"X": x, "Y": y} for x, y in finding.polygon],
        },
    }
