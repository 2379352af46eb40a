"""A run of the DAG without Airflow's services: stand-ins for XComs and for the Variables that hold the lease.

AWS is the embedded one over HTTP, and operators are executed as Airflow's task runner does it.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.definitions.dag import _run_inline_trigger
from airflow.sdk.serde import deserialize, serialize
from botocore.config import Config
from botocore.loaders import JSONFileLoader

from label_detection import history, leases, ledger, pools, series, sightings, waiting, xcom
from label_detection.hooks.model import ModelHook, hook_for
from label_detection.operators import model as model_operators
from label_detection.operators.images import DrainsQueue
from label_detection.operators.model import StartsModel, StopsModel
from label_detection.operators.watchdog import StopExpiredModelsOperator
from label_detection.sensors.model import WaitsForModel
from label_detection.triggers import sqs as sqs_triggers
from label_detection.waits import Waits
from label_detection_core.config.model_types import MODEL_TYPES
from label_detection_core.model.lease import LEASE_PREFIX, Lease, lease_name
from label_detection_core.run.plan import Plan

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    from label_detection_core.config.settings import Settings
    from tests.conftest import Aws

DAG_ID = "label_detection"
RUN_ID = "manual__2026-11-22T06:00:00+00:00"
_MISSING = object()
QUICK = Waits(lag=0.5, look=0.1, on=0.1, off=0.1, linger=0.5, patience=0.5)
SetWaits = Callable[..., None]


class Variables:
    """`airflow.sdk.Variable`, in memory."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = _MISSING) -> Any:
        if key not in self.values and default is _MISSING:
            raise KeyError(key)
        return self.values.get(key, default)

    def set(self, key: str, value: str, description: str | None = None) -> None:
        assert description, "a Variable needs a description: the Variables page shows it"
        self.values[key] = value

    def delete(self, key: str) -> None:
        del self.values[key]

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.values if key.startswith(prefix)]

    def leases(self) -> list[str]:
        """Names of the stored leases, valid or not."""
        return self.keys(LEASE_PREFIX)

    def lease(self, settings: Settings) -> Lease | None:
        """The stored lease on the settings' model."""
        value = self.values.get(lease_name(settings.model_arn))
        return Lease.model_validate_json(value) if value else None

    def put_lease(self, lease: Lease) -> None:
        """Store a lease."""
        self.values[lease_name(lease.model_arn)] = lease.model_dump_json()


