"""The control pages under /_local/, as the package's docstring describes them."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from local_aws.faults import Faults, InvalidFaultError, StartResponse, WsgiApp
from local_aws.model_life import ON, ModelLife, ModelStatus
from local_aws.oddities import InvalidOddityError, OdditiesInForce
from local_aws.policy.document import InvalidPolicyError
from local_aws.policy.middleware import PolicyInForce
from local_aws.s3.troubles import InvalidTroubleError, Troubles
from local_aws.scheduler.models import Fired
from local_aws.sqs.models import LocalQueue

PREFIX = "/_local/"
_MODEL_NUMBERS = ("rate", "latency", "start_seconds", "stop_seconds")
_MODEL_MEMBERS = ("status", "message", "start_outcome", *_MODEL_NUMBERS)


class BadRequestError(ValueError):
    """The request's JSON is not valid for the page; the message names the member and the accepted values."""


_REFUSALS = (BadRequestError, InvalidFaultError, InvalidPolicyError, InvalidOddityError, InvalidTroubleError)


@dataclass(frozen=True)
class InForce:
    """The settings that the control pages show and change."""

    faults: Faults
    policy: PolicyInForce
    oddities: OdditiesInForce
    troubles: Troubles


@dataclass(frozen=True)
class State:
    """Functions that the pages call on each request, because moto's reset removes models, schedules and queues."""

    models: Callable[[], Sequence[ModelLife]]
    fired: Callable[[], Sequence[Fired]]
    queues: Callable[[], Sequence[LocalQueue]]


class ControlPages:
    """Answers requests for the control pages and passes every other request on to the application.

    ``chosen``: the name of the model that ``/_local/model`` shows.
    """

    def __init__(self, app: WsgiApp, in_force: InForce, state: State, chosen: str):
        self._app = app
        self._faults = in_force.faults
        self._policy = in_force.policy
        self._oddities = in_force.oddities
        self._troubles = in_force.troubles
        self._find_models = state.models
        self._fired = state.fired
        self._queues = state.queues
        self._chosen = chosen

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._app(environ, start_response)
        try:
            status, answer = self._answer(path.removeprefix(PREFIX), environ)
        except _REFUSALS as error:
            status, answer = "400 Bad Request", {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer, indent=2).encode() + b"\n"]

    def _answer(self, page: str, environ: dict[str, Any]) -> tuple[str, Any]:
        pages: dict[str, tuple[Callable[[str, dict[str, Any]], tuple[str, Any]], tuple[str, ...]]] = {
            "model": (self._model, ("GET", "PUT")),
            "models": (self._models, ("GET",)),
            "faults": (self._faults_page, ("GET", "PUT", "DELETE")),
            "policy": (self._policy_page, ("GET", "PUT", "DELETE")),
            "oddities": (self._oddities_page, ("GET", "PUT", "DELETE")),
            "objects": (self._objects_page, ("GET", "PUT", "DELETE")),
            "queues": (self._queues_page, ("GET", "DELETE")),
            "schedules": (self._schedules, ("GET",)),
        }
        name, _, rest = page.partition("/")
        if name not in pages or (rest and name not in ("model", "queues")):
            known = ", ".join(PREFIX + one for one in pages)
            return "404 Not Found", {"error": f"there is no control page {PREFIX}{page}: there are {known}"}
        answer, methods = pages[name]
        if environ["REQUEST_METHOD"] not in methods:
            return "405 Method Not Allowed", {
                "error": f"{PREFIX}{page} takes {', '.join(methods)}, not {environ['REQUEST_METHOD']}"
            }
        return answer(rest, environ)

    def _models(self, *_: Any) -> tuple[str, Any]:
        return "200 OK", [_describe(model) for model in self._find_models()]

    def _model(self, name: str, environ: dict[str, Any]) -> tuple[str, Any]:
        models = [model for model in self._find_models() if model.name == (name or self._chosen)]
        if not models:
            reason = f"there is no model {name}" if name else "there is no model: a reset of moto removed it"
            return "404 Not Found", {"error": reason}
        if environ["REQUEST_METHOD"] == "PUT":
            _put_model(models[0], _json(environ))
        return "200 OK", _describe(models[0])

    def _faults_page(self, _: str, environ: dict[str, Any]) -> tuple[str, Any]:
        if environ["REQUEST_METHOD"] != "GET":
            self._faults.replace(_json(environ) if environ["REQUEST_METHOD"] == "PUT" else [])
        return "200 OK", self._faults.describe()

    def _policy_page(self, _: str, environ: dict[str, Any]) -> tuple[str, Any]:
        if environ["REQUEST_METHOD"] != "GET":
            self._policy.replace(_json(environ) if environ["REQUEST_METHOD"] == "PUT" else None)
        return "200 OK", self._policy.describe()

    def _oddities_page(self, _: str, environ: dict[str, Any]) -> tuple[str, Any]:
        if environ["REQUEST_METHOD"] == "PUT":
            self._oddities.change(_json(environ))
        elif environ["REQUEST_METHOD"] == "DELETE":
            self._oddities.reset()
        return "200 OK", self._oddities.describe()

    def _objects_page(self, _: str, environ: dict[str, Any]) -> tuple[str, Any]:
        if environ["REQUEST_METHOD"] != "GET":
            self._troubles.replace(_json(environ) if environ["REQUEST_METHOD"] == "PUT" else [])
        return "200 OK", self._troubles.describe()

    def _queues_page(self, name: str, environ: dict[str, Any]) -> tuple[str, Any]:
        queues = [queue for queue in self._queues() if name in ("", queue.name)]
        if name and not queues:
            return "404 Not Found", {"error": f"there is no standard queue {name}"}
        if environ["REQUEST_METHOD"] == "DELETE":
            for queue in queues:
                queue.settle_counts()
        found = [
            {"name": queue.name, **asdict(queue.counts), "second_deliveries": queue.second_deliveries}
            for queue in queues
        ]
        return "200 OK", found[0] if name else found

    def _schedules(self, *_: Any) -> tuple[str, Any]:
        return "200 OK", [_describe_fired(fired) for fired in list(self._fired())]


