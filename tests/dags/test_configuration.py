"""The configuration as the DAG file reads it: no value can break the DAG bag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import BaseOperator
from airflow.serialization.serialized_objects import DagSerialization

from label_detection.dags import schedule as dags_schedule
from label_detection_core.config.settings import Settings, environment_name, run_options
from sandbox.environment import PROJECT
from tests.dags.test_policy import schedule_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAG_FILE = PROJECT / "dags" / "label_detection_dag.py"
DEFAULT = "0 */2 * * *"
PARAMS = {
    "wait_minutes",
    "start_at_images",
    "start_at_minutes",
    "min_confidence",
    "max_model_minutes",
    "target_minutes",
    "min_inference_units",
    "max_inference_units",
    "images_per_second_per_unit",
    "max_tasks",
    "price_per_unit_hour",
    "max_receives",
}


def parse() -> DAG:
    """The DAG from its file, with the present environment."""
    bag = DagBag(DAG_FILE)
    assert bag.import_errors == {}
    return bag.dags["label_detection"]


def validate(param: str, value: Any) -> Any:
    """Check a run's param as the API does, on the stored DAG."""
    stored = DagSerialization.from_dict(DagSerialization.to_dict(parse()))
    return stored.params.deep_merge({param: value}).validate()[param]


@pytest.mark.parametrize(
    ("configured", "schedule"),
    [
        (None, DEFAULT),
        ("30 6 * * 1-5", "30 6 * * 1-5"),
        ("@hourly", "@hourly"),
        (" @daily ", "@daily"),
        ("", None),
        ("  ", None),
        ("every two hours", DEFAULT),
        ("@nonsense", DEFAULT),
        ("61 * * * *", DEFAULT),
        ("* * * * * *", DEFAULT),
    ],
    ids=["not set", "cron", "preset", "blanks around", "empty", "blank", "words", "no preset", "minute 61", "6 fields"],
)
def test_the_schedule_is_the_configured_one(
    monkeypatch: pytest.MonkeyPatch, configured: str | None, schedule: str | None
) -> None:
    variable = environment_name("schedule")
    monkeypatch.delenv(variable, raising=False)
    if configured is not None:
        monkeypatch.setenv(variable, configured)
    dag = parse()
    assert schedule_of(dag) == schedule
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert (stored.next_dagrun_info(last_automated_run_info=None) is None) == (schedule is None)


RIGHT = {
    "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/images",
    "source_bucket": "parts-source",
    "final_bucket": "parts-final",
    "model_arn": "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/1/1690000000000",
}


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        pytest.param({}, "AssetOrTimeSchedule", id="beside the default times"),
        pytest.param({"schedule": "@daily"}, "AssetOrTimeSchedule", id="beside a preset"),
        pytest.param({"schedule": ""}, "AssetTriggeredTimetable", id="alone"),
        pytest.param({"watch_queue": "false"}, "CronTriggerTimetable", id="off"),
        pytest.param({"schedule": "@continuous"}, "ContinuousTimetable", id="runs that follow each other look anyway"),
        pytest.param({"schedule": "@once"}, "OnceTimetable", id="one run"),
        pytest.param({"queue_url": "wrong"}, "CronTriggerTimetable", id="a wrong option, which a run must show"),
        pytest.param({"watch_queue": "often"}, "CronTriggerTimetable", id="a word"),
    ],
)
def test_a_watched_queue_starts_runs_besides_the_schedule(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, str], kind: str
) -> None:
    monkeypatch.setattr(dags_schedule, "LISTS_NAMES", True)
    values = RIGHT | {"watch_queue": "true", "timezone": "Europe/Zurich", "start_at_images": "7"} | options
    for option, value in values.items():
        monkeypatch.setenv(environment_name(option), value)
    timetable: Any = DagSerialization.from_dict(DagSerialization.to_dict(parse())).timetable
    assert type(timetable).__name__ == kind
    if not kind.startswith("Asset"):
        return
    ((_, queue),) = timetable.asset_condition.iter_assets()
    (watcher,) = queue.watchers
    kwargs = watcher.trigger["kwargs"]
    assert queue.uri == kwargs["queue_url"] == values["queue_url"]
    assert (kwargs["images"], kwargs["minutes"], kwargs["region_name"]) == (7, 0, "eu-west-1")
    if kind == "AssetOrTimeSchedule":
        assert "Zurich" in str(timetable.timetable.serialize())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"AIRFLOW__CORE__DEFAULT_TIMEZONE": "system"}, id="the machine's time zone"),
        pytest.param({environment_name("queue_url"): "https://[::1/images"}, id="a URL that is no URI"),
        pytest.param(
            {environment_name("queue_url"): f"https://sqs.eu-west-1.amazonaws.com/1/{'q' * 1600}"}, id="a long one"
        ),
    ],
)
def test_a_watched_queue_never_breaks_the_bag(monkeypatch: pytest.MonkeyPatch, options: dict[str, str]) -> None:
    monkeypatch.setattr(dags_schedule, "LISTS_NAMES", True)
    values = {environment_name(option): value for option, value in (RIGHT | {"watch_queue": "true"}).items()}
    for variable, value in (values | options).items():
        monkeypatch.setenv(variable, value)
    assert DagSerialization.from_dict(DagSerialization.to_dict(parse())).timetable


