"""The options: valid values, wrong values, and the errors."""

from __future__ import annotations

import re
from typing import Any

import pytest

from label_detection_core.config import settings
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.settings import (
    Settings,
    SettingsError,
    environment_name,
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


@pytest.mark.parametrize("option", RIGHT)
@pytest.mark.parametrize("value", [None, "", "   "], ids=["not set", "empty", "blank"])
def test_a_missing_required_option_is_named_with_its_variable(option: str, value: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        load((RIGHT | {option: value}).get)
    (problem,) = caught.value.problems
    assert problem.startswith(f"[label_detection] {option} is missing: set {environment_name(option)}")


def test_every_problem_has_one_line_of_its_own() -> None:
    wrong = {"min_confidence": "high", "max_tasks": "0", "wait_minutes": "-1", "source_bucket": "s3://parts"}
    with pytest.raises(SettingsError) as caught:
        load(wrong.get)
    lines = str(caught.value).splitlines()
    assert len(lines) == 7
    for option in ("queue_url", "final_bucket", "model_arn", *wrong):
        assert sum(f"[label_detection] {option} " in line and environment_name(option) in line for line in lines) == 1


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        pytest.param("queue_url", "arn:aws:sqs:eu-west-1:123456789012:images", "URL of an SQS queue", id="queue ARN"),
        pytest.param("source_bucket", "Parts", "name of an S3 bucket", id="bucket in upper case"),
        pytest.param("final_bucket", "s3://parts/final", "without s3://", id="bucket as a path"),
        pytest.param(
            "model_arn", "arn:aws:rekognition:eu-west-1:123456789012:project/parts/1", "version/<version>", id="project"
        ),
        pytest.param("model_arn", "arn:aws:s3:::parts", "<version>/<number> (rekognition)", id="another service"),
        pytest.param("schedule", "every day", "cron expression", id="schedule that is not cron"),
        pytest.param("schedule", "0 0 30 2 *", "cron expression", id="30 February"),
        pytest.param("images_per_second_per_unit", "1e-320", "greater than or equal to 0.1", id="a speed of zero"),
        pytest.param("schedule", "61 * * * *", "cron expression", id="minute 61"),
        pytest.param("min_confidence", "101", "less than or equal to 100", id="confidence over 100"),
        pytest.param("min_confidence", "nan", "less than or equal to 100", id="confidence not a number"),
        pytest.param("min_confidence", "high", "a number from 0 to 100, or 'model'", id="confidence as a word"),
        pytest.param("source_bucket", "parts--use1-az4--x-s3", "Express One Zone", id="S3 Express"),
        pytest.param("final_bucket", "parts--use1-az4--x-s3", "Express One Zone", id="S3 Express as the final bucket"),
        pytest.param("source_bucket", "arn:aws:s3:::parts", "not an ARN", id="a bucket's ARN"),
        pytest.param(
            "source_bucket", "arn:aws:s3:eu-west-1:123456789012:accesspoint/in", "not an ARN", id="an access point"
        ),
        pytest.param("source_bucket", "in-x7ab-s3alias", "access point's alias", id="an access point's alias"),
        pytest.param("source_bucket", "in-x7ab--ol-s3", "Object Lambda", id="an Object Lambda access point's alias"),
        pytest.param("final_bucket", "mfzwi23gnjvgw.mrap", "multi-Region", id="a multi-Region access point's alias"),
        pytest.param("final_bucket", "parts--table-s3", "table bucket", id="a table bucket"),
        pytest.param("final_storage_class", "DEEP_ARCHIVE", "needs hours to restore", id="an archive"),
        pytest.param("final_storage_class", "standard_ia", "STANDARD_IA", id="a storage class in lower case"),
        pytest.param("final_storage_class", "COLD", "one of STANDARD", id="an unknown storage class"),
        pytest.param("max_model_minutes", "0", "greater than or equal to 0.01", id="no time for the model"),
        pytest.param("max_model_minutes", "721", "less than or equal to 720", id="model longer than 12 hours"),
        pytest.param("max_tasks", "2.5", "integer", id="half a task"),
        pytest.param("start_at_images", "0", "greater than or equal to 1", id="a start at no message"),
        pytest.param("start_at_minutes", "-1", "greater than or equal to 0", id="a start before the first message"),
        pytest.param("start_at_minutes", "often", "valid number", id="a start at a word"),
        pytest.param("watch_queue", "often", "valid boolean", id="a watcher at a word"),
        pytest.param("pause_after_failed_runs", "-1", "greater than or equal to 0", id="a pause before a failure"),
        pytest.param("pause_after_failed_runs", "never", "valid integer", id="a pause at a word"),
        pytest.param(
            "slack_conn_id", "https://hooks.slack.com/T0/B0", "id of an Airflow connection", id="address of Slack"
        ),
        pytest.param("webhook_conn_id", "my hook", "id of an Airflow connection", id="blank in a connection id"),
        pytest.param("smtp_conn_id", "smtp://user:hush@host", "id of an Airflow connection", id="mail server"),
        pytest.param("mail_to", "ops", "mail addresses with commas", id="a name for a mail address"),
        pytest.param("mail_to", "ops@example.com; lead@example.com", "mail addresses with commas", id="semicolons"),
        pytest.param("mail_to", "a@example.com\nBcc: b@example.com", "mail addresses with commas", id="a mail header"),
        pytest.param("digest_at", "8", "a time of day from 00:00 to 23:59", id="an hour"),
        pytest.param("digest_at", "24:00", "a time of day from 00:00 to 23:59", id="the 25th hour"),
        pytest.param("digest_at", "8:00", "a time of day from 00:00 to 23:59", id="one digit"),
        pytest.param("analysis_pool", "gpu, parts", "one Airflow pool", id="two pools"),
        pytest.param("analysis_pool", "p" * 257, "at most 256 letters", id="a pool's name that is too long"),
        pytest.param("analysis_queue", "control,parts", "one Celery queue", id="two queues"),
        pytest.param("control_queue", "the control queue", "one Celery queue", id="a queue's name with blanks"),
        pytest.param("price_per_unit_hour", "inf", "finite", id="infinite price"),
        pytest.param("watchdog_grace_minutes", "-1", "greater than or equal to 0", id="grace before the deadline"),
        pytest.param("sns_topic_arn", "alarms", "standard SNS topic", id="topic's name"),
        pytest.param(
            "sns_topic_arn", "arn:aws:sns:eu-west-1:123456789012:alarms.fifo", "standard SNS topic", id="FIFO topic"
        ),
        pytest.param("dead_man_switch_role_arn", "arn:aws:iam::123456789012:user/me", "IAM role", id="a user"),
    ],
)
def test_the_error_of_a_wrong_value_has_what_it_must_be(option: str, value: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load((RIGHT | {option: value}).get)
    (problem,) = caught.value.problems
    assert f"[label_detection] {option} is " in problem
    assert says in problem
    assert environment_name(option) in problem


@pytest.mark.parametrize("conn_id", ["team_a_production_label_detection_aws_eu", "a" * 40, "aws/prod", "aws_default"])
def test_a_possible_connection_id_is_accepted(conn_id: str) -> None:
    assert load((RIGHT | {"aws_conn_id": conn_id}).get).aws_conn_id == conn_id


@pytest.mark.parametrize(
    ("option", "value", "seen"),
    [
        pytest.param("max_tasks", "many", "'many'", id="a word"),
        pytest.param("max_tasks", "x" * 40, "wrong", id="a long text"),
        pytest.param("max_tasks", 0, "0", id="a number"),
        pytest.param("source_bucket", "My_Bucket", "wrong", id="what should be a bucket"),
        pytest.param("source_bucket", "s3://parts/in", "'s3://parts…'", id="a path in S3"),
        pytest.param("schedule", "61 * * * *", "'61 * * * *'", id="a cron expression"),
        pytest.param("timezone", "Middle/Earth", "'Middle/Earth'", id="a time zone"),
        pytest.param("model_arn", "arn:aws:s3:::parts", "'arn:aws:s3:::parts'", id="an ARN"),
        pytest.param("queue_url", "https://host/1/q?a=b", "'https://host…'", id="a URL"),
        pytest.param("sns_topic_arn", "alarms", "wrong", id="what should be an ARN"),
    ],
)
def test_a_wrong_value_is_shown_if_it_can_be_no_secret(option: str, value: Any, seen: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"[label_detection] {option} is {seen}: ")):
        load((RIGHT | {option: value}).get)