def _json(environ: dict[str, Any]) -> Any:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    try:
        return json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error


def _put_model(model: ModelLife, value: Any) -> None:
    if not isinstance(value, dict):
        raise BadRequestError("the body must be a JSON object")
    for name in value:
        if name not in _MODEL_MEMBERS:
            raise BadRequestError(f"a model has no member {name!r}: use {', '.join(_MODEL_MEMBERS)}")
    if not isinstance(value.get("message"), str | None):
        raise BadRequestError("message must be a text")
    numbers = {name: _number(name, value[name]) for name in _MODEL_NUMBERS if name in value}
    states = {name: _state(name, value[name], model) for name in ("status", "start_outcome") if name in value}
    if "start_outcome" in states:
        model.start_outcome = states["start_outcome"]
    model.settings = replace(model.settings, **numbers)
    if "status" in states:
        model.put(states["status"], value.get("message"))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadRequestError(f"{name} must be a number, 0 or more, not {json.dumps(value)}")
    return float(value)


def _state(name: str, value: Any, model: ModelLife) -> ModelStatus:
    states = model.kind.words
    if value not in list(states):
        wanted = ", ".join(states)
        raise BadRequestError(
            f"{name} of a model of {model.kind.name} must be one of {wanted}, not {json.dumps(value)}"
        )
    return ModelStatus(value)


def _describe(model: ModelLife) -> dict[str, Any]:
    status = model.status
    return {
        "kind": model.kind.name,
        "name": model.name,
        "arn": model.arn,
        "status": status,
        "says": model.kind.words[status],
        "message": model.message,
        "units": model.units,
        "start_outcome": model.start_outcome,
        "history": [{"status": change.status, "at": _moment(change.at)} for change in model.history],
        "detects": model.detects,
        "throttled": model.throttled,
        "on_seconds": round(model.seconds_in(ON), 3),
        "first_detect_at": _moment(model.first_detect_at),
        "last_detect_at": _moment(model.last_detect_at),
        "running_seconds": round(model.seconds_in(frozenset({ModelStatus.RUNNING})), 3),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _describe_fired(fired: Fired) -> dict[str, Any]:
    attempts = [{"at": attempt.at.isoformat(), "error": attempt.error} for attempt in list(fired.attempts)]
    return {
        "arn": fired.arn,
        "due": fired.due.isoformat(),
        "target": fired.target,
        "attempts": attempts,
        "delivered": fired.delivered,
    }
