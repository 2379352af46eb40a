"""A client whose calls of one operation keep a pace: at each send, retries included, as botocore's own limiter does."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import Any

from include import aws_errors
from include.pace import Pace

_LONGEST_SECONDS = 20


class Load(Enum):
    """What an answer says of the model, in words that botocore does not know."""

    NORMAL = "nothing"
    BUSY = "it has too much to do, and refuses"  # sent again as a throttled call is, as often as the client is told
    SILENT = "it has not answered in time"  # too much to do, or the image is to blame: not sent again from here


def keep_pace(
    client: Any, operation: str, pace: Pace, load_of: Callable[[dict[str, Any]], Load] = lambda _: Load.NORMAL
) -> None:
    """Have each send of an operation wait for its turn, and tell the pace how it was answered."""
    most = (client.meta.config.retries or {}).get("total_max_attempts", 1)
    event = f"{client.meta.service_model.service_id.hyphenize()}.{operation}"

    def note(response: tuple[Any, dict[str, Any]] | None, attempts: int, **_: Any) -> float | None:
        """Seconds until it is sent again; None leaves that to botocore."""
        if response is None or response[0].status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return None
        load = load_of(response[1])
        is_throttle = response[1].get("Error", {}).get("Code") in aws_errors.THROTTLES
        pace.answered(throttled=is_throttle or load is not Load.NORMAL)
        if load is not Load.BUSY or attempts >= most:
            return None
        # botocore's own back-off: twice as long each time, and random, so that not all come again at once
        return random.uniform(0, min(1 << (attempts - 1), _LONGEST_SECONDS))  # noqa: S311

    def wait(**_: Any) -> None:  # botocore takes what a handler returns for the answer
        pace.wait()

    client.meta.events.register(f"before-send.{event}", wait)
    client.meta.events.register(f"needs-retry.{event}", note)
