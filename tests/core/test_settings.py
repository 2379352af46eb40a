"""The options: valid values, and their defaults."""

from __future__ import annotations

from typing import Any

import pytest

from label_detection_core.config import settings
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.settings import (
    Settings,
    SettingsError,
    load,
    load_option,
    options_table,
)

RIGHT = {
    "queue_url": "https://sqs.eu-west-1.amazonaws.com/123456789012/images",
    "source_bucket": "parts-source",
    "final_bucket": "parts-final",
    "model_arn": "arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/parts.2026/1690000000000",
}


def test_required_options_alone_are_enough() -> None:
    loaded = load(RIGHT.get)
    assert loaded.min_confidence == 70
    assert loaded.max_model_minutes == 60
    assert loaded.schedule == "0 */2 * * *"
    assert loaded.aws_conn_id == "aws_default"


def test_notices_and_the_switch_are_off_until_they_are_set() -> None:
    loaded = load(RIGHT.get)
    assert (loaded.sns_topic_arn, loaded.dead_man_switch_role_arn) == (None, None)
    on = {
        "sns_topic_arn": "arn:aws-us-gov:sns:us-gov-west-1:123456789012:label_detection-alarms",
        "dead_man_switch_role_arn": "arn:aws:iam::123456789012:role/service-role/dead-man+switch@1",
    }
    loaded = load((RIGHT | on).get)
    assert {name: getattr(loaded, name) for name in on} == on


def test_the_region_is_the_models() -> None:
    assert load(RIGHT.get).region == "eu-west-1"


@pytest.mark.parametrize("conn_id", ["team_a_production_label_detection_aws_eu", "a" * 40, "aws/prod", "aws_default"])
def test_a_possible_connection_id_is_accepted(conn_id: str) -> None:
    assert load((RIGHT | {"aws_conn_id": conn_id}).get).aws_conn_id == conn_id


def test_a_runs_params_win_over_the_configuration() -> None:
    loaded = load((RIGHT | {"min_confidence": "50", "max_tasks": "2"}).get, {"min_confidence": 95, "max_tasks": None})
    assert (loaded.min_confidence, loaded.max_tasks) == (95, 2)


def test_a_run_cannot_change_where_images_come_from_and_go() -> None:
    assert load(RIGHT.get, {"source_bucket": "another"}).source_bucket == RIGHT["source_bucket"]


@pytest.mark.parametrize(
    ("value", "least"),
    [("model", None), (" Model ", None), ("82.5", 82.5), ("0", 0.0), (100, 100.0)],
    ids=["the model's own", "in capitals", "a number as a text", "everything", "a number"],
)
def test_the_least_confidence_is_a_number_or_the_models_own(value: Any, least: float | None) -> None:
    options: dict[str, Any] = RIGHT | {"min_confidence": value}
    loaded = load(options.get)
    assert loaded.least_confidence == least
    assert Settings.model_validate(loaded.model_dump(mode="json")) == loaded
    assert load(RIGHT.get, {"min_confidence": value}) == loaded


@pytest.mark.parametrize(
    ("value", "doubts"),
    [
        ("0.7", ["min_confidence is 0.7: the scale is 0-100, so 0.7 keeps nearly all labels; set 70 if you meant tha"]),
        (
            "1",
            ["min_confidence is 1: the scale is 0-100, so 1 keeps nearly all labels; set 100 if you meant that, or "],
        ),
        ("0", []),
        ("1.5", []),
        ("70", []),
        ("model", []),
    ],
    ids=["a ratio", "all of a ratio", "everything", "little", "usual", "the model's own"],
)
def test_a_confidence_that_was_meant_as_a_ratio_is_taken_with_a_doubt(value: str, doubts: list[str]) -> None:
    found = load((RIGHT | {"min_confidence": value}).get).doubts()
    assert [line[: len(doubt)] for line, doubt in zip(found, doubts, strict=True)] == doubts


@pytest.mark.parametrize("value", ["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"])
def test_copies_may_have_any_storage_class_that_can_be_read_at_once(value: str) -> None:
    loaded = load((RIGHT | {"final_storage_class": value}).get)
    assert loaded.final_storage_class == value
    assert Settings.model_validate(loaded.model_dump(mode="json")) == loaded


def test_copies_keep_the_class_of_their_originals_unless_one_is_set() -> None:
    assert load((RIGHT | {"final_storage_class": ""}).get).final_storage_class is None


def test_settings_that_an_older_version_wrote_are_read() -> None:
    stored = load(RIGHT.get).model_dump(mode="json")
    del stored["final_storage_class"]
    assert Settings.model_validate(stored) == load(RIGHT.get)


