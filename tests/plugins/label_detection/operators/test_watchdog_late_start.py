"""A start request that arrives after the stop: the stop keeps lease and switch, and the watchdog stops the model."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from label_detection_core.model.lease import Lease
from tests.model_calls import KINDS
from tests.plugins.conftest import Run, Variables, later
from tests.plugins.label_detection.operators.conftest import Airflow, Watch, stop

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic
pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]

SWITCH_ROLE = "arn:aws:iam::123456789012:role/switch"


@pytest.fixture
def kept(aws: Aws, run: Run, variables: Variables, topic: Topic) -> Lease:
    """A run that was ended while its start request hung; its stop has found the model off."""
    run.plan(aws.settings.model_copy(update={"sns_topic_arn": topic.arn, "dead_man_switch_role_arn": SWITCH_ROLE}))
    lease = variables.lease(aws.settings)
    assert lease is not None
    variables.put_lease(lease.model_copy(update={"start_asked": True, "dead_man_switch": True}))
    stop(run)
    kept = variables.lease(aws.settings)
    assert kept is not None
    return kept


def test_a_stop_whose_start_request_may_still_arrive_keeps_lease_and_switch_for_ten_minutes(kept: Lease) -> None:
    assert timedelta(minutes=9) < kept.until - datetime.now(UTC) <= timedelta(minutes=10)
    assert kept.dead_man_switch
    assert not kept.held_against("another_dag", datetime.now(UTC)), "no other DAG must wait for it"


@pytest.mark.parametrize("state", ["STARTING", "RUNNING"])
def test_a_start_that_arrives_after_its_stop_is_stopped_by_the_watchdog(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch, topic: Topic, kept: Lease, state: str
) -> None:
    airflow.runs[kept.run_id] = ("failed", "success")
    assert watch() == []
    assert variables.lease(aws.settings) == kept, "the request may still arrive"
    aws.put_model(state)
    with later(1.0, lambda: aws.put_model("RUNNING")) if state == "STARTING" else nullcontext():
        (acted,) = watch()  # a model that is starting cannot be stopped
    assert (acted["run_id"], acted["why"], acted["stopped"]) == (
        kept.run_id,
        "its start request arrived after its stop",
        True,
    )
    assert aws.model()["status"] == "STOPPED"
    assert variables.lease(aws.settings) is None
    assert len(topic.published()) == 1


def test_a_lease_that_was_kept_in_vain_is_removed_silently_after_its_time(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch, topic: Topic, kept: Lease
) -> None:
    airflow.runs[kept.run_id] = ("failed", "success")
    variables.put_lease(kept.model_copy(update={"until": datetime.now(UTC) - timedelta(seconds=1)}))
    assert watch() == []
    assert variables.lease(aws.settings) is None
    assert topic.published() == []
