"""The operators that start and stop a model in a user's own DAG."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from label_detection.hooks.model import hook_class
from label_detection.operators.custom_model import StartCustomModelOperator, StopCustomModelOperator
from label_detection_core.model.lease import Lease
from tests.model_calls import KINDS
from tests.plugins.conftest import QUICK, Run, SetWaits, Variables, later
from tests.plugins.label_detection.operators.conftest import Airflow, Watch, lease_on

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

pytestmark = [pytest.mark.usefixtures("quick")]
ALL_KINDS = pytest.mark.kinds(*KINDS)
OWN_DAG, OWN_RUN = "own_dag", "manual__2026-11-27T06:00:00+00:00"
NOT_AN_ARN = "arn:aws:rekognition:us-east-1:123456789012:collection/faces"


@pytest.fixture
def own(variables: Variables) -> Run:
    """A run of a user's own DAG, which has no plan."""
    return Run(dag_id=OWN_DAG, run_id=OWN_RUN)


def start(aws: Aws, run: Run, **arguments: Any) -> dict[str, Any]:
    """Execute the start operator: a new one each time, as a retry is a new process."""
    arguments = {"model_arn": aws.settings.model_arn} | arguments
    started: dict[str, Any] = run.execute(StartCustomModelOperator(task_id="start", **arguments))
    return started


def stop(aws: Aws, run: Run, **arguments: Any) -> dict[str, Any]:
    arguments = {"model_arn": aws.settings.model_arn} | arguments
    stopped: dict[str, Any] = run.execute(StopCustomModelOperator(task_id="stop", **arguments))
    return stopped