#: In each value, the secret is `hu5h`; no error may show it.
_SECRETS = {
    "a URL with a login": "https://user:hu5h@host/123456789012/images",
    "a signed URL": "https://host/123456789012/images?X-Amz-Signature=hu5h",
    "a URL with a key": "https://host/123456789012/images?code=hu5h",
    "a URL with a fragment": "https://host/123456789012/images#token=hu5h",
    "a web hook": "https://hooks.example.com/T0/hu5h",
    "a connection": "aws://key:hu5h@",
    "a connection with its Region": "aws://AKIAIOSFODNN7EXAMPLE:hu5h@/?region_name=eu-west-1",
    "a connection as JSON": '{"conn_type": "aws", "password": "hu5h"}',
    "an access key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLhu5h",
    "an access key of letters and digits": "wJalrXUtnFEMIaK7MDENGabPxRfiCYEXAMPLhu5h",
    "an access key with a plus": "wJalrXUtnFEMI+K7MDENG/bPxRfiCYEXAMPLhu5h",
    "an access key behind its id": "AKIAIOSFODNN7EXAMPLE:hu5h",
    "what begins as an ARN does": "arn:user:hu5h@host",
    "a path that begins as one in S3 does": "s3://AKIAIOSFODNN7EXAMPLE/hu5h",
    "a password": "Hu5h-hu5h-hu5h",
    "a short password": "hu5h!",
    "a token": "ghp_hu5habcdefABCDEFabcdefABCDEF0123",
}
#: Valid values, for which no error is raised: a secret looks like an id or like a queue's URL.
_RIGHT_ALL_THE_SAME = {
    ("queue_url", "a web hook"),
    *(
        (option, what)
        for option in ("aws_conn_id", "slack_conn_id", "smtp_conn_id", "webhook_conn_id")
        for what in ("a password", "a short password", "a token")
    ),
    *(
        (option, what)
        for option in ("analysis_pool", "analysis_queue", "control_queue")
        for what in ("a password", "a token")
    ),
}


