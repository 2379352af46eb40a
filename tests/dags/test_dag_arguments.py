"""Arguments of the DAGs that depend on the options or on Airflow."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.types import DagRunType

from label_detection.sensors import sqs
from label_detection_core.config.settings import Settings, environment_name
from sandbox.environment import PROJECT

if TYPE_CHECKING:
    from airflow.sdk import DAG


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The DAGs by id, with these options in the section."""

    def configured(**options: str) -> dict[str, DAG]:
        for option, value in options.items():
            monkeypatch.setenv(environment_name(option), value)
        bag = DagBag(PROJECT / "dags")
        assert bag.import_errors == {}
        return bag.dags

    return configured


def stored(dag: DAG) -> Any:
    """The DAG as the scheduler reads it."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def test_only_airflows_backfill_of_a_dag_is_forbidden(bag: DagBag) -> None:
    """Airflow's backfill ignores max_active_runs, and then several runs would compete for one model."""
    for dag in bag.dags.values():
        assert set(stored(dag).allowed_run_types) == {*DagRunType} - {DagRunType.BACKFILL_JOB}, dag.dag_id


@pytest.mark.parametrize(
    ("max_tasks", "active"),
    [("4", 16), ("15", 16), ("16", 17), ("100", 101), ("many", 16)],
    ids=["Airflow's default is enough", "just enough", "more", "the most", "a wrong one"],
)
def test_all_analysis_tasks_and_the_stop_have_room_at_once(configure: Any, max_tasks: str, active: int) -> None:
    assert stored(configure(max_tasks=max_tasks)["label_detection"]).max_active_tasks == active


def test_a_run_with_more_tasks_by_param_has_airflows_limit_for_any_dag(
    configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG", "32")
    assert stored(configure(max_tasks="2")["label_detection"]).max_active_tasks == 32


@pytest.mark.parametrize(
    ("timezone", "zone"),
    [(" Asia/Tokyo ", "Asia/Tokyo"), ("", "America/Lima"), ("Mars", "America/Lima")],
    ids=["a zone", "empty: Airflow's default_timezone", "a wrong one: so too"],
)
def test_a_schedule_is_in_its_time_zone(
    configure: Any, monkeypatch: pytest.MonkeyPatch, timezone: str, zone: str
) -> None:
    monkeypatch.setattr("airflow.settings.TIMEZONE", pendulum.timezone("America/Lima"))
    dag = stored(configure(timezone=timezone, schedule="30 6 * * *")["label_detection"])
    assert str(dag.timezone) == zone
    due = dag.next_dagrun_info(last_automated_run_info=None).run_after.in_timezone(zone)
    assert (due.hour, due.minute) == (6, 30)


@pytest.mark.parametrize("zone", ["Mars", "America", "../../etc/passwd", "/etc/localtime", "system", "+02:00", "\0"])
def test_a_wrong_time_zone_is_one_line(zone: str) -> None:
    with pytest.raises(ValueError, match="timezone") as caught:
        Settings.model_validate({"timezone": zone} | _REQUIRED)
    assert "must be the IANA name of a time zone" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "paused"), [("", False), ("true", True), ("True", True), ("no", False), ("maybe", False)]
)
def test_the_dag_may_be_paused_on_arrival_and_the_watchdog_never(configure: Any, value: str, paused: bool) -> None:
    dags = configure(paused_upon_creation=value)
    assert dags["label_detection"].is_paused_upon_creation is paused
    assert dags["label_detection_watchdog"].is_paused_upon_creation is False


@pytest.mark.parametrize(
    ("task_id", "option", "more"),
    [("wait_for_images", "wait_minutes", sqs._SLACK), ("wait_for_model", "max_model_minutes", timedelta(0))],
)
def test_the_time_out_of_a_wait_is_long_enough_even_if_airflow_counts_its_deferral(
    bag: DagBag, task_id: str, option: str, more: timedelta
) -> None:
    longest = next(entry.le for entry in Settings.model_fields[option].metadata if hasattr(entry, "le"))
    limit = bag.dags["label_detection"].get_task(task_id).execution_timeout
    assert limit is not None
    assert limit > timedelta(minutes=longest) + more


_REQUIRED = {
    "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/images",
    "source_bucket": "parts-source",
    "final_bucket": "parts-final",
    "model_arn": "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/1/1690000000000",
}
