"""Requests that are refused because of a quota: unlike throttling, that does not pass within seconds."""

from __future__ import annotations

from typing import Any

from label_detection.hooks.retries import decide_retries


def send_once(client: Any, operation: str, code: str) -> None:
    """Have a client not send a call of an operation again that was refused with an error code.

    botocore's modes `standard` and `adaptive` take LimitExceededException for throttling.
    """

    def decide(response: tuple[Any, dict[str, Any]] | None, **_: Any) -> bool | None:
        """False: the call is not sent again; None: botocore decides."""
        refused = response is not None and response[1].get("Error", {}).get("Code") == code
        return False if refused else None

    decide_retries(client, operation, decide)
