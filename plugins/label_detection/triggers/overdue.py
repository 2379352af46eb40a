"""The trigger that stops models in the triggerer. It needs no worker, so it works when all of them are busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from label_detection import leases
from label_detection.leases import TakenOverError
from label_detection.left_on import LeftOn
from label_detection.waits import Waits
from label_detection_core.model.lease import Lease

#: How long a lease must have expired. By then the run or the watchdog has stopped the model, if a worker took them.
_OVERDUE = timedelta(minutes=1)
#: Reason of the stop, for the log and the notice.
_WHY = "its lease expired a minute ago, and no worker has stopped the model; the triggerer did"
#: Models that it stops at a time, each in a thread: a stop takes seconds to minutes.
_AT_ONCE = 32


def _in_thread(pool: ThreadPoolExecutor, call: Callable[..., Any], *arguments: Any) -> Coroutine[Any, Any, Any]:
    return sync_to_async(call, thread_sensitive=False, executor=pool)(*arguments)


class OverdueModelsTrigger(BaseEventTrigger):
    """Stops each model whose lease expired a minute ago, and ends the lease. It ends only with the triggerer.

    After it has ended a lease, it fires with the lease, `why` and `stopped`: Airflow's list of assets shows it.

    :param watchdog_dag_id: the DAG that the leases name.
    :param poll_seconds: seconds between two looks at the leases.
    """

    waits = Waits()

    def __init__(self, *, watchdog_dag_id: str, poll_seconds: float = 30) -> None:
        super().__init__()
        self.watchdog_dag_id = watchdog_dag_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, from which the triggerer restores the trigger."""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return name, {"watchdog_dag_id": self.watchdog_dag_id, "poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the leases until the triggerer ends. A slow stop delays no other."""
        looks, threads = ThreadPoolExecutor(1), ThreadPoolExecutor(_AT_ONCE)  # the triggerer's few are for all triggers
        stops: dict[str, asyncio.Task[dict[str, Any] | None]] = {}
        try:
            while True:
                for lease in await _in_thread(looks, self._overdue):
                    if lease.model_arn not in stops:
                        stops[lease.model_arn] = asyncio.create_task(_in_thread(threads, self._stop, lease))
                await asyncio.sleep(self.poll_seconds)
                for model_arn in [arn for arn, stop in stops.items() if stop.done()]:
                    if ended := stops.pop(model_arn).result():
                        yield TriggerEvent(ended)
        finally:
            for pool in (looks, threads):
                pool.shutdown(wait=False, cancel_futures=True)

    def _overdue(self) -> list[Lease]:
        try:
            found = leases.all_leases(self.watchdog_dag_id).leases
        except Exception:  # Airflow never starts this trigger again once it has failed
            self.log.exception("cannot read the leases; trying again")
            return []
        return [lease for lease in found if lease.has_expired(datetime.now(UTC) - _OVERDUE)]

    def _stop(self, lease: Lease) -> dict[str, Any] | None:
        try:
            one = LeftOn.of(lease, _WHY, self.waits)
            one.stopping.until_off(lease.since)
            return one.finish()
        except TakenOverError:
            self.log.info("%s: its lease was ended or replaced meanwhile", lease.model_arn)
        except Exception:  # as above; the next look takes it up again
            self.log.exception("cannot stop %s; trying again", lease.model_arn)
        return None
