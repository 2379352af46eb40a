"""A lease that changes while the watchdog works, and a Variable that is no lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection.hooks.model import ModelHook, hook_class
from label_detection_core.model.lease import lease_name
from tests.model_calls import KINDS
from tests.plugins.conftest import Variables
from tests.plugins.label_detection.operators.conftest import Watch, lease_on

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic
pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


def test_a_lease_that_was_taken_again_before_the_stop_keeps_its_model(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    taken = lease_on(aws, run_id="r2")
    describe = hook_class(aws.settings.model).describe

    def take_over(self: ModelHook) -> Any:  # at the last moment: between describe and stop
        variables.put_lease(taken)
        return describe(self)

    monkeypatch.setattr(hook_class(aws.settings.model), "describe", take_over)
    assert watch() == []
    assert aws.model()["status"] == "RUNNING"
    assert variables.lease(aws.settings) == taken


def test_a_run_that_starts_the_model_while_the_watchdog_waits_for_its_end_keeps_it(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    taken = lease_on(aws, run_id="r2")
    hooks = hook_class(aws.settings.model)
    stop = hooks.stop

    def stop_and_start_again(self: Any) -> None:
        stop(self)
        variables.put_lease(taken)
        aws.put_model("RUNNING")

    monkeypatch.setattr(hooks, "stop", stop_and_start_again)
    assert watch() == []
    assert aws.model()["status"] == "RUNNING"
    assert variables.lease(aws.settings) == taken


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", None),
        ("not JSON", "is not a lease: Invalid JSON"),
        ('{"model_arn": "arn"}', "is not a lease: dag_id Field required"),
        ("COPY", "is not a lease: it is for another model"),
    ],
    ids=["ended since", "no JSON", "lacks fields", "another model's"],
)
def test_a_variable_that_is_not_a_lease_is_named_and_the_other_models_are_stopped(
    aws: Aws, variables: Variables, watch: Watch, value: str, says: str | None
) -> None:
    aws.put_model("RUNNING", "2")
    second = lease_on(aws, "2", minutes=-1)
    variables.put_lease(second)
    name = lease_name(aws.settings.model_arn)
    variables.values[name] = second.model_dump_json() if value == "COPY" else value
    if says:
        with pytest.raises(AirflowException, match=says):
            watch()
    else:
        watch()
    assert aws.model("2")["status"] == "STOPPED"
    assert variables.leases() == [name]


def test_a_model_that_is_off_and_was_taken_over_meanwhile_is_not_reported_as_left_on(
    aws: Aws, variables: Variables, topic: Topic, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables.put_lease(lease_on(aws, minutes=-1, sns_topic_arn=topic.arn))
    taken = lease_on(aws, run_id="r2")
    describe = hook_class(aws.settings.model).describe

    def taken_over(self: ModelHook) -> Any:
        variables.put_lease(taken)
        return describe(self)

    monkeypatch.setattr(hook_class(aws.settings.model), "describe", taken_over)
    assert watch() == []
    assert variables.lease(aws.settings) == taken
    assert topic.published() == []


def test_a_lease_that_airflow_does_not_return_is_named_and_does_not_count_as_ended(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables.put_lease(lease_on(aws, minutes=-1))
    monkeypatch.setattr(variables, "get", lambda key, default: default)  # as Airflow does without the API server
    with pytest.raises(AirflowException, match="cannot be read now") as failure:
        watch()
    assert not isinstance(failure.value, AirflowFailException), "a retry is sooner than the next run"
