"""How many requests the pages answer at once: the others wait, and take no thread of Airflow's meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


#: Requests that are answered at once. Starlette: Airflow's own routes and these share 40 threads, and those that wait
#: for a slow AWS must not have them all.
AT_ONCE = 16


class RequestLimitMiddleware:
    """Lets `most` requests work at once, until their last byte: a picture is read from S3 bit by bit, by a thread.

    What is sent has no place while the browser takes its time over it: one that sleeps would keep it from all others.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._room = asyncio.Semaphore(most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        is_in: bool = await self._room.acquire()

        async def send_outside(message: Message) -> None:
            nonlocal is_in
            if is_in:  # not after a send that failed
                is_in = False
                self._room.release()
            await send(message)
            if message["type"] == "http.response.start" or message.get("more_body"):
                is_in = await self._room.acquire()

        try:
            await self._app(scope, receive, send_outside)
        finally:
            if is_in:
                self._room.release()
