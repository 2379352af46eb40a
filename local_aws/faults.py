"""Injected faults: a WSGI middleware around every service makes chosen calls fail.

A fault is a JSON object:


``service``      rekognition, s3, sqs, sns ...: the service name in a request's signature; ``*`` for every service
``operation``    StopProjectVersion, PutObject ..., or ``*`` for every operation of the service
``status``       the HTTP status of the answer, 300-599; default: the status of the code in the service's model,
                 500 for a code that is not in the model
``code``         the error's code; default InternalServerError
``message``      the error's text; default "Injected fault."
``when``         ``before`` (default): the call is not carried out; ``after``: the call is carried out, and then its
                 answer is replaced; ``late``: the same, but the call is carried out after the delay, or as
                 soon as all faults are ended
``times``        how many calls fail; default null: all
``key``          only calls whose S3 key or request body contains this text
``probability``  share of the fitting calls that fail, 0-1; default 1: all
``seed``         seed of the random choice of these calls, a whole number; default 0. Each fault has its own random
                 generator, so one seed always fails the same fitting calls, counted from the first
``delay``        seconds until the answer, default 0; with ``after``, the call is carried out before the delay
``reset``        true: the connection is cut (TCP RST) instead of an answer; default false

The first fault that fits a call, and that its random choice selects, is used. ``times`` is counted down before the
delay begins. So when a fault with ``times`` 1 has left the list, its call is being delayed or is already answered.
"""

import io
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from local_aws.operations import Operation, Request, error_answer, modelled_status, operation_of

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

MAX_DELAY = 3600  # seconds

log = logging.getLogger(__name__)


class InvalidFaultError(ValueError):
    """The JSON is not a list of faults; the message names the member and the accepted values."""


class ConnectionCutError(Exception):
    """Makes the server cut the connection of this request."""


@dataclass(frozen=True)
class Fault:
    """One fault. ``times``: the calls that will still fail, None for all; ``delay``: seconds."""

    service: str
    operation: str
    status: int | None = None
    code: str = "InternalServerError"
    message: str = "Injected fault."
    when: str = "before"
    times: int | None = None
    key: str | None = None
    probability: float = 1.0
    seed: int = 0
    delay: float = 0.0
    reset: bool = False

    @classmethod
    def parse(cls, value: Any) -> "Fault":
        """Read one fault from decoded JSON, or raise InvalidFaultError."""
        if not isinstance(value, dict):
            raise InvalidFaultError(f"a fault must be a JSON object, not {json.dumps(value)}")
        for name in ("service", "operation"):
            if name not in value:
                raise InvalidFaultError(f"a fault must have a {name}, a text")
        for name, member in value.items():
            if name not in _MEMBERS:
                raise InvalidFaultError(f"a fault has no member {name!r}: use {', '.join(sorted(_MEMBERS))}")
            is_right, wanted = _MEMBERS[name]
            if not is_right(member):
                raise InvalidFaultError(f"a fault's {name} must be {wanted}, not {json.dumps(member)}")
        return cls(**value)

    def fits(self, operation: Operation, request: Request) -> bool:
        """Whether the fault applies to this call; ``probability`` is not considered."""
        if self.service not in ("*", operation.service) or self.operation not in ("*", operation.name):
            return False
        if self.key is None:
            return True
        return self.key in request.path or self.key.encode() in request.body


class _Rule:
    """A fault in force, with the calls that remain for it and its random generator."""

    def __init__(self, fault: Fault):
        self.fault = fault
        self._random = Random(fault.seed)  # noqa: S311

    def is_drawn(self) -> bool:
        return self.fault.probability >= 1 or self._random.random() < self.fault.probability


class Faults:
    """The faults in force; thread-safe."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self.ended = threading.Event()  # set when all faults are ended; then there is a new one

    def replace(self, value: Any) -> None:
        """Replace all faults by those in the decoded JSON. Raises InvalidFaultError and then changes nothing."""
        if not isinstance(value, list):
            raise InvalidFaultError("faults must be a JSON list of objects")
        rules = [_Rule(Fault.parse(item)) for item in value]
        with self._lock:
            self._rules = rules
            if not rules:
                self.ended.set()
                self.ended = threading.Event()

    def describe(self) -> list[dict[str, Any]]:
        """The faults in force, as JSON, without those whose ``times`` are used up."""
        with self._lock:
            return [asdict(rule.fault) for rule in self._rules]

    def take(self, operation: Operation, request: Request) -> Fault | None:
        """The fault for this call, or None; counts its ``times`` down."""
        with self._lock:
            for index, rule in enumerate(self._rules):
                fault = rule.fault
                if fault.fits(operation, request) and rule.is_drawn():
                    if fault.times == 1:
                        del self._rules[index]
                    elif fault.times is not None:
                        rule.fault = replace(fault, times=fault.times - 1)
                    return fault
        return None

    def __bool__(self) -> bool:
        return bool(self._rules)


class FaultMiddleware:
    """Answers a call instead of the application if a fault applies to it. Raises ConnectionCutError for ``reset``."""

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
        ended = self._faults.ended
        fault = self._faults.take(operation, request)
        if fault is None:
            return self._app(environ, start_response)
        status = fault.status or modelled_status(operation, fault.code) or 500
        outcome = "reset" if fault.reset else f"{status} {fault.code}"
        log.info("fault %s %s:%s: %s", fault.when, operation.service, operation.name, outcome)
        if fault.when == "after":
            self._carry_out(environ)
        if fault.when == "late":
            ended.wait(fault.delay)
            self._carry_out(environ)
        elif fault.delay:
            time.sleep(fault.delay)
        if fault.reset:
            raise ConnectionCutError
        answer = error_answer(operation, request.method, status, fault.code, fault.message)
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


def _is_whole(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


_Check = Callable[[Any], bool]
#: The members of a fault: a check of the value, and what the error message asks for.
_MEMBERS: dict[str, tuple[_Check, str]] = {
    "service": (lambda value: isinstance(value, str) and value != "", "a text"),
    "operation": (lambda value: isinstance(value, str) and value != "", "a text"),
    "status": (lambda value: value is None or _is_whole(value, 300, 599), "a number from 300 to 599, or null"),
    "code": (lambda value: isinstance(value, str), "a text"),
    "message": (lambda value: isinstance(value, str), "a text"),
    "when": (lambda value: value in ("before", "after", "late"), "before, after or late"),
    "times": (lambda value: value is None or _is_whole(value, 1), "1 or more, or null"),
    "key": (lambda value: isinstance(value, str | None), "a text or null"),
    "probability": (lambda value: _is_number(value, 1), "a number from 0 to 1"),
    "seed": (_is_whole, "a whole number"),
    "delay": (lambda value: _is_number(value, MAX_DELAY), f"a number of seconds from 0 to {MAX_DELAY}"),
    "reset": (lambda value: isinstance(value, bool), "true or false"),
}