def test_an_empty_value_of_an_optional_option_is_its_default() -> None:
    assert load((RIGHT | {"max_tasks": "", "aws_conn_id": " "}).get) == load(RIGHT.get)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        pytest.param(None, (), id="none"),
        pytest.param("leaf", ("leaf",), id="one"),
        pytest.param("leaf, weed ,stone", ("leaf", "weed", "stone"), id="with commas"),
        pytest.param('["leaf, dry", "weed"]', ("leaf, dry", "weed"), id="JSON"),
        pytest.param("['leaf', 'weed']", ("leaf", "weed"), id="a list as Python prints it"),
        pytest.param('{"0": "ok", "1": "scratched"}', ("ok", "scratched"), id="id2label"),
        pytest.param('{"1": "scratched", "0": "ok"}', ("ok", "scratched"), id="id2label in another order"),
        pytest.param("{0: 'ok', 1: 'scratched'}", ("ok", "scratched"), id="id2label as Python prints it"),
        pytest.param('{"LABEL_0": "ok", "LABEL_1": "scratched"}', ("ok", "scratched"), id="by Hugging Face's names"),
        pytest.param({"0": "ok", "1": "scratched"}, ("ok", "scratched"), id="id2label as an object"),
        pytest.param({0: "ok", 1: "scratched"}, ("ok", "scratched"), id="id2label with numbers"),
    ],
)
def test_names_of_classes_are_given_with_commas_as_json_or_as_id2label(value: Any, names: tuple[str, ...]) -> None:
    options: dict[str, Any] = RIGHT | {"class_names": value}
    loaded = load(options.get)
    assert loaded.class_names == names
    assert Settings.model_validate(loaded.model_dump(mode="json")) == loaded


@pytest.mark.parametrize(
    ("value", "schedule"),
    [
        pytest.param(None, "0 */2 * * *", id="not set"),
        pytest.param("", None, id="empty: manual runs only"),
        pytest.param("@hourly", "@hourly", id="preset"),
        pytest.param("*/5 * * * *", "*/5 * * * *", id="cron"),
        pytest.param("no", "0 */2 * * *", id="a wrong one: the default, so that a run reports the error"),
    ],
)
def test_the_schedule_never_breaks_the_dag(value: str | None, schedule: str | None) -> None:
    assert (load_option("schedule", {"schedule": value}.get) or None) == schedule


@pytest.mark.parametrize(
    ("schedule", "pause_after", "refused"),
    [("@continuous", "0", True), ("@continuous", "1", False), ("@continuous", None, False), ("@hourly", "0", False)],
)
def test_runs_without_a_pause_between_them_must_end_when_they_fail(
    schedule: str, pause_after: str | None, refused: bool
) -> None:
    values = RIGHT | {"schedule": schedule, "pause_after_failed_runs": pause_after}
    pipeline = Pipeline.of_default_args({}, values.get)
    assert pipeline.schedule() == ("0 */2 * * *" if refused else schedule), "a run must report the error"
    if not refused:
        load(values.get)
        return
    with pytest.raises(SettingsError) as caught:
        load(values.get)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("[label_detection] schedule is @continuous and pause_after_failed_runs is 0: ")
    assert line.endswith("set pause_after_failed_runs to 1 or more, or another schedule")


@pytest.mark.parametrize(
    ("option", "value", "read"),
    [
        pytest.param("mail_to", "ops@example.com,lead@example.com", "ops@example.com,lead@example.com", id="a text"),
        pytest.param("mail_to", ["ops@example.com", "b@example.com"], "ops@example.com, b@example.com", id="a list"),
        pytest.param("digest_at", "08:00", "08:00", id="a time"),
        pytest.param("digest_at", 18 * 60 + 30, "18:30", id="a time that YAML reads as a number"),
        pytest.param("digest_at", "", None, id="empty"),
    ],
)
def test_where_notices_go_can_be_written_as_people_do(option: str, value: Any, read: Any) -> None:
    assert getattr(load((RIGHT | {option: value}).get), option) == read


def test_the_table_has_every_option_once() -> None:
    table = options_table()
    assert [table.count(f"| `{option}` |") for option in Settings.model_fields] == [1] * len(Settings.model_fields)


def test_the_run_time_options_are_those_of_the_trigger_form() -> None:
    assert not {"queue_url", "source_bucket", "final_bucket", "model_arn", "schedule"} & set(settings.run_options())
    assert {"min_confidence", "max_model_minutes", "min_inference_units", "max_tasks"} <= set(settings.run_options())
