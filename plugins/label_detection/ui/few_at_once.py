"""How many requests the pages answer at once: the others wait, and take no thread of Airflow's meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class FewAtOnceMiddleware:
    """Lets `most` requests in, each until its last byte is sent: a picture is read from S3 bit by bit, by a thread."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._room = asyncio.Semaphore(most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        async with self._room:
            await self._app(scope, receive, send)
