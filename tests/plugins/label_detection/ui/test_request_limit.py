"""Slow answers of AWS delay only our pages, although Airflow's routes share the API server's threads with them."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
import httpx
import pytest
from airflow.api_fastapi.core_api import security

from label_detection.ui import clients
from label_detection.ui.airflow import Airflow
from label_detection.ui.app import make_app
from label_detection.ui.request_limit import AT_ONCE, RequestLimitMiddleware
from tests.conftest import Aws
from tests.plugins.label_detection.ui.conftest import RUN_ID, Rights
from tests.plugins.label_detection.ui.known import DAG_ID, Known

REQUESTS = 60


def test_airflows_own_routes_have_threads_while_all_pictures_wait_for_s3(
    aws: Aws, airflow: Rights, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    app.dependency_overrides[Airflow] = lambda: known
    app.dependency_overrides[security.get_user] = lambda: airflow.user
    s3 = clients.s3_client(aws.settings)
    waiting, is_back = [], threading.Event()

    def slow(settings: Any) -> Any:
        waiting.append(threading.current_thread())
        is_back.wait(120)
        return s3

    monkeypatch.setattr(clients, "s3_client", slow)

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow", timeout=60) as browser:
            params = {"run_id": RUN_ID, "image": "000-0123abcd-000000:0"}
            one = f"/runs/{DAG_ID}/picture"
            pictures = [asyncio.create_task(browser.get(one, params=params)) for _ in range(REQUESTS)]
            async with asyncio.timeout(60):
                while len(waiting) < AT_ONCE:
                    await asyncio.sleep(0.01)
            try:
                await asyncio.wait_for(anyio.to_thread.run_sync(lambda: None, abandon_on_cancel=True), 30)
                assert len(waiting) == AT_ONCE
            finally:
                is_back.set()
            return [answer.status_code for answer in await asyncio.gather(*pictures)]

    assert asyncio.run(ask()) == [404] * REQUESTS, "the requests that had to wait must be answered too"


def test_there_are_more_threads_than_the_pages_take() -> None:
    async def threads() -> float:
        return anyio.to_thread.current_default_thread_limiter().total_tokens

    assert asyncio.run(threads()) >= 2 * AT_ONCE


async def picture(scope: Any, receive: Any, send: Any) -> None:
    """An application's answer, in two parts."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await send({"type": "http.response.body", "body": b"b", "more_body": False})


@dataclass
class Browser:
    """Receives an answer's messages after it wakes up."""

    awake: asyncio.Event = field(default_factory=asyncio.Event)
    is_there: bool = True
    got: list[Any] = field(default_factory=list)

    async def ask(self, pages: RequestLimitMiddleware) -> None:
        nothing: Any = None
        await pages({}, nothing, self._take)

    async def _take(self, message: Any) -> None:
        if not self.is_there:
            raise OSError("it is gone")
        await self.awake.wait()
        self.got.append(message)


def test_a_browser_that_takes_nothing_keeps_no_other_waiting() -> None:
    async def ask() -> None:
        pages, asleep, awake = RequestLimitMiddleware(picture, most=1), Browser(), Browser()
        first = asyncio.create_task(asleep.ask(pages))
        await asyncio.sleep(0)
        awake.awake.set()
        await asyncio.wait_for(awake.ask(pages), 30)
        assert (len(asleep.got), len(awake.got)) == (0, 3)
        asleep.awake.set()
        await asyncio.wait_for(first, 30)
        assert len(asleep.got) == 3

    asyncio.run(ask())


def test_browsers_that_go_away_leave_as_much_room_as_there_was() -> None:
    started, is_over = [], asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        started.append(scope)
        await is_over.wait()
        await picture(scope, receive, send)

    async def ask() -> None:
        pages = RequestLimitMiddleware(slow, most=2)
        is_over.set()
        for _ in range(3):
            with pytest.raises(OSError, match="it is gone"):
                await Browser(is_there=False).ask(pages)
        asleep = asyncio.create_task(Browser().ask(pages))
        await asyncio.sleep(0)
        asleep.cancel()
        await asyncio.wait([asleep])
        is_over.clear()
        started.clear()
        browsers = [Browser() for _ in range(5)]
        waiting = [asyncio.create_task(browser.ask(pages)) for browser in browsers]
        await asyncio.sleep(0.01)
        assert len(started) == 2
        is_over.set()
        for browser in browsers:
            browser.awake.set()
        await asyncio.wait_for(asyncio.gather(*waiting), 30)

    asyncio.run(ask())
