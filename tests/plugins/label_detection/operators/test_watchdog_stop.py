"""How the watchdog stops a model that was left on, and what it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from label_detection.hooks.model import ModelHook, hook_class
from label_detection.hooks.switch import arm
from label_detection_core.config.model_types import model_of
from tests.model_calls import KINDS, Call
from tests.plugins.conftest import DAG_ID, SetWaits, Variables
from tests.plugins.label_detection.operators.conftest import Airflow, Watch, lease_on

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.kinds(*KINDS)]


def test_a_model_that_cannot_be_stopped_yet_keeps_no_other_on(
    aws: Aws, variables: Variables, watch: Watch, set_waits: SetWaits
) -> None:
    set_waits(each_stop=3.0)
    for version, status in (("", "STARTING"), ("2", "RUNNING"), ("3", "RUNNING")):
        aws.put_model(status, version)
        variables.put_lease(lease_on(aws, version, minutes=-1))
    with pytest.raises(AirflowFailException, match="not off yet"):
        watch()
    assert {aws.model(version)["status"] for version in ("2", "3")} <= {"STOPPING", "STOPPED"}


def test_a_stop_is_reported_in_the_log_in_the_xcom_and_to_the_leases_topic(
    aws: Aws, variables: Variables, topic: Topic, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws, minutes=-7, sns_topic_arn=topic.arn)
    variables.put_lease(lease)
    (entry,) = watch()
    assert entry == {**lease.model_dump(mode="json"), "why": "the run was deleted", "stopped": True}
    log = caplog.text
    assert f"{lease.model_arn}: run r1 of DAG {DAG_ID} did not end its lease (the run was deleted); leased since" in log
    assert "7 minutes past the end of the lease; stopped the model" in log
    ((subject, text),) = topic.published()
    assert subject == f"[label detection] Watchdog stopped a model that {DAG_ID} left on"
    assert "Past the end of the lease: 7." in text


def test_the_runs_state_is_reported_as_airflow_names_it(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    variables.put_lease(lease_on(aws))
    airflow.runs["r1"] = ("success", "skipped")
    (entry,) = watch()
    assert entry["why"] == "the run is over: it is success, stop_model skipped"


@pytest.mark.parametrize(
    "status",
    [
        "STOPPED",
        "TRAINING_COMPLETED",
        pytest.param("FAILED", marks=pytest.mark.only("rekognition", "lookoutvision")),
        pytest.param("DELETING", marks=pytest.mark.only("rekognition")),
    ],
)
def test_a_model_that_is_already_off_is_reported_as_off(
    aws: Aws, variables: Variables, topic: Topic, watch: Watch, status: str
) -> None:
    aws.put_model(status)
    variables.put_lease(lease_on(aws, minutes=-1, sns_topic_arn=topic.arn))
    (entry,) = watch()
    assert entry["stopped"] is False
    assert variables.leases() == []
    assert "The model was off already" in topic.published()[0][1]
    assert aws.model()["status"] == status


def test_the_lease_of_a_deleted_model_is_removed(aws: Aws, variables: Variables, watch: Watch) -> None:
    lease = lease_on(aws, minutes=-1)
    another = {"rekognition": ("/version/1/", "/version/no/"), "sagemaker": ("config/", "config/no-")}
    gone = lease.model_arn.replace(*another.get(aws.calls.service, ("/1", "/7")))
    variables.put_lease(lease.model_copy(update={"model_arn": gone}))
    assert len(watch()) == 1
    assert variables.leases() == []


def test_a_starting_model_is_stopped_as_soon_as_the_service_allows_it(
    aws: Aws, variables: Variables, watch: Watch, hook: ModelHook
) -> None:
    aws.set_oddities(describe_lag=0)  # the lease is older than any lag, so describe already shows the start
    hook.start(1)
    variables.put_lease(lease_on(aws, minutes=-1))
    watch()
    assert aws.model()["status"] == "STOPPED"


def test_its_dead_mans_switch_is_removed(aws: Aws, variables: Variables, watch: Watch, hook: ModelHook) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws, dead_man_switch=True)
    arm(lease, hook, "arn:aws:iam::123456789012:role/switch")
    variables.put_lease(lease)
    watch()
    assert aws.schedules() == []


def test_one_models_error_is_named_and_the_other_models_are_stopped(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = hook_class(aws.settings.model).stop
    first = aws.settings.model_arn

    def refuse_the_first(self: Any) -> None:
        if self.model_arn == first:
            raise PermissionError("not yours")
        stop(self)

    monkeypatch.setattr(hook_class(aws.settings.model), "stop", refuse_the_first)
    unknown = lease_on(aws, minutes=-1).model_copy(update={"model_arn": "arn:aws:s3:::no-model"})
    for lease in (lease_on(aws, minutes=-1), lease_on(aws, "2", minutes=-1), unknown):
        variables.put_lease(lease)
    for version in ("", "2"):
        aws.put_model("RUNNING", version)
    with pytest.raises(AirflowException) as failure:
        watch()
    refused, not_known = sorted(str(failure.value).splitlines(), key=lambda line: "no-model" in line)
    command = model_of(first).stop_command
    assert refused == f"{first}, left by run r1 of DAG {DAG_ID} (stop it manually: {command}): not yours"
    assert not_known.startswith(
        f"arn:aws:s3:::no-model, left by run r1 of DAG {DAG_ID} (stop it manually: in the console of its AWS "
        "service; the model's ARN is arn:aws:s3:::no-model): must be the ARN of a model: arn:aws:rekognition:"
    )
    assert aws.model("2")["status"] == "STOPPED"
    assert len(variables.leases()) == 2, "the lease must stay until the model is off"


@pytest.mark.parametrize("operation", ["stop", "describe"])
def test_a_service_that_is_down_for_seconds_is_waited_for(
    aws: Aws, variables: Variables, watch: Watch, operation: Call
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    aws.fail_model(operation, status=500, times=3)
    watch()
    assert aws.model()["status"] == "STOPPED"


def test_a_model_that_stops_slowly_is_named_and_left_to_the_next_run(
    aws: Aws, variables: Variables, watch: Watch, set_waits: SetWaits
) -> None:
    set_waits(each_stop=0.2)
    aws.put_model("STARTING")  # the model stays in a state that a control page has set
    variables.put_lease(lease_on(aws, minutes=-1))
    with pytest.raises(AirflowFailException, match="and the model is not off yet"):  # a retry would only wait
        watch()
    assert len(variables.leases()) == 1


def test_a_topic_that_cannot_be_reached_changes_nothing(aws: Aws, variables: Variables, watch: Watch) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1, sns_topic_arn="arn:aws:sns:us-east-1:123456789012:no-such"))
    assert len(watch()) == 1
    assert variables.leases() == []
