"""The control pages under /_local/, as the package's docstring describes them."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from include.local_aws.faults import Faults, InvalidFaultError, StartResponse, WsgiApp
from include.local_aws.rekognition.lifecycle import ON, ModelStatus, ProjectVersion

PREFIX = "/_local/"


class BadRequestError(ValueError):
    """The request's JSON is not what the page takes."""


class ControlPages:
    """Answers the control pages and hands every other request to the application.

    ``find_model`` looks the model up on each request: moto's reset removes it.
    """

    def __init__(self, app: WsgiApp, faults: Faults, find_model: Callable[[], ProjectVersion | None]):
        self._app = app
        self._faults = faults
        self._find_model = find_model

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._app(environ, start_response)
        try:
            status, answer = self._answer(path.removeprefix(PREFIX), environ)
        except (BadRequestError, InvalidFaultError) as error:
            status, answer = "400 Bad Request", {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer, indent=2).encode() + b"\n"]

    def _answer(self, page: str, environ: dict[str, Any]) -> tuple[str, Any]:
        method = environ["REQUEST_METHOD"]
        if page == "model" and method in ("GET", "PUT"):
            model = self._find_model()
            if model is None:
                return "404 Not Found", {"error": "there is no model: it was removed by a reset"}
            if method == "PUT":
                _put_model(model, _json(environ))
            return "200 OK", _describe(model)
        if page == "faults" and method in ("GET", "PUT", "DELETE"):
            if method != "GET":
                self._faults.replace(_json(environ) if method == "PUT" else [])
            return "200 OK", self._faults.describe()
        if page in ("model", "faults"):
            return "405 Method Not Allowed", {"error": f"{method} is not for {PREFIX}{page}"}
        return "404 Not Found", {"error": f"the control pages are {PREFIX}model and {PREFIX}faults"}


def _json(environ: dict[str, Any]) -> Any:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error


def _put_model(model: ProjectVersion, value: Any) -> None:
    if not isinstance(value, dict):
        raise BadRequestError("the body must be a JSON object")
    for name in value:
        if name not in ("status", "message", "start_outcome"):
            raise BadRequestError(f"there is no {name!r}: it may have status, message, start_outcome")
    if not isinstance(value.get("message"), str | None):
        raise BadRequestError("message must be a text")
    states = {name: _state(name, value[name]) for name in ("status", "start_outcome") if name in value}
    if "start_outcome" in states:
        model.start_outcome = states["start_outcome"]
    if "status" in states:
        model.put(states["status"], value.get("message"))


def _state(name: str, value: Any) -> ModelStatus:
    try:
        return ModelStatus(value)
    except ValueError as error:
        raise BadRequestError(f"{name} must be one of {', '.join(ModelStatus)}, not {json.dumps(value)}") from error


def _describe(model: ProjectVersion) -> dict[str, Any]:
    return {
        "arn": model.arn,
        "status": model.status,
        "message": model.message,
        "units": model.units,
        "start_outcome": model.start_outcome,
        "history": [
            {"status": change.status, "at": datetime.fromtimestamp(change.at, UTC).isoformat()}
            for change in model.history
        ],
        "detects": model.detects,
        "throttled": model.throttled,
        "on_seconds": round(model.seconds_in(ON), 3),
        "running_seconds": round(model.seconds_in(frozenset({ModelStatus.RUNNING})), 3),
    }