def test_a_start_without_a_lease_ends_a_lease_that_was_kept_for_a_late_start(
    aws: Aws, own: Run, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    variables.put_lease(lease_on(aws, run_id="earlier").kept(datetime.now(UTC)))
    start(aws, own)
    assert variables.leases() == []
    assert watch() == []
    assert aws.is_started, "the watchdog stopped the model of this run"


@ALL_KINDS
def test_a_model_that_is_off_is_started_with_the_units_that_are_given(aws: Aws, own: Run, variables: Variables) -> None:
    before = datetime.now(UTC)
    started = start(aws, own, min_inference_units=3)
    assert aws.is_started
    assert aws.model()["units"] == aws.calls.units(3)
    assert (started["adopted"], started["units"]) == (False, 3)
    assert before <= datetime.fromisoformat(started["requested_at"]) <= datetime.now(UTC)
    assert variables.values == {}, "without max_model_minutes there must be no lease"


@pytest.mark.parametrize("status", ["STARTING", "RUNNING"])
def test_a_model_that_is_on_is_adopted(aws: Aws, own: Run, status: str) -> None:
    aws.put_model(status)
    seen = len(aws.model()["history"])
    assert start(aws, own)["adopted"] is True
    assert [change["status"] for change in aws.model()["history"][seen:] if change["status"] == "STARTING"] == []


@ALL_KINDS
def test_a_repeated_start_asks_once_and_keeps_its_lease(aws: Aws, own: Run, variables: Variables) -> None:
    seen = len(aws.model()["history"])
    first = start(aws, own, max_model_minutes=30)
    lease = variables.lease(aws.settings)
    second = start(aws, own, max_model_minutes=30)
    assert second["requested_at"] == first["requested_at"]
    assert variables.lease(aws.settings) == lease
    assert [change["status"] for change in aws.model()["history"][seen:]].count("STARTING") == 1


def test_a_model_that_cannot_be_started_fails_without_a_retry(aws: Aws, own: Run) -> None:
    aws.put_model("TRAINING_FAILED")
    with pytest.raises(AirflowFailException, match=r"cannot be started: it is TRAINING_FAILED.*train it again"):
        start(aws, own)


def test_max_model_minutes_takes_a_lease_that_the_stop_gives_up(aws: Aws, own: Run, variables: Variables) -> None:
    start(aws, own, max_model_minutes="30", min_inference_units="2")  # a string, as a rendered template is
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert (lease.dag_id, lease.run_id, lease.units) == (OWN_DAG, OWN_RUN, 2)
    assert lease.until - lease.since == timedelta(minutes=30)
    assert lease.start_asked, "a stop must know that the start request may still arrive"
    assert lease.watchdog_dag_id == "label_detection_watchdog"
    stopped = stop(aws, own)
    assert aws.model()["status"] == "STOPPED"
    assert datetime.fromisoformat(stopped["on_since"]) == lease.since
    assert variables.lease(aws.settings) is None


def test_a_model_that_the_dag_left_on_is_stopped_by_the_watchdog(
    aws: Aws, own: Run, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    airflow.runs[OWN_RUN] = ("failed", None)  # the run has ended, and it has no stop_model
    start(aws, own, max_model_minutes=30)
    lease = variables.lease(aws.settings)
    assert lease is not None
    variables.put_lease(lease.model_copy(update={"until": datetime.now(UTC)}))
    (acted,) = watch()
    assert (acted["dag_id"], acted["stopped"]) == (OWN_DAG, True)
    assert aws.model()["status"] == "STOPPED"


@pytest.mark.parametrize("status", ["TRAINING_COMPLETED", "RUNNING", "FAILED", "STOPPING"])
@pytest.mark.parametrize("arguments", [{}, {"max_model_minutes": 30}], ids=["without a lease", "with a lease"])
def test_a_model_that_another_dag_holds_is_refused_and_not_touched(
    aws: Aws, own: Run, variables: Variables, arguments: dict[str, Any], status: str
) -> None:
    aws.put_model(status)
    theirs = lease_on(aws)
    variables.put_lease(theirs)
    aws.fail("*", "*", status=500, code="MustNotBeCalled", times=1)
    with pytest.raises(RuntimeError, match="held by label_detection, run r1"):
        start(aws, own, **arguments)
    assert len(aws.control("faults")) == 1
    assert variables.lease(aws.settings) == theirs


def test_a_start_that_is_cleared_after_its_lease_has_expired_takes_a_new_one(
    aws: Aws, own: Run, variables: Variables
) -> None:
    start(aws, own, max_model_minutes=30)
    old = variables.lease(aws.settings)
    assert old is not None
    variables.put_lease(old.model_copy(update={"until": datetime.now(UTC)}))
    assert start(aws, own, max_model_minutes=30)["adopted"] is True
    new = variables.lease(aws.settings)
    assert new is not None
    assert new.since > old.since
    assert not new.has_expired(datetime.now(UTC))


def test_the_watchdog_tells_the_topic_that_the_start_names(
    aws: Aws, own: Run, variables: Variables, topic: Topic, watch: Watch
) -> None:
    start(aws, own, max_model_minutes=30, sns_topic_arn=topic.arn)
    lease = variables.lease(aws.settings)
    assert lease is not None
    variables.put_lease(lease.model_copy(update={"until": datetime.now(UTC)}))
    watch()
    (told,) = topic.published()
    assert "Watchdog stopped a model that own_dag left on" in str(told)


@pytest.mark.parametrize(("runs", "warns"), [(0, True), (1, False), (None, False)], ids=["never", "once", "not known"])
def test_a_start_warns_that_its_watchdog_has_never_run(
    aws: Aws, own: Run, capsys: pytest.CaptureFixture[str], runs: int | None, warns: bool
) -> None:
    own.dag_runs = {} if runs is None else {"my_watchdog": runs}
    start(aws, own, max_model_minutes=30, watchdog_dag_id="my_watchdog")
    assert ("my_watchdog has never run" in capsys.readouterr().out) is warns


@ALL_KINDS
def test_a_stop_without_a_lease_ends_when_the_model_is_off(aws: Aws, own: Run) -> None:
    start(aws, own)
    assert stop(aws, own)["asked_at"] is not None
    assert aws.model()["status"] == "STOPPED"


def test_a_model_found_off_counts_as_off_only_after_describe_can_no_longer_lag(
    aws: Aws, own: Run, set_waits: SetWaits, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_waits(lag=60.0)
    aws.put_model("STOPPED")
    hooks = hook_class(aws.settings.model)
    describe, looks = hooks.describe, list[float]()

    def runs_later(self: Any) -> Any:
        looks.append(time.monotonic())
        if len(looks) > 2 and looks[-1] - looks[0] > 2 * QUICK.linger:
            monkeypatch.setattr(hooks, "describe", describe)
            aws.put_model("RUNNING")
        return describe(self)

    monkeypatch.setattr(hooks, "describe", runs_later)
    stop(aws, own)
    assert aws.model()["status"] == "STOPPED"
    assert [change["status"] for change in aws.model()["history"]][-3:] == ["RUNNING", "STOPPING", "STOPPED"]


def test_a_stop_is_skipped_where_another_run_holds_the_model(aws: Aws, own: Run, variables: Variables) -> None:
    aws.put_model("RUNNING")
    lease = lease_on(aws)
    variables.put_lease(lease)
    with pytest.raises(
        AirflowSkipException, match=r"held by label_detection, run r1, until .*: the model is left on for that run"
    ):
        stop(aws, own)
    assert aws.model()["status"] == "RUNNING"
    assert variables.lease(aws.settings) == lease


def test_the_switch_that_an_earlier_run_left_is_removed(aws: Aws, own: Run, variables: Variables) -> None:
    expired: Lease = lease_on(aws, minutes=-1, dead_man_switch=True)
    variables.put_lease(expired)
    start(aws, own, max_model_minutes=30)
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert (lease.dag_id, lease.dead_man_switch) == (OWN_DAG, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model_arn": NOT_AN_ARN}, r"^argument model_arn is 'arn:aws:rekognition.*: must be the ARN of a model"),
        ({"model_arn": None}, "^argument model_arn is None: input should be a valid string; set the argument"),
        ({"aws_conn_id": "aws://key:secret@"}, r"^argument aws_conn_id is .*: must be the id of an Airflow connection"),
        ({"min_inference_units": 0}, "^argument min_inference_units is 0: .*greater than or equal to 1"),
        ({"min_inference_units": None}, "^argument min_inference_units is None: .*valid integer"),
        ({"max_inference_units": "many"}, "^argument max_inference_units is 'many': .*valid integer"),
        (
            {"min_inference_units": 3, "max_inference_units": 2},
            "^argument max_inference_units is 2, less than min_inference_units",
        ),
        ({"max_model_minutes": -1}, "^argument max_model_minutes is -1: .*greater than or equal to 0.01"),
        ({"max_model_minutes": 30, "sns_topic_arn": "mail"}, "^argument sns_topic_arn is wrong: must be the ARN"),
    ],
    ids=[
        "not a model's ARN",
        "no ARN at all",
        "a connection",
        "no units",
        "units of a template that is None",
        "units that are not a number",
        "maximum below minimum",
        "negative minutes",
        "not a topic's ARN",
    ],
)
def test_a_wrong_argument_of_the_start_is_named_and_nothing_is_started(
    aws: Aws, own: Run, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(AirflowFailException, match=words):
        start(aws, own, **arguments)
    assert aws.model()["status"] == "TRAINING_COMPLETED"


def test_a_wrong_argument_of_the_stop_is_named(aws: Aws, own: Run) -> None:
    with pytest.raises(AirflowFailException, match=r"^argument model_arn is .*: must be the ARN of a model"):
        stop(aws, own, model_arn=NOT_AN_ARN)


def test_a_connection_id_that_options_forbid_does_not_prevent_a_stop(
    aws: Aws, own: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TEAM#AWS", "aws://")
    aws.put_model("RUNNING")
    stop(aws, own, aws_conn_id="team#aws")
    assert aws.model()["status"] == "STOPPED"


@pytest.mark.parametrize("arguments", [{}, {"max_model_minutes": 30}], ids=["without a lease", "with a lease"])
def test_a_model_that_another_dag_takes_while_the_start_waits_is_left_to_it(
    aws: Aws, own: Run, variables: Variables, arguments: dict[str, Any]
) -> None:
    aws.put_model("STOPPING")
    seen = len(aws.model()["history"])

    def take() -> None:
        variables.put_lease(lease_on(aws))
        aws.put_model("STOPPED")

    with later(0.5, take), pytest.raises(RuntimeError, match="held by"):
        start(aws, own, **arguments)
    assert "STARTING" not in [change["status"] for change in aws.model()["history"][seen:]]


@pytest.mark.parametrize("operator", [StartCustomModelOperator, StopCustomModelOperator])
def test_model_arn_and_connection_are_templates(aws: Aws, own: Run, operator: Any) -> None:
    task = operator(task_id="task", model_arn="{{ params.arn }}", aws_conn_id="{{ params.conn }}")
    task.render_template_fields({"params": {"arn": aws.settings.model_arn, "conn": "aws_other"}})
    assert (task.model_arn, task.aws_conn_id) == (aws.settings.model_arn, "aws_other")
