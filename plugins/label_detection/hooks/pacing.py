"""A client whose calls of one operation keep a pace: at each send, also of a call that is sent again.

Whether a call is sent again is decided here, and not by botocore: its waits cannot be ended, it counts a throttled call
that comes with HTTP 500 among the service's failures, and it sends a call that fails ten times, with the model on.
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
#: Sends of a call that the service fails (5xx, a lost connection) while it answers others: the image may be to blame,
#: so it goes back to the queue soon, and waits there without the model.
_QUICK_SENDS = 3
_QUICK_SECONDS = 0.5
#: Between two sends to a model that is RUNNING and says that it is not ready yet.
_NOT_READY_SECONDS = 2.0
_STATE = "label_detection"


class Load(Enum):
    """What an answer says of the model, in words that botocore does not know."""

    NORMAL = "nothing"
    BUSY = "it has too much to do, and refuses"  # sent again as a throttled call is, as often as the client allows
    SILENT = "it has not answered in time"  # too much to do, or the image is to blame: not sent again from here
    NOT_READY = "it does not run"  # or it has just begun to, and a part of its service does not know that yet


def keep_pace(
    client: Any,
    operation: str,
    pace: Pace,
    describe: Callable[[], ModelState],
    load_of: Callable[[dict[str, Any]], Load] = lambda _: Load.NORMAL,
) -> None:
    """Have each send of an operation wait for its turn, and report to the pace how it was answered.

    :param describe: the model's state; asked when the model says that it is not ready.
    """
    event = f"before-send.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    sends = _Sends((client.meta.config.retries or {}).get("total_max_attempts", 1), pace, Readiness(describe), load_of)

    def wait(**_: Any) -> None:  # botocore takes what a handler returns for the answer
        pace.wait()

    client.meta.events.register(event, wait)
    decide_retries(client, operation, sends.decide)


class _Sends:
    """Decides whether a call is sent again, and waits until then.

    :param most: sends of a call that is throttled; 1: no call is sent again, except to a model that is not ready.
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
        """Seconds until the call is sent again, here 0; False: it is not sent again."""
        counts: Counter[str] = request_dict["context"].setdefault(_STATE, Counter())
        if response is None:
            lost = not isinstance(caught_exception, ReadTimeoutError)  # which took as long as an image may take
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
    """botocore's own: twice as long each time, and random, so that threads do not send again together."""
    return random.uniform(0, min(1 << (sent - 1), _LONGEST_SECONDS))  # noqa: S311


def _digest(body: Any) -> int:
    """A digest of a request's body: different for different images."""
    return zlib.crc32(body if isinstance(body, bytes | mmap) else str(body).encode())
