"""Makes a client keep a pace for one operation: each request waits for its turn, also a retry.

This module also decides about retries, instead of botocore, for three reasons. A wait of botocore cannot be
interrupted. botocore takes a throttled call with HTTP 500 for a failure of the service. And it sends a failing call up
to ten times, while the model costs money.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from mmap import mmap
from typing import Any

from botocore.exceptions import ReadTimeoutError

from label_detection.hooks.model import ModelState
from label_detection.hooks.retries import decide_retries
from label_detection.hooks.service_health import Outage, Readiness
from label_detection_core import aws_errors
from label_detection_core.drain.pace import Pace

_LONGEST_SECONDS = 20.0
#: Attempts of a call that fails (5xx, a lost connection) while other calls succeed. The image may be the cause, so its
#: message returns to the queue soon, where it waits without costing model time.
_QUICK_SENDS = 3
_QUICK_SECONDS = 0.5
#: Seconds between two requests to a model that is RUNNING but answers that it is not ready yet.
_NOT_READY_SECONDS = 2.0
_STATE = "label_detection"


class Load(Enum):
    """What a response shows about the model's load, where botocore does not know it."""

    NORMAL = "nothing"
    BUSY = "it has too much to do, and refuses"  # retried like a throttled call, as often as the client allows
    SILENT = "it has not answered in time"  # overload, or the image is the cause: no retry here
    NOT_READY = "it does not run"  # or it has just started, and a part of its service does not know that yet


def keep_pace(
    client: Any,
    operation: str,
    pace: Pace,
    describe: Callable[[], ModelState],
    load_of: Callable[[dict[str, Any]], Load] = lambda _: Load.NORMAL,
) -> None:
    """Make each request of an operation wait for its turn, and report to the pace whether it was throttled.

    :param describe: returns the model's state; called when the model answers that it is not ready.
    :param load_of: the load that a parsed response shows.
    """
    event = f"before-send.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    sends = _Sends((client.meta.config.retries or {}).get("total_max_attempts", 1), pace, Readiness(describe), load_of)

    def wait(**_: Any) -> None:  # returns None: botocore would take another value for the response
        pace.wait()

    client.meta.events.register(event, wait)
    decide_retries(client, operation, sends.decide)


class _Sends:
    """Decides whether a call is retried, and waits until its next attempt.

    :param most: attempts of a throttled call. 1: no retries, except when the model is not ready.
    """

    def __init__(self, most: int, pace: Pace, readiness: Readiness, load_of: Callable[[dict[str, Any]], Load]) -> None:
        self._most = most
        self._pace = pace
        self._readiness = readiness
        self._outage = Outage()
        self._load_of = load_of

    def decide(
        self,
        response: tuple[Any, dict[str, Any]] | None,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        **_: Any,
    ) -> float | bool:
        """0, after the wait, when botocore must send the call again; False: no retry."""
        counts: Counter[str] = request_dict["context"].setdefault(_STATE, Counter())
        if response is None:
            lost = not isinstance(
                caught_exception, ReadTimeoutError
            )  # after a read timeout, the image has used all its time
            return lost and self._after_trouble(counts, request_dict)
        status, parsed = response[0].status_code, response[1]
        load = self._load(parsed)
        if load is Load.NOT_READY:
            return self._readiness.may_come() and self._again_in(_NOT_READY_SECONDS)
        if load is Load.NORMAL and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self._after_trouble(counts, request_dict)
        self._readiness.answered()
        self._outage.answered()
        self._pace.answered(throttled=load is not Load.NORMAL)
        return load is Load.BUSY and self._after_throttle(counts)

    def _load(self, parsed: dict[str, Any]) -> Load:
        is_throttle = parsed.get("Error", {}).get("Code") in aws_errors.THROTTLES  # whatever its HTTP status
        return Load.BUSY if is_throttle else self._load_of(parsed)

    def _after_throttle(self, counts: Counter[str]) -> float | bool:
        counts["throttled"] += 1
        return counts["throttled"] < self._most and self._again_in(_back_off(counts["throttled"]))

    def _after_trouble(self, counts: Counter[str], request_dict: dict[str, Any]) -> float | bool:
        counts["trouble"] += 1
        sent = counts["trouble"]
        if self._outage.goes_on(_digest(request_dict["body"])):
            return sent < self._most and self._again_in(_back_off(sent))
        return sent < min(_QUICK_SENDS, self._most) and self._again_in(random.uniform(0, _QUICK_SECONDS * sent))  # noqa: S311

    def _again_in(self, seconds: float) -> float | bool:
        return 0.0 if self._pace.pause(seconds) else False


def _back_off(sent: int) -> float:
    """Seconds, by botocore's own rule: the limit doubles each time; random, so that threads do not retry together."""
    return random.uniform(0, min(1 << (sent - 1), _LONGEST_SECONDS))  # noqa: S311


def _digest(body: Any) -> int:
    """Checksum of a request's body, to tell the requests of different images apart."""
    return zlib.crc32(body if isinstance(body, bytes | mmap) else str(body).encode())
