"""The budget in a run's tasks: the plan obeys it, start and stop write the ledger, the watchdog too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from label_detection import ledger
from label_detection.operators.run import PlanRunOperator, WriteReportOperator
from label_detection.xcom import pull_plan
from label_detection_core.config.settings import environment_name
from label_detection_core.model.ledger import Entry, Ledger, ledger_name
from tests.model_calls import KINDS
from tests.plugins.conftest import DAG_ID, RUN_ID, Run, Variables
from tests.plugins.label_detection.operators.conftest import Airflow, Watch, lease_on, start, stop

if TYPE_CHECKING:
    from tests.conftest import Aws, Topic

pytestmark = pytest.mark.usefixtures("quick")


def plan(run: Run) -> Any:
    return run.execute(PlanRunOperator(task_id="plan_run"))


def spend(variables: Variables, usd: float, dag_id: str = DAG_ID, name: str = "other") -> None:
    """Write that a run of a DAG has cost this, until now."""
    now = datetime.now(UTC)
    since = now - timedelta(seconds=1)
    entry = Entry(
        dag_id=dag_id,
        run_id="r0",
        since=since,
        until=now,
        ended_at=now,
        units=1,
        price_per_unit_hour=usd * 3600,
    )
    variables.values[ledger_name(f"arn:aws:rekognition:::{name}")] = Ledger(entries=(entry,)).model_dump_json()


def entries(variables: Variables, model_arn: str) -> list[Entry]:
    return list(Ledger.model_validate_json(variables.values.get(ledger_name(model_arn), "{}")).entries)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment_name("max_cost_per_month"), "10")


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize(
    ("spent", "dag_id"),
    [(10, DAG_ID), (12, "another_pipeline"), (9.9, DAG_ID)],
    ids=["all of it", "all of it, by another pipeline", "too little is left for a start"],
)
def test_over_the_budget_the_plan_is_skipped_with_one_line_and_nothing_is_started(
    aws: Aws, run: Run, variables: Variables, spent: float, dag_id: str
) -> None:
    spend(variables, spent, dag_id)
    before = aws.model()["status"]
    with pytest.raises(AirflowSkipException) as caught:
        plan(run)
    line = str(caught.value)
    assert line.startswith(f"max_cost_per_month of all pipelines: {spent:.2f} of 10.00 USD are spent")
    assert line.endswith("so nothing is started and the pictures stay queued")
    assert "\n" not in line
    assert (variables.lease(aws.settings), aws.model()["status"]) == (None, before)
    assert pull_plan(run.context("start_model")) is None  # type: ignore[arg-type]


@pytest.mark.usefixtures("budget")
@pytest.mark.parametrize(
    ("status", "dag_id"), [("RUNNING", DAG_ID), ("STOPPING", DAG_ID), ("STOPPED", DAG_ID), ("RUNNING", "another")]
)
def test_over_the_budget_a_run_still_stops_a_model_that_an_earlier_run_of_its_dag_left_on(
    aws: Aws, run: Run, variables: Variables, status: str, dag_id: str
) -> None:
    spend(variables, 12)
    aws.put_model(status)
    variables.put_lease(lease_on(aws, minutes=5, run_id="r0", dag_id=dag_id, start_asked=True))
    if (status, dag_id) != ("RUNNING", DAG_ID):
        with pytest.raises(AirflowSkipException):
            plan(run)
        return
    plan(run)
    started = start(run)
    assert started.adopted
    assert started.deadline - started.requested_at < timedelta(seconds=1)
    stop(run)
    assert aws.model()["status"] == "STOPPED"
    assert variables.lease(aws.settings) is None


@pytest.mark.usefixtures("budget")
def test_what_is_left_sets_the_deadline_and_the_lease(aws: Aws, run: Run, variables: Variables) -> None:
    spend(variables, 8)
    plan(run)
    made = pull_plan(run.context("start_model"))  # type: ignore[arg-type]
    assert made is not None
    assert made.settings.max_model_minutes == pytest.approx(24.5, abs=0.1), "2 USD pay 30 minutes, 5.5 of them to end"
    lease = variables.lease(aws.settings)
    assert lease is not None
    assert lease.until - lease.since == timedelta(minutes=made.settings.max_model_minutes + 15)


def test_without_a_budget_a_ledger_that_somebody_has_edited_fails_no_run(
    aws: Aws, run: Run, variables: Variables, caplog: pytest.LogCaptureFixture
) -> None:
    variables.values[ledger_name(aws.settings.model_arn)] = "edited"
    plan(run)
    start(run)
    stop(run)
    assert aws.model()["status"] == "STOPPED"
    assert variables.lease(aws.settings) is None
    assert variables.values[ledger_name(aws.settings.model_arn)] == "edited"
    assert "is not a ledger of costs" in caplog.text
    assert "not in the ledger that the budget counts" in str(run.xcoms["stop_model", "warning"])


@pytest.mark.usefixtures("budget")
def test_with_a_budget_a_ledger_that_somebody_has_edited_is_an_error_before_anything_costs(
    aws: Aws, run: Run, variables: Variables
) -> None:
    name = ledger_name(aws.settings.model_arn)
    variables.values[name] = "edited"
    with pytest.raises(ValueError, match=f"the variable {name} is not a ledger of costs"):
        plan(run)
    assert variables.lease(aws.settings) is None


def test_a_wrong_limit_for_all_is_an_error_even_if_the_pipeline_has_its_own(
    aws: Aws, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment_name("max_cost_per_day"), "much")
    own = {"name": "leaves", "title": "leaves", "home": "here", "options": {"max_cost_per_day": 5}}
    assert aws.settings.max_cost_per_day is None
    run.default_args = {"label_detection": own}
    with pytest.raises(AirflowFailException, match="max_cost_per_day is 'much'"):
        plan(run)


def test_one_notice_is_sent_per_period_and_limit(
    aws: Aws, run: Run, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment_name("sns_topic_arn"), topic.arn)
    spend(variables, 100)

    def notices(limit: float, runs: int = 2) -> list[str]:
        monkeypatch.setenv(environment_name("max_cost_per_day"), str(limit))
        for _ in range(runs):
            with pytest.raises(AirflowSkipException):
                plan(run)
        return [subject for subject, _ in topic.published()]

    assert notices(10) == [f"[label detection] Budget used up: {DAG_ID}"]
    assert notices(10) == []
    assert notices(20) == [f"[label detection] Budget used up: {DAG_ID}"], "raised, and used up again"


def test_money_that_is_set_aside_for_another_run_skips_without_a_notice(
    aws: Aws, run: Run, variables: Variables, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment_name("sns_topic_arn"), topic.arn)
    monkeypatch.setenv(environment_name("max_cost_per_day"), "10")
    now = datetime.now(UTC)
    until = now + timedelta(hours=1)
    entry = Entry(
        dag_id="other", run_id="r", since=now, until=until, expected_until=until, units=1, price_per_unit_hour=10
    )
    variables.values[ledger_name("arn:aws:rekognition:::other")] = Ledger(entries=(entry,)).model_dump_json()
    with pytest.raises(AirflowSkipException, match="are set aside for models that are on"):
        plan(run)
    assert topic.published() == []


def test_the_report_of_a_run_that_the_budget_skipped_is_skipped(run: Run) -> None:
    run.states = {"wait_for_images": "success", "plan_run": "skipped", "stop_model": "skipped"}
    with pytest.raises(AirflowSkipException):
        run.execute(WriteReportOperator(task_id="write_report"))


@pytest.mark.kinds(*KINDS)
def test_start_and_stop_write_one_entry(aws: Aws, planned: Run, variables: Variables) -> None:
    arn = aws.settings.model_arn
    assert entries(variables, arn) == [], "a plan costs nothing"
    started = start(planned)
    (on,) = entries(variables, arn)
    assert (on.since, on.ended_at, on.dag_id, on.run_id) == (started.requested_at, None, DAG_ID, RUN_ID)
    assert on.expected_until is not None
    stopped_at = stop(planned)
    (off,) = entries(variables, arn)
    assert off == on.model_copy(update={"ended_at": stopped_at})
    stop(planned)
    assert entries(variables, arn) == [off], "cleared: the lease is gone"


def test_a_repeated_start_and_a_repeated_end_count_once(aws: Aws, planned: Run, variables: Variables) -> None:
    start(planned)
    lease = variables.lease(aws.settings)
    assert lease is not None
    start(planned)
    stopped_at = stop(planned)
    variables.put_lease(lease)  # the task was killed before it ended the lease
    assert stop(planned) > stopped_at
    assert len(entries(variables, aws.settings.model_arn)) == 1


def test_a_start_that_was_refused_costs_nothing(aws: Aws, planned: Run, variables: Variables) -> None:
    aws.fail_model("start", status=400, code="AccessDeniedException")
    with pytest.raises(Exception, match="AccessDenied"):
        start(planned)
    stop(planned)
    (entry,) = entries(variables, aws.settings.model_arn)
    assert entry.ended_at == entry.since


def test_a_stop_and_the_end_of_the_lease_do_not_depend_on_the_ledger(
    aws: Aws, planned: Run, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(planned)

    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("Airflow does not answer")

    monkeypatch.setattr(ledger, "_change", fails)
    stop(planned)
    assert aws.model()["status"] == "STOPPED"
    assert variables.lease(aws.settings) is None


@pytest.mark.parametrize("known", [True, False], ids=["started by this version", "started by an earlier version"])
def test_the_watchdog_writes_what_a_run_has_cost_that_did_not_end_its_lease(
    aws: Aws,
    variables: Variables,
    airflow: Airflow,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    monkeypatch.setenv(environment_name("price_per_unit_hour"), "3")
    aws.put_model("RUNNING")
    lease = lease_on(aws, minutes=-1, start_asked=True)
    variables.put_lease(lease)
    airflow.runs["r1"] = ("failed", "failed")  # marked manually
    if known:
        begun = Ledger().begun(Entry.of_lease(lease, 5.0))
        variables.values[ledger_name(lease.model_arn)] = begun.model_dump_json()
    watch()
    (entry,) = entries(variables, lease.model_arn)
    assert (entry.run_id, entry.units, entry.price_per_unit_hour) == ("r1", 2, 5.0 if known else 3.0)
    assert entry.ended_at is not None
    assert entry.ended_at > lease.until


def test_the_watchdog_writes_nothing_for_a_run_that_never_asked_for_its_model(
    aws: Aws, variables: Variables, airflow: Airflow, watch: Watch
) -> None:
    lease = lease_on(aws, minutes=-1)
    variables.put_lease(lease)
    airflow.runs["r1"] = ("failed", "failed")
    watch()
    assert entries(variables, lease.model_arn) == []


def test_two_writers_of_one_ledger_lose_no_entry(
    aws: Aws, variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's Variables have no compare-and-set, so another task's write may come between a read and a write."""
    first, second = (lease_on(aws, minutes=n, run_id=f"r{n}", start_asked=True) for n in (1, 2))
    write, pending = variables.set, [second]

    def overtaken(key: str, value: str, description: str | None = None) -> None:
        before = variables.values.get(key)
        write(key, value, description)
        if pending and key == ledger_name(first.model_arn):
            theirs = Ledger.model_validate_json(before or "{}")
            lease = pending.pop()
            variables.values[key] = theirs.begun(Entry.of_lease(lease, 4.0)).model_dump_json()

    monkeypatch.setattr(variables, "set", overtaken)
    assert ledger.end(first, datetime.now(UTC), was_on=True) is None
    assert {entry.run_id for entry in entries(variables, first.model_arn)} == {"r1", "r2"}
