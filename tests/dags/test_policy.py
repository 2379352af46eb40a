"""Rules for every DAG and task. A failure names the DAG, the task and the cure."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import TriggerRule
from airflow.serialization.serialized_objects import DagSerialization

from label_detection import digests
from label_detection.waits import Waits
from label_detection_core.config.settings import Settings, environment_name
from sandbox.environment import PROJECT

if TYPE_CHECKING:
    from airflow.sdk import DAG

#: By rule of a DAG: the check, and the cure.
DAG_RULES: dict[str, tuple[Callable[[DAG], bool], str]] = {
    "no dagrun_timeout": (
        lambda dag: dag.dagrun_timeout is None,
        "remove dagrun_timeout: it skips teardowns, and the model stays on",
    ),
    "no pause after failures": (
        lambda dag: not dag.max_consecutive_failed_dag_runs,
        "remove max_consecutive_failed_dag_runs: it pauses the DAG, and a paused DAG stops no model",
    ),
    "no catchup": (lambda dag: dag.catchup is False, "set catchup=False: a queue has no past to catch up with"),
    "one run at a time": (
        lambda dag: dag.max_active_runs == 1,
        "set max_active_runs=1: two runs would fight over one model",
    ),
    "not paused": (
        lambda dag: dag.is_paused_upon_creation is False,
        "set is_paused_upon_creation=False: it does nothing until somebody finds the switch",
    ),
    "no fail_fast": (lambda dag: not dag.fail_fast, "remove fail_fast: it ends the tasks beside the one that failed"),
    "owned": (lambda dag: "airflow" not in dag.owner.split(", "), "set an owner in default_args"),
    "described": (lambda dag: bool(dag.description), "give it a description: the list of DAGs shows it"),
    "when it is red": (
        lambda dag: "## When it is red" in (dag.doc_md or ""),
        'give it doc_md=dag_docs(__doc__), and the docstring a section "When it is red"',
    ),
}
#: By rule of a task: the check, and the cure.
TASK_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "execution_timeout": (
        lambda task: task.execution_timeout is not None,
        "set execution_timeout: there is no dagrun_timeout to end it",
    ),
    "retries": (
        lambda task: task.retries >= 1,
        "set retries to at least 1: a short deferral and a lost worker fail healthy tasks",
    ),
    "retry_delay of seconds": (
        lambda task: timedelta(0) < task.retry_delay <= timedelta(seconds=30) and not task.retry_exponential_backoff,
        "set retry_delay to seconds: the model may be on meanwhile, and costs money",
    ),
    "a failed teardown fails no analysis": (
        lambda task: not task.on_failure_fail_dagrun,
        "leave on_failure_fail_dagrun off: it makes the teardown the run's only leaf, and a failed analysis green",
    ),
    "when it is red": (
        lambda task: "**When it is red" in (task.doc_md or ""),
        'give it doc_md=task_docs(<its operator>), and the operator\'s docstring "**When it is red:**"',
    ),
}
SETUPS = ["plan_run", "start_model", "wait_for_model"]
CHAIN = ["wait_for_images", *SETUPS, "analyse_images", "stop_model", "write_report"]


#: All DAGs.
DAGS = {"label_detection", "label_detection_watchdog", "label_detection_backfill"}


@pytest.fixture
def watchdog(bag: DagBag) -> DAG:
    """The watchdog."""
    return bag.dags["label_detection_watchdog"]


@pytest.fixture
def dag(bag: DagBag) -> DAG:
    """The pipeline."""
    return bag.dags["label_detection"]


def schedule_of(dag: DAG) -> object:
    """A DAG's schedule. Airflow's annotation leaves out texts and None."""
    return dag.schedule


def callbacks(task: Any) -> list[str]:
    return [call.__name__ for call in task.on_failure_callback]


def test_every_dag_file_is_imported(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == DAGS
    files = {path.name for path in (PROJECT / "dags").glob("*.py")}
    assert {Path(dag.fileloc).name for dag in bag.dags.values()} == files, "a file of dags/ has no DAG in it"


@pytest.mark.parametrize("rule", DAG_RULES)
def test_every_dag_is(bag: DagBag, rule: str) -> None:
    holds, remedy = DAG_RULES[rule]
    broken = [f"DAG {dag.dag_id}: {remedy}" for dag in bag.dags.values() if not holds(dag)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("rule", TASK_RULES)
def test_every_task_has(bag: DagBag, rule: str) -> None:
    holds, remedy = TASK_RULES[rule]
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    broken = [f"DAG {task.dag_id}, task {task.task_id}: {remedy}" for task in tasks if not holds(task)]
    assert tasks
    assert not broken, "\n".join(broken)


def test_a_teardown_has_more_retries_than_any_other_task(bag: DagBag) -> None:
    broken = [
        f"DAG {dag.dag_id}, task {teardown.task_id}: give it more retries than {task.task_id} ({task.retries}): "
        "nothing runs after it that would stop the model"
        for dag in bag.dags.values()
        for teardown in dag.tasks
        for task in dag.tasks
        if teardown.is_teardown and not task.is_teardown and (teardown.retries or 0) <= (task.retries or 0)
    ]
    assert not broken, "\n".join(broken)


def test_of_tasks_that_wait_for_a_worker_those_that_stop_a_model_come_first(bag: DagBag) -> None:
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    stops = {"stop_model", "stop_expired_models"}
    stopping, others = ([task for task in tasks if (task.task_id in stops) is first] for first in (True, False))
    assert {task.task_id for task in stopping} == stops
    assert min(_weight(task) for task in stopping) > max(_weight(task) for task in others)


def _weight(task: Any) -> int:
    """The scheduler's order: with Airflow's default rule a task's weight includes all tasks after it."""
    behind = [] if task.weight_rule == "absolute" else task.get_flat_relatives(upstream=False)
    return int(task.priority_weight) + sum(int(other.priority_weight) for other in behind)


