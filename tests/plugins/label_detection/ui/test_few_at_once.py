"""Slow answers of AWS are the pages' own trouble: Airflow's routes share the API server's threads with them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio.to_thread
import httpx
import pytest
from airflow.api_fastapi.core_api import security

from label_detection.ui import clients
from label_detection.ui.app import AT_ONCE, make_app
from tests.conftest import Aws
from tests.plugins.label_detection.ui.conftest import DAG_ID, RUN_ID, Airflow

REQUESTS = 60


def test_airflows_own_routes_have_threads_while_all_pictures_wait_for_s3(
    aws: Aws, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    app.dependency_overrides[security.get_user] = lambda: airflow.user
    s3 = clients.s3_client(aws.settings)
    waiting, is_back = [], threading.Event()

    def slow(settings: Any) -> Any:
        waiting.append(threading.current_thread())
        is_back.wait(30)
        return s3

    monkeypatch.setattr(clients, "s3_client", slow)

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow", timeout=60) as browser:
            params = {"run_id": RUN_ID, "image": "000-0123abcd-000000:0"}
            one = f"/runs/{DAG_ID}/picture"
            pictures = [asyncio.create_task(browser.get(one, params=params)) for _ in range(REQUESTS)]
            while len(waiting) < AT_ONCE:
                await asyncio.sleep(0.01)
            try:
                await asyncio.wait_for(anyio.to_thread.run_sync(lambda: None, abandon_on_cancel=True), 5)
                assert len(waiting) == AT_ONCE
            finally:
                is_back.set()
            return [answer.status_code for answer in await asyncio.gather(*pictures)]

    assert asyncio.run(ask()) == [404] * REQUESTS, "those that had to wait are answered too"


def test_there_are_more_threads_than_the_pages_take() -> None:
    async def threads() -> float:
        return anyio.to_thread.current_default_thread_limiter().total_tokens

    assert asyncio.run(threads()) >= 2 * AT_ONCE
