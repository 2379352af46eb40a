"""Replaces botocore's decision about retries for the calls of one operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def decide_retries(client: Any, operation: str, again: Callable[..., float | bool | None]) -> None:
    """Make a client call `again` before botocore decides about a retry.

    For a call without a retry, the handler raises the call's error itself. No other way works in all versions of
    botocore: before 1.43 it takes False for 0 seconds, and repeats a call that has a response without end.

    :param again: called with the keyword arguments of botocore's event `needs-retry`. Returns the seconds until the
        retry; False: no retry; None: botocore decides.
    """

    def handler(**answer: Any) -> float | None:
        decided = again(**answer)
        if decided is not False:
            return decided
        if answer["response"] is None:
            raise answer["caught_exception"]
        parsed = answer["response"][1]
        if error := parsed.get("Error"):
            raise client.exceptions.from_code(error.get("Code"))(parsed, operation)
        return None  # a successful call, which botocore does not retry either

    event = f"needs-retry.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(event, handler, unique_id=f"whether {operation} is sent again")
