"""The API server's clients: a slow connection delays no page that uses another one."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import HTTPException

from label_detection.ui import clients
from label_detection_core.config.settings import Settings
from tests.core.test_settings import RIGHT

FAST, SLOW = (Settings(**RIGHT, aws_conn_id=name) for name in ("fast", "slow"))


class Hooks:
    """A stand-in for the provider's hook. It makes the client of the connection `slow` when `may_end` is set."""

    def __init__(self) -> None:
        self.is_asked, self.may_end = threading.Event(), threading.Event()
        self.made: Counter[str] = Counter()

    def __call__(self, *, aws_conn_id: str, client_type: str, **_: Any) -> Any:
        hooks = self

        class Hook:
            @property
            def conn(self) -> str:
                if aws_conn_id == "slow":
                    hooks.is_asked.set()
                    assert hooks.may_end.wait(30)
                hooks.made[f"{aws_conn_id} {client_type}"] += 1
                return f"a client of {aws_conn_id} for {client_type}"

        return Hook()


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    hooks = Hooks()
    monkeypatch.setattr("label_detection.hooks.clients.RedactingAwsHook", hooks)
    monkeypatch.setattr(clients, "_kept", {})
    monkeypatch.setattr(clients, "_making", {})
    return hooks


def test_a_slow_connection_delays_only_its_own_requests(hooks: Hooks) -> None:
    with ThreadPoolExecutor(1) as threads:
        slow: Future[Any] = threads.submit(clients.s3_client, SLOW)
        try:
            assert hooks.is_asked.wait(30)
            made: list[Any] = [make(FAST) for make in (clients.s3_client, clients.sqs_client)]
            assert made == [
                "a client of fast for s3",
                "a client of fast for sqs",
            ]
            assert not slow.done()
        finally:
            hooks.may_end.set()
        assert slow.result() == "a client of slow for s3"


def test_a_request_that_waits_long_for_a_slow_connection_gets_an_error(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_WAIT_SECONDS", 0.01)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(clients.s3_client, SLOW)
        try:
            assert hooks.is_asked.wait(30)
            with pytest.raises(HTTPException) as refused:
                clients.sqs_client(SLOW)
        finally:
            hooks.may_end.set()
        slow.result()
    assert refused.value.status_code == 503
    assert "The connection slow takes too long" in str(refused.value.detail)
    assert clients.sqs_client(SLOW) == "a client of slow for sqs"  # type: ignore[comparison-overlap]


def test_requests_that_come_at_once_have_one_client_made(hooks: Hooks) -> None:
    with ThreadPoolExecutor(8) as threads:
        waiting: list[Future[Any]] = [threads.submit(clients.s3_client, SLOW) for _ in range(8)]
        assert hooks.is_asked.wait(30)
        hooks.may_end.set()
        assert {made.result() for made in waiting} == {"a client of slow for s3"}
    assert hooks.made == {"slow s3": 1}


def test_a_connection_that_cannot_be_used_is_not_cached_and_delays_no_other(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> Any:
        raise ValueError("odd extras")

    monkeypatch.setattr("label_detection.hooks.clients.RedactingAwsHook", broken)
    with pytest.raises(HTTPException, match="odd extras"):
        clients.s3_client(FAST)
    monkeypatch.setattr("label_detection.hooks.clients.RedactingAwsHook", hooks)
    assert clients.s3_client(FAST) == "a client of fast for s3"  # type: ignore[comparison-overlap]
