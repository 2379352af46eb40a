"""Lookout for Vision's four operations, as a WSGI application in front of moto's."""

import base64
import io
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from local_aws.anomaly import Verdict
from local_aws.faults import StartResponse, WsgiApp
from local_aws.lookoutvision.exceptions import LookoutVisionError, NotFoundError, ValidationError
from local_aws.lookoutvision.models import LookoutModel, LookoutProjects
from local_aws.operations import Request, error_answer, operation_of

_JSON = [("Content-Type", "application/json")]
DEFECT_COLOR = "#23A436"
_BACKGROUND_COLOR = "#FFFFFF"


class LookoutVisionApp:
    """Answers requests to Lookout for Vision and passes every other request on to the application."""

    def __init__(self, app: WsgiApp, projects: LookoutProjects):
        self._app = app
        self._projects = projects

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not _may_be_ours(environ):
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        request = Request.of(environ, body)
        operation = operation_of(request)
        if operation.service != "lookoutvision":
            return self._app(environ, start_response)
        try:
            operations = {
                "DescribeModel": (200, _describe),
                "StartModel": (202, _start),
                "StopModel": (202, _stop),
                "DetectAnomalies": (200, _detect),
            }
            if operation.name not in operations:
                raise NotFoundError(f"The embedded AWS does not know {request.method} {request.path}.")
            _, _, _, project, _, version, *_ = request.path.split("/")
            model = self._projects.find(request.region, unquote(project), unquote(version))
            status, answer = operations[operation.name]
            content = json.dumps(answer(model, request, environ.get("CONTENT_TYPE", ""))).encode()
        except LookoutVisionError as error:
            wrong = error_answer(operation, request.method, error.status, error.code, str(error))
            start_response(f"{wrong.status} {error.code}", list(wrong.headers))
            return [wrong.body]
        start_response(f"{status} OK", list(_JSON))
        return [content]


def _may_be_ours(environ: dict[str, Any]) -> bool:
    """A check of the headers alone: reading the body here would read every picture for S3 twice."""
    signed_for_us = "/lookoutvision/" in environ.get("HTTP_AUTHORIZATION", "")
    return signed_for_us or environ.get("PATH_INFO", "").startswith("/2020-11-20/projects/")


def _describe(model: LookoutModel, *_: Any) -> dict[str, Any]:
    description: dict[str, Any] = {
        "ModelVersion": model.arn.rpartition("/")[2],
        "ModelArn": model.arn,
        "CreationTimestamp": model.created,
        "Status": model.says,
        "StatusMessage": model.message,
    }
    if model.units:
        description["MinInferenceUnits"] = model.min_units
        if model.max_units is not None:
            description["MaxInferenceUnits"] = model.max_units
    return {"ModelDescription": description}


def _start(model: LookoutModel, request: Request, _: str) -> dict[str, Any]:
    try:
        given = json.loads(request.body or b"{}")
        least, most = given.get("MinInferenceUnits"), given.get("MaxInferenceUnits")
    except (ValueError, AttributeError) as error:
        raise ValidationError("The body must be a JSON object.") from error
    for name, units in (("MinInferenceUnits", least), ("MaxInferenceUnits", most)):
        missing = units is None and name.startswith("Max")
        if not missing and (not isinstance(units, int) or isinstance(units, bool) or units < 1):
            raise ValidationError(f"{name} must be a whole number, 1 or more.")
    model.host(least, most)
    return {"Status": "STARTING_HOSTING"}


def _stop(model: LookoutModel, *_: Any) -> dict[str, Any]:
    model.end_hosting()
    return {"Status": "STOPPING_HOSTING"}


def _detect(model: LookoutModel, request: Request, content_type: str) -> dict[str, Any]:
    verdict = model.detect(content_type, request.body)
    return {
        "DetectAnomalyResult": {
            "Source": {"Type": "direct"},
            "IsAnomalous": verdict.is_anomalous,
            "Confidence": verdict.confidence,
            "Anomalies": _anomalies(verdict),
            "AnomalyMask": base64.b64encode(verdict.mask_png(DEFECT_COLOR, _BACKGROUND_COLOR)).decode(),
        }
    }


def _anomalies(verdict: Verdict) -> list[dict[str, Any]]:
    """The areas of the mask, as shares, 0-1. The first is the background, which is no anomaly, as in AWS."""
    areas = [("background", 1.0 - verdict.area, _BACKGROUND_COLOR)]
    if verdict.is_anomalous:
        areas.append(("defect", verdict.area, DEFECT_COLOR))
    return [
        {"Name": name, "PixelAnomaly": {"TotalPercentageArea": area, "Color": color}} for name, area, color in areas
    ]