@pytest.mark.parametrize(
    ("schedule", "times"),
    [
        pytest.param("0 6 * * *", ["0 6 * * *", "*/10 * * * *"], id="beside a schedule"),
        pytest.param("", ["*/10 * * * *"], id="alone"),
    ],
)
def test_on_airflow_3_2_a_watched_queue_is_looked_at_every_ten_minutes(
    monkeypatch: pytest.MonkeyPatch, schedule: str, times: list[str]
) -> None:
    for option, value in (RIGHT | {"watch_queue": "true", "schedule": schedule}).items():
        monkeypatch.setenv(environment_name(option), value)
    monkeypatch.setattr(dags_schedule, "LISTS_NAMES", False)
    timetable: Any = DagSerialization.from_dict(DagSerialization.to_dict(parse())).timetable
    assert type(timetable).__name__ == "MultipleCronTriggerTimetable"
    assert timetable.serialize()["expressions"] == times


@pytest.mark.parametrize("value", ["", "   ", "nonsense", "-1", "1e999", "{{ 1 / 0 }}", "%(other)s", "é\n"])
def test_no_value_of_any_option_breaks_the_bag(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for option in Settings.model_fields:
        monkeypatch.setenv(environment_name(option), value)
    assert len(parse().tasks) == 7


def test_the_trigger_form_has_the_options_for_one_run() -> None:
    params = parse().params
    assert set(params) == PARAMS == set(run_options())
    for name in PARAMS:
        param = params.get_param(name)
        assert param.value is None, f"{name}: an untouched form must mean: as configured"
        assert param.description


def test_the_trigger_form_shows_the_configured_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def description() -> str:
        return parse().params.get_param("min_confidence").description or ""

    assert description().endswith("Leave empty to use the configured value (70).")
    monkeypatch.setenv(environment_name("min_confidence"), "82.5")
    assert description().endswith("Leave empty to use the configured value (82.5).")


@pytest.mark.parametrize("param", sorted(PARAMS))
def test_an_empty_param_is_as_configured(param: str) -> None:
    assert validate(param, None) is None


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("min_confidence", 0),
        ("min_confidence", 100),
        ("min_confidence", 99.5),
        ("min_confidence", "model"),
        ("wait_minutes", 0),
        ("wait_minutes", 720),
        ("start_at_images", 1),
        ("start_at_images", 1_000_000),
        ("start_at_minutes", 0),
        ("start_at_minutes", 10_080),
        ("max_model_minutes", 0.5),
        ("max_model_minutes", 720),
        ("target_minutes", 0.5),
        ("target_minutes", 720),
        ("min_inference_units", 1),
        ("max_inference_units", 100),
        ("images_per_second_per_unit", 0.1),
        ("max_tasks", 100),
        ("price_per_unit_hour", 0),
        ("max_receives", 1),
    ],
)
def test_a_param_within_its_limits_is_accepted_by_the_form_and_the_run(param: str, value: Any) -> None:
    assert validate(param, value) == value
    assert getattr(settings_with(param, value), param) == value


@pytest.mark.parametrize("text", ["85", "0", "100", "99.5", "0.7"])
def test_a_confidence_that_is_typed_into_the_forms_text_field_is_a_number_for_the_run(text: str) -> None:
    assert validate("min_confidence", text) == text
    assert settings_with("min_confidence", text).least_confidence == float(text)