def test_a_task_that_can_stop_the_run_waits_longer_than_what_it_waits_for(dag: DAG) -> None:
    waiter_seconds = 600 * 3  # waiters/rekognition.json: model_stopped
    for name in ("start_model", "stop_model"):
        limit = dag.get_task(name).execution_timeout
        assert limit is not None
        assert limit.total_seconds() > waiter_seconds, f"{name}: its execution_timeout ends model_stopped's wait"
    longest = next(entry.le for entry in Settings.model_fields["max_model_minutes"].metadata if hasattr(entry, "le"))
    limit = dag.get_task("analyse_images").execution_timeout
    assert limit is not None
    assert limit > timedelta(minutes=longest), "analyse_images: its execution_timeout comes before the deadline"


def test_the_tasks_run_in_this_order(dag: DAG) -> None:
    order = [task.task_id for task in dag.topological_sort()]
    assert order == CHAIN
    for earlier, later in pairwise(CHAIN):
        assert later in dag.get_task(earlier).downstream_task_ids, f"{later} must come right after {earlier}"


def test_nothing_is_started_before_images_were_seen(dag: DAG) -> None:
    sensor = dag.get_task("wait_for_images")
    assert sensor.upstream_task_ids == set()
    assert sensor.get_flat_relative_ids(upstream=False) == set(CHAIN) - {"wait_for_images"}


def test_the_teardown_has_exactly_the_three_setups(dag: DAG) -> None:
    assert [task.task_id for task in dag.tasks if task.is_setup] == SETUPS
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["stop_model"]
    stop = dag.get_task("stop_model")
    assert {task.task_id for task in stop.upstream_list if task.is_setup} == set(SETUPS)
    assert stop.upstream_task_ids == {*SETUPS, "analyse_images"}
    assert stop.trigger_rule == TriggerRule.ALL_DONE_SETUP_SUCCESS


def test_the_report_comes_after_the_analysis_and_the_teardown_whatever_happened(dag: DAG) -> None:
    report = dag.get_task("write_report")
    assert report.upstream_task_ids == {"analyse_images", "stop_model"}, (
        "a stop that is marked as done manually must not let it run before the analysis is over"
    )
    assert report.trigger_rule == TriggerRule.ALL_DONE
    assert report.downstream_task_ids == set()
    assert not report.is_teardown, "the run's state is the report's: a teardown's failure alone would be green"


def test_every_other_task_needs_what_comes_before_it(dag: DAG) -> None:
    for name in CHAIN[:5]:
        assert dag.get_task(name).trigger_rule == TriggerRule.ALL_SUCCESS, f"{name}: leave its trigger_rule alone"


def test_the_analysis_is_mapped_over_the_plans_threads(dag: DAG) -> None:
    analysis: Any = dag.get_task("analyse_images")
    assert analysis.is_mapped
    assert analysis.map_index_template == "{{ images | default('analysing') }}"
    assert set(analysis.expand_input.value) == {"images_per_second"}
    assert [task.task_id for task in dag.tasks if task.is_mapped] == ["analyse_images"]


