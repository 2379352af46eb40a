"""A limit for concurrent requests to the pages. Requests over the limit wait, and hold no thread of Airflow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


#: Concurrent requests at most. Starlette: the routes of Airflow and of the pages share 40 threads. Requests that wait
#: for a slow AWS must not use all of them.
AT_ONCE = 16


class RequestLimitMiddleware:
    """Lets at most `most` requests work at the same time.

    A request counts while its answer is made, up to the last byte: a thread reads a picture from S3 in pieces. It does
    not count while a piece is sent, because browsers that read slowly would then block all other requests.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._room = asyncio.Semaphore(most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request (ASGI)."""
        is_in: bool = await self._room.acquire()

        async def send_outside(message: Message) -> None:
            nonlocal is_in
            if is_in:  # False after a send that failed
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