@dataclass
class Run:
    """One run: its params, the XComs of its tasks, and the states of its tasks in Airflow.

    `default_args`: of the run's DAG; empty for a DAG that is configured by the section.
    """

    params: dict[str, Any] = field(default_factory=dict)
    states: dict[str, str | None] = field(default_factory=dict)
    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)
    dag_id: str = DAG_ID
    run_id: str = RUN_ID
    default_args: dict[str, Any] = field(default_factory=dict)
    #: Number of runs by DAG id. A DAG that is missing here is unknown to Airflow.
    dag_runs: dict[str, int] = field(default_factory=dict)

    def context(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        """The context of a task of the run."""
        ti = SimpleNamespace(
            task_id=task_id,
            dag_id=self.dag_id,
            run_id=self.run_id,
            map_index=map_index,
            try_number=1,
            xcom_push=partial(self._push, task_id),
            xcom_pull=self._pull,
            get_task_states=self._task_states,
            get_dr_count=lambda dag_id, states: self.dag_runs[dag_id],
        )
        dag_run = SimpleNamespace(start_date=datetime(2026, 11, 22, 6, 0, tzinfo=UTC))
        dag = SimpleNamespace(default_args=self.default_args)
        return {"ti": ti, "params": self.params, "run_id": self.run_id, "dag_run": dag_run, "dag": dag}

    def execute(
        self,
        operator: BaseOperator,
        context: dict[str, Any] | None = None,
        *,
        call: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Execute an operator as the task runner does, and keep the result. `call`: another method of the operator."""
        context = context or self.context(operator.task_id)
        process = contextvars.copy_context()
        process.run(ExecutorSafeguard.tracker.set, operator)
        method: Callable[[Any], Any] = call or operator.execute
        value = process.run(method, context)
        self._push(operator.task_id, "return_value", value)
        return value

    def plan(self, settings: Settings, units: int = 2) -> Plan:
        """Push a plan and take the lease, as `plan_run` does."""
        plan = Plan(settings=settings, backlog=3, units=units, tasks=1, reason="a test")
        context: Any = self.context(xcom.PLAN_TASK)
        leases.take_lease(context, plan)
        xcom.push_plan(context, plan)
        return plan

    def started(self, requested_at: datetime, deadline: datetime, accepted_at: datetime | None = None) -> None:
        """Push what `start_model` returns after the start request."""
        started = xcom.Started(
            requested_at=requested_at, adopted=False, units=2, deadline=deadline, accepted_at=accepted_at
        )
        self._push(xcom.START_TASK, "return_value", started.model_dump(mode="json"))

    def _push(self, task_id: str, key: str, value: Any) -> None:
        self.xcoms[task_id, key] = json.loads(json.dumps(value))

    def _pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.xcoms.get((task_ids, key))

    def _task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str | None]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        return {self.run_id: self.states}


def events_of(trigger: BaseTrigger, within: float) -> list[TriggerEvent]:
    """Run a trigger to its end, as the triggerer does. TimeoutError when that takes longer than `within` seconds."""

    async def collect() -> list[TriggerEvent]:
        return [event async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), within))


@contextmanager
def later(seconds: float, change: Callable[[], object]) -> Iterator[None]:
    """Call `change` after `seconds`, while the body of the `with` runs."""
    timer = threading.Timer(seconds, change)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def dags_test_event(trigger: BaseTrigger) -> Any:
    """The trigger's first event as the task receives it under `airflow dags test`, by Airflow's own functions."""
    ti: Any = SimpleNamespace(id=uuid4())
    event = _run_inline_trigger(trigger, ti)
    return deserialize(json.loads(json.dumps(serialize(event.payload))))


@pytest.fixture(scope="session", autouse=True)
def _service_models_are_read_once() -> Iterator[None]:
    """Cache boto3's JSON files: each hook has its own session, and reading them takes half of these tests' time."""
    read = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        yield


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    stand_in = Variables()
    monkeypatch.setattr(leases, "Variable", stand_in)
    monkeypatch.setattr(history, "Variable", stand_in)
    monkeypatch.setattr(waiting, "Variable", stand_in)
    monkeypatch.setattr(pools, "Variable", stand_in)
    monkeypatch.setattr(series, "Variable", stand_in)
    monkeypatch.setattr(sightings, "Variable", stand_in)
    monkeypatch.setattr(sqs_triggers, "Variable", stand_in)
    monkeypatch.setattr(ledger, "Variable", stand_in)
    return stand_in


@pytest.fixture
def run(variables: Variables) -> Run:  # depends on `variables`, so that no test reaches Airflow's real Variables
    return Run()


@pytest.fixture
def hook(aws: Aws) -> ModelHook:
    """The model's hook; its client does not retry."""
    return hook_for(aws.settings.model, "aws_default", Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def set_waits(monkeypatch: pytest.MonkeyPatch) -> SetWaits:
    """Change the waits of operators and sensors, in seconds, by the names of `Waits`."""

    def set_waits(**seconds: float) -> None:
        for owner in (StartsModel, StopsModel, StopExpiredModelsOperator, DrainsQueue, WaitsForModel):
            monkeypatch.setattr(owner, "waits", replace(owner.waits, **seconds))

    return set_waits


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, set_waits: SetWaits, model_kind: str, tmp_path: Path) -> None:
    """Shorten the operators' waits to fractions of a second."""
    set_waits(**vars(QUICK))
    folder = Path(model_operators.__file__).parents[1] / "waiters"
    waiters = json.loads((folder / f"{model_kind}.json").read_text())
    for waiter in waiters["waiters"].values():
        waiter["delay"] = 0.1
    path = tmp_path / f"{model_kind}.json"
    path.write_text(json.dumps(waiters))
    (kind,) = (kind for kind in MODEL_TYPES if kind.name == model_kind)
    monkeypatch.setattr(f"{kind.hook}.waiter_path", path)