def test_the_dags_page_has_every_option_and_where_to_set_it(dag: DAG) -> None:
    page = dag.doc_md or ""
    missing = [name for name in Settings.model_fields if f"| `{name}` |" not in page]
    assert not missing, f"DAG label_detection: its page lacks {missing}: give it doc_md=dag_docs(__doc__)"
    assert environment_name("queue_url") in page


def test_a_failed_run_and_a_failed_stop_have_notices(dag: DAG) -> None:
    told = {task.task_id: callbacks(task) for task in dag.tasks}
    assert {name: calls for name, calls in told.items() if calls} == {
        "stop_model": ["stop_failed"],
        "write_report": ["run_failed"],
    }


def watchdog_of(*, lists_names: bool, monkeypatch: pytest.MonkeyPatch) -> DAG:
    """The watchdog on an Airflow that lets tasks list Variables (from 3.3 on), or does not."""
    monkeypatch.setattr(sys.modules["label_detection.dags.watchdog"], "LISTS_NAMES", lists_names)
    (dag,) = DagBag(PROJECT / "dags" / "watchdog_dag.py").dags.values()
    return dag


def test_the_watchdog_runs_every_ten_minutes_and_has_a_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule: Any = schedule_of(watchdog_of(lists_names=True, monkeypatch=monkeypatch))
    assert schedule.timetable.expression == "*/10 * * * *"
    (watcher,) = schedule.asset_condition.objects[0].watchers
    assert watcher.trigger.serialize()[1]["watchdog_dag_id"] == "label_detection_watchdog"


def test_on_airflow_3_2_the_watchdog_has_no_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule: Any = schedule_of(watchdog_of(lists_names=False, monkeypatch=monkeypatch))
    assert (type(schedule).__name__, schedule.expression) == ("CronTriggerTimetable", "*/10 * * * *")


def test_the_watchdog_exists_with_any_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for option in Settings.model_fields:
        monkeypatch.setenv(environment_name(option), "%(broken)s")
    again = DagBag(PROJECT / "dags" / "watchdog_dag.py")
    assert again.import_errors == {}
    assert list(again.dags) == ["label_detection_watchdog"]
    assert [task.task_id for task in again.dags["label_detection_watchdog"].tasks] == ["stop_expired_models"]


def test_an_error_of_a_pipeline_does_not_take_the_watchdog_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("this pipeline's DAG cannot be made")

    file = tmp_path / "own_dag.py"
    file.write_text(
        "from label_detection.dags import labels  # airflow, dag\ntry:\n    labels()\nexcept RuntimeError: pass\n"
    )
    monkeypatch.setattr("label_detection.dags.labelling", broken)
    assert list(DagBag(file).dags) == ["label_detection_watchdog"]


def test_the_watchdog_ends_before_its_next_run_unless_a_model_stops_slowly(watchdog: DAG) -> None:
    (task,) = watchdog.tasks
    assert task.execution_timeout is not None
    assert Waits().each_stop < 600
    assert task.execution_timeout.total_seconds() > Waits().each_stop + 120


def test_the_watchdog_sends_the_digest_after_its_work(watchdog: DAG) -> None:
    (task,) = watchdog.tasks
    assert vars(task)["_post_execute_hook"] is digests.send_due


def test_a_failed_watchdog_has_a_notice(watchdog: DAG) -> None:
    (task,) = watchdog.tasks
    assert callbacks(task) == ["watchdog_failed"]


def test_every_dag_survives_serialisation_as_the_dag_processor_does_it(bag: DagBag) -> None:
    for dag in bag.dags.values():
        stored = DagSerialization.to_dict(dag)
        DagSerialization.validate_schema(stored)
        restored = DagSerialization.from_dict(json.loads(json.dumps(stored)))
        for facts in (_wiring, _limits):
            assert facts(restored) == facts(dag), f"DAG {dag.dag_id}: serialisation changes it"


def _wiring(dag: Any) -> dict[str, tuple[object, ...]]:
    return {
        t.task_id: (t.downstream_task_ids, t.is_setup, t.is_teardown, TriggerRule(t.trigger_rule)) for t in dag.tasks
    }


def _limits(dag: Any) -> dict[str, tuple[object, ...]]:
    return {t.task_id: (t.execution_timeout, t.retries, t.retry_delay, t.doc_md) for t in dag.tasks}
