"""A client whose calls of one operation keep a pace: at each send, retries included, as botocore's own limiter does."""

from __future__ import annotations

import random
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from include import aws_errors
from include.pace import Pace

_LONGEST_SECONDS = 20


def keep_pace(
    client: Any, operation: str, pace: Pace, is_overload: Callable[[dict[str, Any]], bool] = lambda _: False
) -> None:
    """Have each send of an operation wait for its turn, and tell the pace how it was answered.

    :param is_overload: whether an answer says that the model has too much to do, in words that botocore does not know:
        then it is sent again as a throttled one is, so many times as the client's configuration says.
    """
    most = (client.meta.config.retries or {}).get("total_max_attempts", 1)
    event = f"{client.meta.service_model.service_id.hyphenize()}.{operation}"

    def note(response: tuple[Any, dict[str, Any]] | None, attempts: int, **_: Any) -> float | None:
        """Seconds until it is sent again; None leaves that to botocore."""
        if response is None or response[0].status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return None
        overload = is_overload(response[1])
        pace.answered(throttled=overload or response[1].get("Error", {}).get("Code") in aws_errors.THROTTLES)
        if not overload or attempts >= most:
            return None
        # botocore's own back-off: twice as long each time, and random, so that not all come again at once
        return random.uniform(0, min(1 << (attempts - 1), _LONGEST_SECONDS))  # noqa: S311

    def wait(**_: Any) -> None:  # botocore takes what a handler returns for the answer
        pace.wait()

    client.meta.events.register(f"before-send.{event}", wait)
    client.meta.events.register(f"needs-retry.{event}", note)