@pytest.mark.parametrize(
    ("option", "secret"),
    [
        pytest.param(option, secret, id=f"{option}: {what}")
        for option in Settings.model_fields
        for what, secret in _SECRETS.items()
        if option != "class_names" and (option, what) not in _RIGHT_ALL_THE_SAME  # any text can be a class name
    ],
)
def test_no_error_shows_a_secret_in_the_wrong_place(option: str, secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load((RIGHT | {option: secret}).get)
    assert f"[label_detection] {option} is " in str(caught.value)
    assert "hu5h" not in str(caught.value).lower()


@pytest.mark.parametrize(
    "value", ['{"hu5h": "leaf"}', "['hu5h", ["leaf", {"hu5h": 1}]], ids=["a key", "no list", "an entry"]
)
def test_no_error_about_class_names_shows_one(value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        load((RIGHT | {"class_names": value}).get)
    assert "hu5h" not in str(caught.value)


def test_the_final_bucket_must_not_be_the_source_bucket() -> None:
    with pytest.raises(SettingsError, match="final_bucket is also the source bucket"):
        load((RIGHT | {"final_bucket": RIGHT["source_bucket"]}).get)


def test_the_most_units_must_not_be_less_than_the_fewest() -> None:
    with pytest.raises(SettingsError, match=r"max_inference_units is 1, less than min_inference_units \(3\)"):
        load((RIGHT | {"min_inference_units": "3"}).get)


def test_a_runs_params_win_over_the_configuration() -> None:
    loaded = load((RIGHT | {"min_confidence": "50", "max_tasks": "2"}).get, {"min_confidence": 95, "max_tasks": None})
    assert (loaded.min_confidence, loaded.max_tasks) == (95, 2)


def test_a_wrong_param_is_said_to_be_the_runs() -> None:
    with pytest.raises(SettingsError, match="set the run's param max_model_minutes"):
        load(RIGHT.get, {"max_model_minutes": -1})


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
    ("value", "says"),
    [
        pytest.param('["leaf, dry"', "names with commas between them, or JSON", id="broken JSON"),
        pytest.param("leaf,,weed", "at least 1 character", id="no name"),
        pytest.param("[1]", "valid string", id="a number"),
        pytest.param('{"0": 7}', "valid string", id="a number for a name"),
        pytest.param('{"0": "ok", "2": "scratched"}', "a name for class 2 but none for class 1", id="a gap"),
        pytest.param('{"1": "ok", "2": "scratched"}', "none for class 0", id="from 1 on"),
        pytest.param('{"ok": 0, "scratched": 1}', "has a key that is not a class number", id="label2id"),
        pytest.param('{"0": "ok", "0": "fine"}', "names a class twice", id="a number twice"),
        pytest.param('{"0": "ok", "LABEL_0": "fine"}', "names class 0 twice", id="a number in two forms"),
        pytest.param("{0: 'ok'", "names with commas between them, or JSON", id="broken Python"),
        pytest.param("[" * 5000, "names with commas between them, or JSON", id="nested too deeply"),
    ],
)
def test_invalid_class_names_are_an_error(value: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        load((RIGHT | {"class_names": value}).get)
    assert environment_name("class_names") in str(caught.value)


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
