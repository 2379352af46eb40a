"""The watchdog: it stops what was left on, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from include.lease import Lease, lease_name
from label_detection.hooks.rekognition import RekognitionModelHook
from label_detection.hooks.switch import arm
from label_detection.operators import watchdog
from label_detection.operators.watchdog import StopExpiredModelsOperator
from tests.plugins.conftest import DAG_ID, Variables

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

pytestmark = pytest.mark.usefixtures("quick")

#: What the API server answers for a run that is not there, as the supervisor hands it on.
NOT_FOUND = {"status_code": 404, "message": "Server returned error", "detail": {"detail": {"reason": "not_found"}}}


#: As the Task SDK has it: a text, but printed as DagRunState.success.
DagRunState = Enum("DagRunState", {state: state for state in ("queued", "running", "success", "failed")}, type=str)


class Airflow:
    """What Airflow says of runs: `(state of the run, state of its stop_model)`, or an error's detail."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, str | None] | dict[str, Any] | Exception] = {}

    def dagrun_state(self, dag_id: str, run_id: str) -> str:
        found = self.runs.get(run_id, NOT_FOUND)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, dict):
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=found))
        return DagRunState[found[0]]

    def task_states(self, dag_id: str, run_ids: list[str], task_ids: list[str]) -> dict[str, dict[str, str | None]]:
        (run_id,), (task_id,) = run_ids, task_ids
        return {run_id: {task_id: self.runs[run_id][1]}}  # type: ignore[index]


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def watch(airflow: Airflow, variables: Variables) -> Callable[[], list[dict[str, Any]]]:
    """Execute the watchdog."""

    def watch() -> list[dict[str, Any]]:
        ti = SimpleNamespace(get_dagrun_state=airflow.dagrun_state, get_task_states=airflow.task_states)
        context: Any = {"ti": ti}
        return StopExpiredModelsOperator(task_id="stop_expired_models").execute(context)

    return watch


Watch = Callable[[], list[dict[str, Any]]]


def lease_on(aws: Aws, version: str = "", minutes: float = 60, **more: Any) -> Lease:
    """A lease on a model that ends in so many minutes."""
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    facts = {"dag_id": DAG_ID, "run_id": "r1", "since": until - timedelta(minutes=75), "until": until, "units": 2}
    return Lease(model_arn=aws.model(version)["arn"], **(facts | more))


@pytest.mark.parametrize(
    ("minutes", "run", "stops"),
    [
        pytest.param(60, ("running", None), False, id="a healthy run"),
        pytest.param(60, ("running", "failed"), False, id="a run that has its report still to write"),
        pytest.param(60, ("queued", None), False, id="a run that was cleared and waits"),
        pytest.param(60, ("failed", None), False, id="marked failed by hand: its teardown is still to run"),
        pytest.param(60, ("success", "running"), False, id="marked success by hand: its teardown runs"),
        pytest.param(60, ("failed", "up_for_retry"), False, id="its stop is tried again"),
        pytest.param(60, {"status_code": 503, "detail": None}, False, id="Airflow cannot be asked"),
        pytest.param(
            60, {"status_code": 404, "detail": {"detail": {"reason": "odd"}}}, False, id="something else was not found"
        ),
        pytest.param(60, EOFError("gone"), False, id="Airflow is gone"),
        pytest.param(-1, EOFError("gone"), True, id="expired, and Airflow is gone"),
        pytest.param(
            60, {"status_code": 404, "detail": {"detail": "Not Found"}}, False, id="Airflow knows no such page"
        ),
        pytest.param(60, NOT_FOUND, True, id="deleted"),
        pytest.param(60, ("failed", "failed"), True, id="its stop failed"),
        pytest.param(60, ("success", "success"), True, id="its stop was marked as done by hand"),
        pytest.param(60, ("failed", "upstream_failed"), True, id="its stop never ran"),
        pytest.param(-1, ("running", None), True, id="expired, and still going on"),
        pytest.param(-1, ("failed", None), True, id="expired, with its teardown still to run"),
        pytest.param(-1, {"status_code": 503, "detail": None}, True, id="expired, and Airflow cannot be asked"),
    ],
)
def test_a_model_is_stopped_when_its_run_is_over_or_its_lease_and_never_before(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch, minutes: float, run: Any, stops: bool
) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws, minutes=minutes)
    variables.put_lease(lease)
    airflow.runs["r1"] = run
    acted = watch()
    assert aws.model()["status"] == ("STOPPED" if stops else "RUNNING")
    assert [entry["run_id"] for entry in acted] == (["r1"] if stops else [])
    assert variables.lease(aws.settings) == (None if stops else lease)


def test_without_a_lease_no_model_is_looked_at_and_aws_is_not_called(aws: Aws, watch: Watch) -> None:
    aws.put_model("RUNNING")
    aws.fail("*", "*", status=500, code="MustNotBeCalled", times=1)
    assert watch() == []
    assert len(aws.control("faults")) == 1
    assert aws.model()["status"] == "RUNNING"


