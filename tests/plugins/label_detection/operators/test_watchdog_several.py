"""Several watchdogs: each handles the leases that name it, and those that another one has left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException

from label_detection import leases, stopping
from label_detection.hooks.model import ModelHook, hook_for
from label_detection_core.model.lease import lease_name
from tests.model_calls import KINDS
from tests.plugins.conftest import Variables
from tests.plugins.label_detection.operators.conftest import Airflow, Watch, lease_on

if TYPE_CHECKING:
    from tests.conftest import Aws
pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


#: A lease of the version before DAG prefixes has no such field.
OF_EARLIER_VERSION = "no field"


@pytest.mark.parametrize(
    ("named", "acts"),
    [
        pytest.param(OF_EARLIER_VERSION, "label_detection_watchdog", id="a lease of an earlier version"),
        pytest.param("label_detection_watchdog", "label_detection_watchdog", id="a lease without a prefix"),
        pytest.param("team_a_label_detection_watchdog", "team_a_label_detection_watchdog", id="a lease with a prefix"),
    ],
)
def test_a_lease_that_has_just_expired_is_handled_only_by_the_watchdog_that_it_names(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch, named: str, acts: str
) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws, minutes=-1)
    airflow.runs["r1"] = ("running", None)
    stored = lease.model_dump(mode="json") | {"watchdog_dag_id": named}
    if named == OF_EARLIER_VERSION:
        del stored["watchdog_dag_id"]
    variables.values[lease_name(lease.model_arn)] = json.dumps(stored)
    others = {"label_detection_watchdog", "team_a_label_detection_watchdog", "team_b_label_detection_watchdog"} - {acts}
    assert [watch(dag_id) for dag_id in sorted(others)] == [[], []]
    assert aws.model()["status"] == "RUNNING"
    assert [entry["run_id"] for entry in watch(acts)] == ["r1"]
    assert aws.model()["status"] == "STOPPED"


@pytest.mark.parametrize(
    ("minutes", "stops"),
    [
        pytest.param(60, False, id="a lease that has not expired"),
        pytest.param(-29, False, id="its own watchdog may be stopping it"),
        pytest.param(-31, True, id="its own watchdog has not stopped it"),
    ],
)
def test_a_lease_whose_watchdog_does_not_exist_is_handled_by_every_other(
    aws: Aws, variables: Variables, watch: Watch, minutes: float, stops: bool
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=minutes, watchdog_dag_id="never_there"))
    acted = watch("label_detection_watchdog")
    assert aws.model()["status"] == ("STOPPED" if stops else "RUNNING")
    assert len(acted) == stops


def test_another_watchdogs_model_that_cannot_be_stopped_neither_fails_this_one_nor_notifies_anyone(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_rights(model: Any, aws_conn_id: str, config: Any) -> ModelHook:
        if aws_conn_id == "not_there":
            raise RuntimeError("there is no such connection")
        return hook_for(model, aws_conn_id, config)

    monkeypatch.setattr(stopping, "hook_for", without_rights)
    aws.put_model("RUNNING")
    aws.put_model("RUNNING", "2")
    variables.put_lease(lease_on(aws, minutes=-31, watchdog_dag_id="another", aws_conn_id="not_there"))
    variables.put_lease(lease_on(aws, "2", minutes=-1))
    assert [entry["model_arn"] for entry in watch("label_detection_watchdog")] == [aws.model("2")["arn"]]
    assert (aws.model()["status"], aws.model("2")["status"]) == ("RUNNING", "STOPPED")
    assert leases.all_leases("label_detection_watchdog").leases == [], "a failure would notify these leases' topics"


@pytest.mark.parametrize(
    ("value", "red"),
    [
        pytest.param("{", {"label_detection_watchdog", "a_label_detection_watchdog"}, id="no watchdog named"),
        pytest.param('{"watchdog_dag_id": "a_label_detection_watchdog"}', {"a_label_detection_watchdog"}, id="one"),
    ],
)
def test_a_broken_lease_is_reported_by_its_watchdog_or_else_by_every_watchdog(
    variables: Variables, airflow: Airflow, watch: Watch, value: str, red: set[str]
) -> None:
    variables.values["label_detection_lease.x"] = value
    found = set()
    for dag_id in ("label_detection_watchdog", "a_label_detection_watchdog"):
        try:
            watch(dag_id)
        except AirflowException:
            found.add(dag_id)
    assert found == red
