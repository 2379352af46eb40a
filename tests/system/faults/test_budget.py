"""A budget that is used up in the middle of a run, on a real scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from label_detection_core.model.history import HISTORY_PREFIX, History
from label_detection_core.model.lease import variable_name
from label_detection_core.model.ledger import LEDGER_PREFIX, ledger_name
from sandbox.waiting import wait_until
from tests.system.faults.breaking import BreakablePipeline
from tests.system.faults.images import outcomes
from tests.system.pipeline import DAG_ID

#: One inference unit costs a dollar per second, so that seconds use up a budget.
PRICE = 3600.0
#: More pictures than the model, which does 20 per second, can label until the deadline. The plan expects more.
IMAGES, EXPECTED_PER_SECOND = 900, 100
#: In the model's history, earlier stops took this long, in seconds, so that a slow machine does not exceed the budget.
STOP_SECONDS = 120.0
ENDING = STOP_SECONDS * 1.2 + 30
#: Seconds from the start request until the deadline that the budget pays for.
DEADLINE = 25.0
_NOTIFIED = "label_detection_budget_notices"


class Variables:
    """Airflow's Variables, over its API."""

    def __init__(self, pipeline: BreakablePipeline) -> None:
        self._api = pipeline.world.api

    def values(self, prefix: str) -> dict[str, Any]:
        """Name and content of the Variables with a prefix."""
        found = self._api.call("GET", "/variables", limit=100)["variables"]
        return {one["key"]: json.loads(one["value"]) for one in found if one["key"].startswith(prefix)}

    def put(self, key: str, value: str) -> None:
        self._api.call("POST", "/variables", {"key": key, "value": value})

    def remove(self, *prefixes: str) -> None:
        for key in [key for prefix in prefixes for key in self.values(prefix)]:
            self._api.call("DELETE", f"/variables/{key}")


@pytest.fixture
def variables(pipeline: BreakablePipeline) -> Iterator[Variables]:
    """A model with a history and without costs."""
    variables = Variables(pipeline)
    ours = (HISTORY_PREFIX, LEDGER_PREFIX, _NOTIFIED)
    variables.remove(*ours)
    known = History(start_seconds=(3.0,), stop_seconds=(STOP_SECONDS,))
    variables.put(variable_name(HISTORY_PREFIX, pipeline.world.setting("model_arn")), known.model_dump_json())
    yield variables
    variables.remove(*ours)


def notices(pipeline: BreakablePipeline, url: str) -> list[str]:
    """The subjects of the notices so far; a message that is delivered twice counts once."""
    found: dict[str, str] = {}
    while messages := pipeline.sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=1
    ).get("Messages", []):
        if all(message["MessageId"] in found for message in messages):
            break
        found |= {message["MessageId"]: json.loads(message["Body"])["Subject"] for message in messages}
    return list(found.values())


def test_a_budget_ends_the_run_in_order_and_starts_no_other_until_it_is_raised(
    pipeline: BreakablePipeline, variables: Variables, alarms: str, picture: bytes
) -> None:
    pipeline.exactly_once()
    budget = ENDING + DEADLINE
    options = f"max_cost_per_day={budget}, price_per_unit_hour={PRICE}, watchdog_grace_minutes=15, "
    pipeline.rewrite_dag("labels(", f"labels({options}images_per_second_per_unit={EXPECTED_PER_SECOND}, ")
    keys = pipeline.upload(IMAGES, picture)

    crossed = pipeline.trigger()
    assert pipeline.finish(crossed) == "success"
    assert {state for of_task in pipeline.states(crossed).values() for state in of_task} == {"success"}
    assert pipeline.status() == "STOPPED"
    report = pipeline.report(crossed)
    assert f"the budget has {budget:.2f} USD left, which pay 1 unit(s)" in report["plan"]["reason"]
    assert outcomes(pipeline, keys).pending, "the deadline must end the run before its work is done"
    assert DEADLINE < report["model"]["cost_usd"] < budget
    (entry,) = variables.values(LEDGER_PREFIX)[ledger_name(pipeline.world.setting("model_arn"))]["entries"]
    assert (entry["dag_id"], entry["run_id"]) == (DAG_ID, crossed)
    assert entry["ended_at"] == report["model"]["stopped_at"]
    assert (entry["since"], entry["units"]) == (report["model"]["requested_at"], report["model"]["units"])

    before, left = pipeline.model_history(), outcomes(pipeline, keys)
    for _ in range(2):
        skipped = pipeline.trigger()
        assert pipeline.finish(skipped) == "success"
        states = pipeline.states(skipped)
        assert states.pop("wait_for_images") == ["success"]
        assert {state for of_task in states.values() for state in of_task} == {"skipped"}
        assert "so nothing is started and the pictures stay queued" in pipeline.log(skipped, "plan_run")
    assert pipeline.model_history() == before
    assert outcomes(pipeline, keys) == left
    wait_until(lambda: notices(pipeline, alarms), 30, "the notice", pipeline.world.check)
    assert notices(pipeline, alarms) == [f"[label detection] Budget used up: {DAG_ID}"]

    pipeline.rewrite_dag(f"max_cost_per_day={budget}", "max_cost_per_day=1e6")
    raised = pipeline.trigger()
    assert pipeline.finish(raised) == "success"
    assert outcomes(pipeline, keys).labelled == IMAGES
    assert pipeline.status() == "STOPPED"