def test_a_healthy_runs_model_is_not_even_looked_at(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    variables.put_lease(lease_on(aws))
    airflow.runs["r1"] = ("running", None)
    aws.fail("*", "*", status=500, code="MustNotBeCalled", times=1)
    assert watch() == []
    assert len(aws.control("faults")) == 1


def test_it_needs_no_configuration(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUEUE_URL", "MODEL_ARN", "SOURCE_BUCKET", "FINAL_BUCKET"):
        monkeypatch.delenv(f"AIRFLOW__LABEL_DETECTION__{name}")
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__WATCHDOG_GRACE_MINUTES", "soon")
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    watch()
    assert aws.model()["status"] == "STOPPED"


def test_of_several_models_those_that_were_left_are_stopped_and_no_other(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    for version in ("", "2", "3"):
        aws.put_model("RUNNING", version)
    variables.put_lease(lease_on(aws, minutes=-5, run_id="expired"))
    variables.put_lease(lease_on(aws, "2", run_id="deleted", dag_id="another_dag"))
    variables.put_lease(lease_on(aws, "3", run_id="healthy"))
    airflow.runs = {"expired": ("running", None), "deleted": NOT_FOUND, "healthy": ("running", None)}
    acted = watch()
    assert {entry["run_id"] for entry in acted} == {"expired", "deleted"}
    assert [aws.model(version)["status"] for version in ("", "2", "3")] == ["STOPPED", "STOPPED", "RUNNING"]
    assert len(variables.values) == 1


def test_the_models_are_stopped_side_by_side(aws: Aws, variables: Variables, watch: Watch) -> None:
    for version in ("", "2", "3"):
        aws.put_model("RUNNING", version)
        variables.put_lease(lease_on(aws, version, minutes=-1))
    began = time.monotonic()
    watch()
    assert time.monotonic() - began < 2.5, "each takes a second to stop"


def test_what_was_done_is_said_in_the_log_the_xcom_and_to_the_leases_topic(
    aws: Aws, variables: Variables, topic: Topic, watch: Watch, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws, minutes=-7, sns_topic_arn=topic.arn)
    variables.put_lease(lease)
    (entry,) = watch()
    assert entry == {**lease.model_dump(mode="json"), "why": "its run was deleted", "stopped": True}
    log = capsys.readouterr().out
    assert f"{lease.model_arn}: left by run r1 of DAG {DAG_ID} (its run was deleted), leased since" in log
    assert "7 minutes over its time: stopped it" in log
    ((subject, text),) = topic.published()
    assert subject == f"[label detection] Watchdog stopped a model that {DAG_ID} left"
    assert "Over its time: 7." in text


def test_what_became_of_the_run_is_said_in_airflows_words(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    variables.put_lease(lease_on(aws))
    airflow.runs["r1"] = ("success", "skipped")
    (entry,) = watch()
    assert entry["why"] == "its run is success and stop_model skipped"


@pytest.mark.parametrize("status", ["STOPPED", "TRAINING_COMPLETED", "FAILED", "DELETING"])
def test_a_model_that_is_off_already_is_said_to_be(
    aws: Aws, variables: Variables, topic: Topic, watch: Watch, status: str
) -> None:
    aws.put_model(status)
    variables.put_lease(lease_on(aws, minutes=-1, sns_topic_arn=topic.arn))
    (entry,) = watch()
    assert entry["stopped"] is False
    assert variables.values == {}
    assert "It was off already" in topic.published()[0][1]
    assert aws.model()["status"] == status


def test_a_model_that_was_deleted_since_gives_its_lease_up(aws: Aws, variables: Variables, watch: Watch) -> None:
    lease = lease_on(aws, minutes=-1)
    variables.put_lease(lease.model_copy(update={"model_arn": lease.model_arn.replace("/version/1/", "/version/no/")}))
    assert len(watch()) == 1
    assert variables.values == {}


def test_a_starting_model_is_stopped_as_soon_as_it_lets_itself_be(
    aws: Aws, variables: Variables, watch: Watch, hook: RekognitionModelHook
) -> None:
    hook.start(1)
    variables.put_lease(lease_on(aws, minutes=-1))
    watch()
    assert aws.model()["status"] == "STOPPED"


def test_its_dead_mans_switch_is_removed(
    aws: Aws, variables: Variables, watch: Watch, hook: RekognitionModelHook
) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws, dead_man_switch=True)
    arm(lease, hook, "arn:aws:iam::123456789012:role/switch")
    variables.put_lease(lease)
    watch()
    assert aws.schedules() == []


def test_a_lease_that_was_taken_anew_before_the_stop_keeps_its_model(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    taken = lease_on(aws, run_id="r2")
    describe = RekognitionModelHook.describe

    def take_over(self: RekognitionModelHook) -> Any:  # at the last moment: between the look and the stop
        variables.put_lease(taken)
        return describe(self)

    monkeypatch.setattr(RekognitionModelHook, "describe", take_over)
    assert watch() == []
    assert aws.model()["status"] == "RUNNING"
    assert variables.lease(aws.settings) == taken


def test_a_run_that_starts_the_model_while_the_watchdog_waits_for_its_end_keeps_it(
    aws: Aws, variables: Variables, watch: Watch, hook: RekognitionModelHook
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    taken = lease_on(aws, run_id="r2")

    def start_anew() -> None:
        while aws.model()["status"] != "STOPPING":
            time.sleep(0.02)
        variables.put_lease(taken)
        aws.put_model("RUNNING")

    other = threading.Thread(target=start_anew)
    other.start()
    assert watch() == []
    other.join()
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
def test_a_variable_that_is_not_a_lease_is_named_and_the_others_are_stopped(
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
    assert list(variables.values) == [name]


def test_one_models_trouble_is_named_and_the_others_are_stopped(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = RekognitionModelHook.stop
    first = aws.settings.model_arn

    def refuse_the_first(self: RekognitionModelHook) -> None:
        if self.model_arn == first:
            raise PermissionError("not yours")
        stop(self)

    monkeypatch.setattr(RekognitionModelHook, "stop", refuse_the_first)
    unknown = lease_on(aws, minutes=-1).model_copy(update={"model_arn": "arn:aws:s3:::no-model"})
    for lease in (lease_on(aws, minutes=-1), lease_on(aws, "2", minutes=-1), unknown):
        variables.put_lease(lease)
    for version in ("", "2"):
        aws.put_model("RUNNING", version)
    with pytest.raises(AirflowException) as failure:
        watch()
    assert sorted(str(failure.value).splitlines()) == sorted(
        [
            f"{first}, left by run r1 of DAG {DAG_ID}: not yours",
            f"arn:aws:s3:::no-model, left by run r1 of DAG {DAG_ID}: 'arn:aws:s3:::no-model' is not the ARN of a model",
        ]
    )
    assert aws.model("2")["status"] == "STOPPED"
    assert len(variables.values) == 2, "the lease stands until the model is off"


@pytest.mark.parametrize("operation", ["StopProjectVersion", "DescribeProjectVersions"])
def test_a_service_that_is_down_for_seconds_is_waited_for(
    aws: Aws, variables: Variables, watch: Watch, operation: str
) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1))
    aws.fail("rekognition", operation, status=500, times=3)
    watch()
    assert aws.model()["status"] == "STOPPED"


def test_a_model_that_is_long_in_stopping_is_named_and_left_to_the_next_time(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_PATIENCE_SECONDS", 0.2)
    aws.put_model("STARTING")  # and stays: it was put there
    variables.put_lease(lease_on(aws, minutes=-1))
    with pytest.raises(AirflowFailException, match="and it is not off yet"):  # a retry would only wait again
        watch()
    assert len(variables.values) == 1


def test_a_topic_that_cannot_be_reached_changes_nothing(aws: Aws, variables: Variables, watch: Watch) -> None:
    aws.put_model("RUNNING")
    variables.put_lease(lease_on(aws, minutes=-1, sns_topic_arn="arn:aws:sns:us-east-1:123456789012:no-such"))
    assert len(watch()) == 1
    assert variables.values == {}


def test_a_model_that_is_off_and_was_taken_over_meanwhile_is_not_said_to_be_left(
    aws: Aws, variables: Variables, topic: Topic, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables.put_lease(lease_on(aws, minutes=-1, sns_topic_arn=topic.arn))
    taken = lease_on(aws, run_id="r2")
    describe = RekognitionModelHook.describe
    monkeypatch.setattr(RekognitionModelHook, "describe", lambda self: (variables.put_lease(taken), describe(self))[1])
    assert watch() == []
    assert variables.lease(aws.settings) == taken
    assert topic.published() == []


def test_a_lease_that_airflow_does_not_give_is_named_and_not_taken_for_ended(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables.put_lease(lease_on(aws, minutes=-1))
    monkeypatch.setattr(variables, "get", lambda key, default: default)  # as Airflow's does when it gets no answer
    with pytest.raises(AirflowException, match="cannot be read now") as failure:
        watch()
    assert not isinstance(failure.value, AirflowFailException), "the retry comes in seconds, the next run in minutes"


def test_the_model_of_an_earlier_configuration_is_stopped_too(
    aws: Aws, variables: Variables, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put_model("RUNNING", "2")
    variables.put_lease(lease_on(aws, "2", minutes=-1))
    monkeypatch.setenv("AIRFLOW__LABEL_DETECTION__MODEL_ARN", aws.settings.model_arn)
    watch()
    assert aws.model("2")["status"] == "STOPPED"