def test_the_form_offers_the_models_own_thresholds() -> None:
    param = parse().params.get_param("min_confidence")
    assert param.schema["examples"] == ["model"]
    assert next(kind for kind in param.schema["type"] if kind != "null") == "string", "a number field takes no word"


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("min_confidence", 101),
        ("min_confidence", -1),
        ("min_confidence", "high"),
        ("min_confidence", "101"),
        ("min_confidence", "1e3"),
        ("min_confidence", "the model"),
        ("min_confidence", True),
        ("min_confidence", [70]),
        ("wait_minutes", -1),
        ("wait_minutes", 721),
        ("start_at_images", 0),
        ("start_at_images", 2.5),
        ("start_at_images", "many"),
        ("start_at_minutes", -1),
        ("start_at_minutes", 10_081),
        ("max_model_minutes", 0),
        ("max_model_minutes", 721),
        ("target_minutes", 0),
        ("target_minutes", 721),
        ("min_inference_units", 0),
        ("min_inference_units", 1.5),
        ("max_inference_units", 101),
        ("images_per_second_per_unit", 0),
        ("images_per_second_per_unit", 0.05),
        ("target_minutes", 1e-300),
        ("max_model_minutes", 1e-300),
        ("images_per_second_per_unit", 1001),
        ("max_tasks", 0),
        ("max_tasks", 101),
        ("price_per_unit_hour", -0.01),
        ("max_receives", 0),
        ("max_receives", 1001),
    ],
)
def test_a_param_that_the_run_would_refuse_is_refused_by_the_form(param: str, value: Any) -> None:
    with pytest.raises(Exception, match="Invalid input for param"):
        validate(param, value)


def settings_with(param: str, value: Any) -> Settings:
    """The run's settings with a param."""
    required = {
        "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/images",
        "source_bucket": "parts-source",
        "final_bucket": "parts-final",
        "model_arn": "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/1/1690000000000",
        "max_inference_units": 100,
    }
    return Settings.model_validate(required | {param: value})


@pytest.mark.parametrize(
    ("bucket", "uris"),
    [("parts-out", ["s3://parts-out/runs"]), (None, []), ("Not A Bucket", [])],
    ids=["set", "not set", "wrong"],
)
def test_the_runs_are_an_asset_of_the_final_bucket(
    monkeypatch: pytest.MonkeyPatch, bucket: str | None, uris: list[str]
) -> None:
    if bucket:
        monkeypatch.setenv(environment_name("final_bucket"), bucket)
    assert [asset.uri for asset in parse().get_task("write_report").outlets] == uris


def test_the_example_is_scheduled_by_that_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment_name("final_bucket"), "parts-out")
    bag = DagBag(PROJECT / "examples")
    assert bag.import_errors == {}
    stored = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["label_table"]))
    assert [asset.uri for _, asset in stored.timetable.asset_condition.iter_assets()] == ["s3://parts-out/runs"]


CONTROL = {"start_model", "wait_for_model", "stop_model"}


@pytest.mark.parametrize(
    ("pool", "queue", "control"),
    [
        pytest.param(None, None, None, id="not set"),
        pytest.param("gpu parts", "parts", "control", id="set"),
        pytest.param("a, b", "a,b", "a b", id="wrong"),
    ],
)
def test_the_options_place_the_analysis_and_all_that_stops_a_model(
    monkeypatch: pytest.MonkeyPatch, pool: str | None, queue: str | None, control: str | None
) -> None:
    for option, value in (("analysis_pool", pool), ("analysis_queue", queue), ("control_queue", control)):
        if value:
            monkeypatch.setenv(environment_name(option), value)
    is_right = queue == "parts"
    dag, usual = parse(), BaseOperator(task_id="usual")
    placed = {task.task_id: (task.pool, task.queue) for task in dag.tasks}
    expected = dict.fromkeys(placed, (usual.pool, usual.queue))
    if is_right:
        expected |= {"analyse_images": ("gpu parts", "parts"), **dict.fromkeys(CONTROL, (usual.pool, "control"))}
    assert placed == expected
    (watchdog,) = DagBag(PROJECT / "dags").dags["label_detection_watchdog"].tasks
    assert watchdog.queue == ("control" if is_right else usual.queue)
