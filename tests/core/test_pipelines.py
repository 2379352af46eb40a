"""Several pipelines: each one's options, what two may not share, and the errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.pipelines import read
from label_detection_core.config.settings import Settings, SettingsError, environment_name

VARIABLE = environment_name("pipelines")


def options(number: int, **more: Any) -> dict[str, Any]:
    """The options that a pipeline needs, all its own."""
    return {
        "queue_url": f"https://sqs.eu-west-1.amazonaws.com/123456789012/queue-{number}",
        "source_bucket": f"source-{number}",
        "final_bucket": f"final-{number}",
        "model_arn": f"arn:aws:rekognition:eu-west-1:123456789012:project/parts/version/{number}/1690000000000",
    } | more


def named(section: dict[str, str] | None = None, **pipelines: Any) -> dict[str, Pipeline]:
    """Pipelines by name."""
    found = read(json.dumps(pipelines), [Path("/nowhere")], (section or {}).get)
    return {str(pipeline.name): pipeline for pipeline in found}


def problems(pipeline: Pipeline, **params: Any) -> list[str]:
    """The error lines of its first task; empty if it runs."""
    try:
        pipeline.settings(params)
    except SettingsError as error:
        return error.problems
    return []


@pytest.mark.parametrize("value", [None, "", "  \n"], ids=["not set", "empty", "blank"])
def test_without_the_option_there_is_one_pipeline(value: str | None) -> None:
    (only,) = read(value, [Path("/nowhere")], options(1, min_confidence="80").get)
    assert (only.name, only.dag_id, only.backfill_dag_id) == (None, "label_detection", "label_detection_backfill")
    assert only.settings() == Settings(**options(1, min_confidence=80))


def test_each_pipeline_has_dags_of_its_name_and_its_options_override_the_sections() -> None:
    section = {"min_confidence": "50", "max_tasks": "2", "schedule": "@daily"}
    leaves, parts = named(section, leaves=options(1, schedule="@hourly", max_tasks=3), parts=options(2)).values()
    assert (leaves.dag_id, leaves.backfill_dag_id) == ("label_detection__leaves", "label_detection_backfill__leaves")
    assert leaves.settings() == Settings(**options(1, min_confidence=50, max_tasks=3, schedule="@hourly"))
    assert parts.settings() == Settings(**options(2, min_confidence=50, max_tasks=2, schedule="@daily"))
    assert (leaves.schedule(), parts.schedule()) == ("@hourly", "@daily")


def test_a_runs_params_win_over_a_pipelines_options() -> None:
    (leaves,) = named(leaves=options(1, min_confidence=80)).values()
    assert leaves.settings({"min_confidence": 95, "max_tasks": None}).min_confidence == 95


@pytest.mark.parametrize(
    ("option", "value", "is_set_to"),
    [
        pytest.param("min_confidence", 80, 80, id="a number"),
        pytest.param("min_confidence", 99.5, 99.5, id="half a number"),
        pytest.param("min_confidence", "model", "model", id="a word for a number"),
        pytest.param("class_names", {"0": "ok", "1": "scratched"}, ("ok", "scratched"), id="an object of names"),
        pytest.param("min_confidence", "80", 80, id="a number as a text"),
        pytest.param("schedule", None, "", id="null as a schedule: manual runs only"),
        pytest.param("schedule", "", "", id="an empty schedule: manual runs only"),
        pytest.param("max_tasks", None, 4, id="null is the option's own default and not the section's"),
        pytest.param("max_tasks", "", 4, id="so is an empty text"),
        pytest.param("aws_conn_id", True, "true", id="true is a text where one is wanted"),
        pytest.param("aws_conn_id", " mine ", "mine", id="blanks around"),
    ],
)
def test_a_value_may_have_a_json_type(option: str, value: Any, is_set_to: Any) -> None:
    section = {"max_tasks": "9", "schedule": "@daily"}
    (leaves,) = named(section, leaves=options(1, **{option: value})).values()
    assert getattr(leaves.settings(), option) == is_set_to


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param({"min_confidence": True}, "min_confidence is 'true'", id="true for a number"),
        pytest.param({"min_confidence": 101}, "min_confidence is '101'", id="a number that is too large"),
        pytest.param({"min_confidence": [70]}, "min_confidence is […]: ", id="a list for a number"),
        pytest.param({"queue_url": {"a": "secret"}}, "queue_url is {…}: ", id="an object for a text"),
        pytest.param({"schedule": "every day"}, "schedule is 'every day'", id="a schedule that is not cron"),
        pytest.param({"schedule": ["@hourly"]}, "schedule is […]: ", id="a list of schedules"),
        pytest.param({"source_bucket": "final-1"}, "final_bucket is also the source bucket", id="one bucket for both"),
    ],
)
def test_the_error_of_a_wrong_value_names_the_pipeline_and_the_place(more: dict[str, Any], says: str) -> None:
    leaves, parts = named(leaves=options(1, **more), parts=options(2)).values()
    (problem,) = problems(leaves)
    assert problem.startswith(f"pipelines: leaves: {says}")
    if "bucket" not in says:
        assert problem.endswith(f"; set it in {VARIABLE}")
    assert problems(parts) == []


def test_the_error_of_a_wrong_value_of_the_section_names_its_variable() -> None:
    (leaves,) = named({"max_tasks": "many"}, leaves=options(1)).values()
    (problem,) = problems(leaves)
    assert problem.startswith("pipelines: leaves: max_tasks is 'many': ")
    assert problem.endswith(f"; set {environment_name('max_tasks')}, or the pipeline's own in {VARIABLE}")


def test_a_wrong_param_is_said_to_be_the_runs() -> None:
    (leaves,) = named(leaves=options(1)).values()
    (problem,) = problems(leaves, max_tasks=0)
    assert problem.endswith("; set the run's param max_tasks")


def test_a_wrong_schedule_is_the_default_one_for_the_dag() -> None:
    leaves, parts = named(leaves=options(1, schedule="no"), parts=options(2, schedule=[1])).values()
    assert (leaves.schedule(), parts.schedule()) == ("0 */2 * * *", "0 */2 * * *")


@pytest.mark.parametrize("empty", ["not there", None, ""])
def test_the_error_of_a_missing_option_names_both_places_for_it(empty: str | None) -> None:
    given = options(1) | {"queue_url": empty}
    if empty == "not there":
        del given["queue_url"]
    (problem,) = problems(named(leaves=given)["leaves"])
    assert problem == (
        f"pipelines: leaves: queue_url is missing: set it in {VARIABLE}, or {environment_name('queue_url')} for all "
        "(The URL of the SQS queue that receives the events of the source bucket)"
    )


def test_every_problem_has_a_line_of_its_own() -> None:
    lines = problems(named(leaves={"queue_ulr": "x", "max_tasks": 0})["leaves"])
    assert len(lines) == 6
    assert all(line.startswith("pipelines: leaves: ") and "\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        pytest.param("queue_ulr", "'queue_ulr' is not an option: did you mean queue_url?", id="a typing error"),
        pytest.param("colour", "'colour' is not an option: fix or remove it", id="no similar option"),
        pytest.param("pipelines", "'pipelines' is not an option", id="pipelines within one"),
        pytest.param("Schedule", "did you mean schedule?", id="in other case"),
    ],
)
def test_an_unknown_option_is_named_but_not_its_value(option: str, says: str) -> None:
    (problem,) = problems(named(leaves=options(1, **{option: "secret"}))["leaves"])
    assert problem.startswith("pipelines: leaves: ")
    assert says in problem
    assert VARIABLE in problem
    assert "secret" not in problem


@pytest.mark.parametrize("value", [None, 5, "text", [], True], ids=str)
def test_a_pipeline_that_is_no_object_has_its_own_error(value: Any) -> None:
    pipelines = named(options(1) | {}, leaves=value, parts=options(2))
    (problem,) = problems(pipelines["leaves"])
    assert problem == f"pipelines: leaves: the value must be an object of options: fix it in {VARIABLE}"
    assert problems(pipelines["parts"]) == []


def test_a_pipeline_without_own_options_has_the_sections() -> None:
    assert named(options(1), leaves={})["leaves"].settings() == Settings(**options(1))


@pytest.mark.parametrize("name", ["a", "A-1.b_c", "2026", "x" * 100, "..", "-"])
def test_a_name_may_have_the_characters_of_a_dag_id(name: str) -> None:
    (pipeline,) = named(**{name: options(1)}).values()
    assert pipeline.dag_id == f"label_detection__{name}"
    assert problems(pipeline) == []


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        pytest.param("", "unnamed", id="empty"),
        pytest.param("two words", "two_words", id="a blank"),
        pytest.param("Blätter", "Bl_tter", id="a letter that is not of A-Z"),
        pytest.param("a/b", "a_b", id="a slash"),
        pytest.param("a\n", "a_", id="a line's end"),
        pytest.param("x" * 101, "x" * 100, id="too long"),
    ],
)
def test_a_wrong_name_is_shown_by_a_dag_with_a_clean_one_and_the_others_run(name: str, clean: str) -> None:
    wrong, right = named(**{name: options(1), "right": options(2)}).values()
    assert wrong.dag_id == f"label_detection__{clean}"
    (problem,) = problems(wrong)
    assert "a name must be 1 to 100 characters" in problem
    assert VARIABLE in problem
    assert problems(right) == []


def test_a_wrong_name_never_replaces_a_right_one() -> None:
    names = ["a b", "a_b", "a/b", "a_b-2", "x" * 101, "x" * 102]
    pipelines = read(json.dumps({name: options(n) for n, name in enumerate(names)}), [Path("/")], lambda _: None)
    assert [pipeline.name for pipeline in pipelines][:4] == ["a_b-3", "a_b", "a_b-4", "a_b-2"]
    assert len({pipeline.dag_id for pipeline in pipelines}) == len(names)
    assert all(len(str(pipeline.name)) <= 100 for pipeline in pipelines)
    assert [bool(problems(pipeline)) for pipeline in pipelines] == [True, False, True, False, True, True]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("model_arn", "each pipeline would stop the model while the other uses it"),
        ("queue_url", "each pipeline would take pictures of the other"),
        ("final_bucket", "the reports of both would have the same keys"),
    ],
)
def test_of_two_pipelines_on_one_resource_the_second_is_refused_and_the_first_runs(option: str, says: str) -> None:
    same = {option: options(1)[option]}
    pipelines = named(first=options(1), other=options(2), second=options(3, **same), third=options(4, **same))
    assert (problems(pipelines["first"]), problems(pipelines["other"])) == ([], [])
    for name in ("second", "third"):
        assert problems(pipelines[name]) == [f"pipelines: {name}: {option} is also used by first: {says}; set another"]


def test_two_pipelines_on_the_sections_model_are_refused_too() -> None:
    own = [{name: value for name, value in options(n).items() if name != "model_arn"} for n in (1, 2)]
    first, second = named({"model_arn": options(1)["model_arn"]}, first=own[0], second=own[1]).values()
    assert problems(first) == []
    assert "model_arn is also used by first" in problems(second)[0]


def test_the_first_pipeline_keeps_the_resource_even_if_it_has_another_error() -> None:
    pipelines = named(first=options(1, max_tasks=0), second=options(2, queue_url=options(1)["queue_url"]))
    assert "queue_url is also used by first" in problems(pipelines["second"])[0], "its images would be labelled wrongly"


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.eu-west-1.amazonaws.com/123456789012/queue-1/",
        "http://SQS.eu-west-1.amazonaws.com:443/123456789012/queue-1",
        "https://eu-west-1.queue.amazonaws.com/123456789012/queue-1",
        "https://sqs-fips.eu-west-1.amazonaws.com/123456789012/queue-1",
        "https://sqs.eu-west-1.api.aws/123456789012/queue-1",
        "https://sqs-fips.eu-west-1.api.aws/123456789012/queue-1",
        "https://vpce-0a1b-xyz.sqs.eu-west-1.vpce.amazonaws.com/123456789012/queue-1",
        "https://vpce-0a1b-xyz-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com/123456789012/queue-1",
        "https://sqs.vpc.example.com/123456789012/queue-1",
        "http://127.0.0.1:4566/queue/eu-west-1/123456789012/queue-1",
        "http://[::1/123456789012/queue-1",
        "  https://sqs.eu-west-1.amazonaws.com/123456789012/queue-1 ",
    ],
)
def test_a_queue_is_recognised_in_each_form_of_its_url(url: str) -> None:
    pipelines = named(first=options(1), second=options(2, queue_url=url))
    assert "queue_url is also used by first" in problems(pipelines["second"])[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.us-east-1.amazonaws.com/123456789012/queue-1",
        "https://sqs.eu-west-1.amazonaws.com/210987654321/queue-1",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/Queue-1",
        "https://vpce-0a1b-xyz.sqs.us-east-1.vpce.amazonaws.com/123456789012/queue-1",
        "https://queue.amazonaws.com/123456789012/queue-1",
        "https://cn-north-1.queue.amazonaws.com.cn/123456789012/queue-1",
        "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/queue-1",
    ],
    ids=[
        "another Region",
        "another account",
        "another name",
        "a VPC endpoint in another Region",
        "the oldest host, of us-east-1",
        "the old host of another partition",
        "another partition",
    ],
)
def test_different_queues_are_not_confused(url: str) -> None:
    assert problems(named(first=options(1), second=options(2, queue_url=url))["second"]) == []


@pytest.mark.parametrize("order", [("in", "out"), ("out", "in")], ids="-".join)
def test_a_final_bucket_that_is_another_pipelines_source_bucket_is_refused_in_any_order(order: tuple[str, str]) -> None:
    both = {"in": options(1), "out": options(2, final_bucket=options(1)["source_bucket"])}
    pipelines = named(**{name: both[name] for name in order})
    assert problems(pipelines["in"]) == []
    assert problems(pipelines["out"]) == [
        "pipelines: out: final_bucket is the source bucket of in: "
        "S3 would announce each copy as a new picture; set another bucket"
    ]


def test_one_source_bucket_with_different_queues_is_allowed() -> None:
    both = named(first=options(1), second=options(2, source_bucket=options(1)["source_bucket"]))
    assert [problems(pipeline) for pipeline in both.values()] == [[], []]


def test_missing_or_wrong_values_do_not_count_as_shared() -> None:
    wrong = {"queue_url": "wrong", "final_bucket": None}
    for pipeline in named(first=options(1, **wrong), second=options(2, **wrong)).values():
        assert len(problems(pipeline)) == 2


@pytest.mark.parametrize("value", ["{", "missing.yaml", "{}"], ids=["broken", "no file", "empty"])
def test_an_unreadable_option_is_one_pipeline_with_one_error(value: str) -> None:
    (only,) = read(value, [Path("/nowhere")], options(1).get)
    assert only.dag_id == "label_detection"
    (problem,) = problems(only)
    assert problem.startswith("[label_detection] pipelines: ")
    assert VARIABLE in problem


def test_right_values_are_kept_beside_wrong_ones() -> None:
    leaves = named({"aws_conn_id": "theirs"}, leaves=options(1, max_tasks=0, min_confidence=80))["leaves"]
    assert leaves.right() == options(1) | {"min_confidence": "80", "aws_conn_id": "theirs"}
