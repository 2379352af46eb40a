"""Requests that AWS refuses because of a quota. Unlike throttling, this does not end within seconds."""

from __future__ import annotations

from typing import Any

from label_detection.hooks.retries import decide_retries


def send_once(client: Any, operation: str, code: str) -> None:
    """Make a client not retry calls of an operation that fail with the error code `code`.

    botocore's retry modes `standard` and `adaptive` take LimitExceededException for throttling, and would retry.
    """

    def decide(response: tuple[Any, dict[str, Any]] | None, **_: Any) -> bool | None:
        """False: no retry; None: botocore decides."""
        refused = response is not None and response[1].get("Error", {}).get("Code") == code
        return False if refused else None

    decide_retries(client, operation, decide)
