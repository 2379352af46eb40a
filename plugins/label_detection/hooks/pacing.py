"""A client whose calls of one operation keep a pace: at each send, retries included, as botocore's own limiter does."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from include import aws_errors
from include.pace import Pace


def keep_pace(client: Any, operation: str, pace: Pace) -> None:
    """Have each send of an operation wait for its turn, and tell the pace how it was answered."""
    event = f"{client.meta.service_model.service_id.hyphenize()}.{operation}"

    def note(response: tuple[Any, dict[str, Any]] | None, **_: Any) -> None:
        if response is not None and response[0].status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            code = response[1].get("Error", {}).get("Code")
            pace.answered(throttled=code in aws_errors.THROTTLES)

    def wait(**_: Any) -> None:  # botocore takes what a handler returns for the answer
        pace.wait()

    client.meta.events.register(f"before-send.{event}", wait)
    client.meta.events.register(f"needs-retry.{event}", note)
