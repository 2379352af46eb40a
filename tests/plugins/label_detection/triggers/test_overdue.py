"""In the triggerer, models whose lease expired a minute ago are stopped, and no others."""

from __future__ import annotations

import asyncio
import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.module_loading import import_string

from label_detection import leases, stopping
from label_detection.triggers.overdue import OverdueModelsTrigger
from label_detection_core.model.lease import lease_name
from tests.plugins.conftest import QUICK, Variables
from tests.plugins.label_detection.operators.conftest import lease_on

if TYPE_CHECKING:
    from tests.conftest import Aws

WATCHDOG = "label_detection_watchdog"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OverdueModelsTrigger, "waits", QUICK)


async def _events(seconds: float) -> list[Any]:
    found: list[Any] = []
    trigger = OverdueModelsTrigger(watchdog_dag_id=WATCHDOG, poll_seconds=0.05)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for event in trigger.run():
                found.append(event.payload)
                return found
    return found


def first_event() -> dict[str, Any]:
    """What the trigger fires with first."""
    (event,) = asyncio.run(_events(60))
    return dict(event)


def is_quiet() -> bool:
    """Whether the trigger fires nothing in some looks."""
    return asyncio.run(_events(1)) == []


def test_the_triggerer_restores_the_trigger_with_the_same_arguments() -> None:
    path, arguments = OverdueModelsTrigger(watchdog_dag_id=WATCHDOG, poll_seconds=7).serialize()
    restored = import_string(path)(**json.loads(json.dumps(arguments)))
    assert type(restored) is OverdueModelsTrigger
    assert restored.serialize() == (path, arguments)


def test_a_model_whose_lease_expired_a_minute_ago_is_stopped(aws: Aws, variables: Variables) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease := lease_on(aws, minutes=-1.01))
    event = first_event()
    assert (event["run_id"], event["stopped"]) == (lease.run_id, True)
    assert "no worker has stopped the model" in event["why"]
    assert aws.model()["status"] == "STOPPED"
    assert variables.lease(aws.settings) is None


@pytest.mark.parametrize(
    "lease",
    [
        pytest.param({"minutes": 1}, id="valid"),
        pytest.param({"minutes": -0.5}, id="expired half a minute ago: the run or the watchdog may be at it"),
        pytest.param({"minutes": -5, "watchdog_dag_id": "theirs_label_detection_watchdog"}, id="of another watchdog"),
    ],
)
def test_other_leases_are_left_alone(aws: Aws, variables: Variables, lease: dict[str, Any]) -> None:
    aws.put_model("RUNNING")
    more = {name: lease.pop(name) for name in [*lease] if name != "minutes"}
    variables.put_lease(lease_on(aws, **lease).model_copy(update=more))
    assert is_quiet()
    assert aws.model()["status"] == "RUNNING"
    assert variables.lease(aws.settings) is not None


def test_a_run_that_takes_the_model_over_keeps_it(
    aws: Aws, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-5))
    later = lease_on(aws, minutes=60, run_id="r2")
    step = stopping.Stopping.step

    def taken_over_first(self: Any) -> Any:
        variables.put_lease(later)
        return step(self)

    monkeypatch.setattr(stopping.Stopping, "step", taken_over_first)
    assert is_quiet()
    assert aws.model()["status"] == "RUNNING"
    assert variables.values[lease_name(later.model_arn)] == later.model_dump_json()


def test_an_error_does_not_end_the_trigger(aws: Aws, variables: Variables, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-5))
    aws.fail_model("stop", status=403, code="AccessDeniedException", times=1)
    read, errors = leases.all_leases, [RuntimeError("Airflow's API server does not answer")]

    def fails_once(watchdog_dag_id: str | None = None) -> leases.Leases:
        if errors:
            raise errors.pop()
        return read(watchdog_dag_id)

    monkeypatch.setattr(leases, "all_leases", fails_once)
    assert first_event()["stopped"] is True
    assert errors == []
    assert aws.model()["status"] == "STOPPED"


def test_it_leaves_the_few_threads_of_the_triggerer_to_all_triggers(aws: Aws, variables: Variables) -> None:
    class Threads(ThreadPoolExecutor):
        calls = 0

        def submit(self, *arguments: Any, **more: Any) -> Any:
            self.calls += 1
            return super().submit(*arguments, **more)

    async def events() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(threads)
        return await _events(60)

    threads = Threads(1)
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-5))
    assert len(asyncio.run(events())) == 1
    assert threads.calls == 0


def test_a_lease_that_was_kept_for_a_late_start_ends_without_an_event_if_the_model_is_off(
    aws: Aws, variables: Variables
) -> None:
    aws.put_model("STOPPED")
    variables.put_lease(lease_on(aws, minutes=-20).kept(datetime.now(UTC) - timedelta(minutes=12)))
    assert is_quiet()
    assert variables.lease(aws.settings) is None
