"""Options with wrong values: what the errors tell, and that they show no secret."""

from __future__ import annotations

import re
from typing import Any

import pytest

from label_detection_core.config.settings import (
    Settings,
    SettingsError,
    environment_name,
    load,
)
from tests.core.test_settings import RIGHT


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
        pytest.param("schedule", "61 * * * *", "cron expression", id="minute 61"),
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
        pytest.param("max_tasks", "2.5", "integer", id="half a task"),
        pytest.param("start_at_minutes", "often", "valid number", id="a start at a word"),
        pytest.param("watch_queue", "often", "valid boolean", id="a watcher at a word"),
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
        pytest.param("analysis_pool", "none", "one Airflow pool, or empty", id="a word for no pool"),
        pytest.param("control_queue", "Off", "one Celery queue, or empty", id="a word for no queue"),
        pytest.param("analysis_pool", "p" * 257, "at most 256 letters", id="a pool's name that is too long"),
        pytest.param("analysis_queue", "control,parts", "one Celery queue", id="two queues"),
        pytest.param("control_queue", "the control queue", "one Celery queue", id="a queue's name with blanks"),
        pytest.param("price_per_unit_hour", "inf", "finite", id="infinite price"),
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


#: Option → its lowest and its highest value; None: there is no highest.
LIMITS: dict[str, tuple[float, float | None]] = {
    "wait_minutes": (0, 720),
    "start_at_images": (1, 1_000_000),
    "start_at_minutes": (0, 10_080),
    "min_confidence": (0, 100),
    "max_model_minutes": (0.01, 720),
    "target_minutes": (0.01, 720),
    "min_inference_units": (1, 100),
    "max_inference_units": (1, 100),
    "images_per_second_per_unit": (0.1, 1000),
    "max_tasks": (1, 100),
    "price_per_unit_hour": (0, None),
    "max_receives": (1, 1000),
    "pause_after_failed_runs": (0, 1000),
    "watchdog_grace_minutes": (0, 1440),
}


@pytest.mark.parametrize(("option", "limits"), [pytest.param(*entry, id=entry[0]) for entry in LIMITS.items()])
def test_a_number_is_taken_up_to_its_limits_and_refused_beyond_them(
    option: str, limits: tuple[float, float | None]
) -> None:
    lowest, highest = limits
    refused = {lowest - (0.005 if lowest % 1 else 1): f"greater than or equal to {lowest}"}
    if highest is not None:
        refused[highest + 1] = f"less than or equal to {highest}"
    for limit in (lowest, highest or 1e9):
        assert getattr(load((RIGHT | {"max_inference_units": "100", option: str(limit)}).get), option) == limit
    for value, says in refused.items():
        with pytest.raises(SettingsError) as caught:
            load((RIGHT | {option: str(value)}).get)
        (problem,) = caught.value.problems
        assert f"[label_detection] {option} is " in problem
        assert says in problem


def test_the_table_of_limits_has_every_number() -> None:
    budgets = {"max_cost_per_day", "max_cost_per_month"}  # more than 0, as the tests of the budget show
    numbers = {name for name, field in Settings.model_fields.items() if type(field.default) in {int, float}}
    assert {*LIMITS} == numbers - budgets


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


def test_a_wrong_param_is_said_to_be_the_runs() -> None:
    with pytest.raises(SettingsError, match="set the run's param max_model_minutes"):
        load(RIGHT.get, {"max_model_minutes": -1})


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
