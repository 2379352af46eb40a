"""Whether a call of one operation is sent again, where botocore's own answer is not the right one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def decide_retries(client: Any, operation: str, again: Callable[..., float | bool | None]) -> None:
    """Have a client ask `again` first, with the keywords of botocore's event `needs-retry`.

    A call that is not to be sent again ends with its error here. botocore has no other word for it in all versions:
    before 1.43 it takes False for 0 seconds, and sends an answered call without end.

    :param again: gives the seconds until the call is sent again; False: it is not; None: botocore decides.
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
        return None  # a good answer, which botocore does not send again either

    event = f"needs-retry.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(event, handler, unique_id=f"whether {operation} is sent again")
