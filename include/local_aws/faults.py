"""Calls that fail on purpose: a WSGI middleware around every service.

A fault is JSON:

``service``    rekognition, s3, sqs, sns ...: the name requests are signed for
``operation``  StopProjectVersion, PutObject ..., or ``*`` for every operation of the service
``status``     the HTTP status of the answer, 300-599; default 500
``code``       the error's code; default InternalServerError
``message``    the error's text; default "Injected fault."
``when``       ``before`` (default): the call is not carried out; ``after``: it is, and its answer is replaced
``times``      how many calls fail; default null: all
``key``        only calls whose S3 key or request body contains this text

The first fault that fits a call is used.
"""

import io
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from include.local_aws.operations import Operation, Request, error_answer, operation_of

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class InvalidFaultError(ValueError):
    """The JSON does not describe a list of faults; the text says what is wrong."""


@dataclass(frozen=True)
class Fault:
    """One rule; ``times`` is how many calls it still fails, None for all."""

    service: str
    operation: str
    status: int = 500
    code: str = "InternalServerError"
    message: str = "Injected fault."
    when: str = "before"
    times: int | None = None
    key: str | None = None

    @classmethod
    def parse(cls, value: Any) -> "Fault":
        """Read one fault from decoded JSON, or raise InvalidFaultError."""
        if not isinstance(value, dict):
            raise InvalidFaultError(f"a fault must be a JSON object, not {json.dumps(value)}")
        names = {field.name for field in fields(cls)}
        for name in value:
            if name not in names:
                raise InvalidFaultError(f"a fault has no {name!r}: it may have {', '.join(sorted(names))}")
        for name in ("service", "operation"):
            if not isinstance(value.get(name), str) or not value[name]:
                raise InvalidFaultError(f"a fault must have a {name}, a text")
        for name in ("code", "message"):
            if not isinstance(value.get(name, ""), str):
                raise InvalidFaultError(f"a fault's {name} must be a text, not {json.dumps(value[name])}")
        if not isinstance(value.get("key"), str | None):
            raise InvalidFaultError(f"a fault's key must be a text or null, not {json.dumps(value['key'])}")
        if not _whole(value.get("status", 500), 300, 599):
            raise InvalidFaultError(
                f"a fault's status must be a number from 300 to 599, not {json.dumps(value['status'])}"
            )
        if value.get("when", "before") not in ("before", "after"):
            raise InvalidFaultError(f"a fault's when must be before or after, not {json.dumps(value['when'])}")
        if value.get("times") is not None and not _whole(value["times"], 1, None):
            raise InvalidFaultError(f"a fault's times must be 1 or more, or null, not {json.dumps(value['times'])}")
        return cls(**value)

    def fits(self, operation: Operation, request: Request) -> bool:
        """Whether this call is one to fail."""
        if self.service != operation.service or self.operation not in ("*", operation.name):
            return False
        if self.key is None:
            return True
        return self.key in request.path or self.key.encode() in request.body


class Faults:
    """The faults in force; safe under threads."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def replace(self, value: Any) -> None:
        """Put these in the place of all, given as decoded JSON; InvalidFaultError leaves all as they were."""
        if not isinstance(value, list):
            raise InvalidFaultError("faults must be a JSON list of objects")
        faults = [Fault.parse(item) for item in value]
        with self._lock:
            self._faults = faults

    def describe(self) -> list[dict[str, Any]]:
        """The faults in force, as JSON; those that are used up are gone."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def take(self, operation: Operation, request: Request) -> Fault | None:
        """The fault for this call, counted as used."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.fits(operation, request):
                    if fault.times == 1:
                        del self._faults[index]
                    elif fault.times is not None:
                        self._faults[index] = replace(fault, times=fault.times - 1)
                    return fault
        return None

    def __bool__(self) -> bool:
        return bool(self._faults)


class FaultMiddleware:
    """Answers in the place of the application where a fault says so."""

    def __init__(self, app: WsgiApp, faults: Faults):
        self._app = app
        self._faults = faults

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if not self._faults:
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        request = Request.of(environ, body)
        operation = operation_of(request)
        fault = self._faults.take(operation, request)
        if fault is None:
            return self._app(environ, start_response)
        if fault.when == "after":
            self._carry_out(environ)
        answer = error_answer(operation, request.method, fault.status, fault.code, fault.message)
        start_response(f"{answer.status} Injected Fault", list(answer.headers))
        return [answer.body]

    def _carry_out(self, environ: dict[str, Any]) -> None:
        answer = self._app(environ, lambda *_: None)
        try:
            for _ in answer:
                pass
        finally:
            if hasattr(answer, "close"):
                answer.close()


def _whole(value: Any, least: int, most: int | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value >= least and (most is None or value <= most)
