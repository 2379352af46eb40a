"""A user's DAG file: a comment, an import and a call of `labels()`, whose arguments are options."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from label_detection import configuration, leases
from label_detection.configuration import read_settings, run_pipeline
from label_detection_core.config import pipelines as pipelines_file
from label_detection_core.config.pipeline import Pipeline
from label_detection_core.config.settings import Settings, environment_name
from label_detection_core.run.plan import Plan
from sandbox.environment import PROJECT
from tests.core.test_pipelines import options
from tests.dags.test_policy import CHAIN, DAG_RULES, DAGS, TASK_RULES, schedule_of

if TYPE_CHECKING:
    from airflow.sdk import DAG


WATCHDOG = "label_detection_watchdog"
Parse = Callable[..., dict[str, "DAG"]]


def write(folder: Path, call: str, name: str = "parts_dag.py") -> Path:
    """A user's DAG file as in the documentation, outside this repository."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"# A DAG file of Airflow's.\nfrom label_detection.dags import labels, watchdog\n{call}\n")
    return path


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    """The DAGs of DAG files with these calls."""

    def parsed(*calls: str) -> dict[str, DAG]:
        for number, call in enumerate(calls):
            write(tmp_path / "dags", call, f"parts{number or ''}_dag.py")
        bag = DagBag(tmp_path / "dags")
        assert bag.import_errors == {}
        return bag.dags

    return parsed


def call(**arguments: Any) -> str:
    return f"labels(**{arguments!r})"


def _fail(*_: object) -> None:
    raise OSError("the value was hush")


def settings(dag: DAG, **params: Any) -> Settings:
    """What a task of the DAG works with."""
    return read_settings({"dag": dag, "params": params})


def says(dag: DAG, **params: Any) -> list[str]:
    """The error lines of the first task of a DAG's run; empty if the task succeeds."""
    try:
        settings(dag, **params)
    except AirflowFailException as error:
        return str(error).splitlines()[1:]
    return []


def test_a_call_without_arguments_makes_the_dags_of_the_section(parse: Parse) -> None:
    assert set(parse("labels()")) == DAGS


def test_arguments_win_over_the_pipelines_file_which_wins_over_the_section(
    parse: Parse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option, value in {"max_tasks": "2", "min_confidence": "20", "wait_minutes": "2"}.items():
        monkeypatch.setenv(environment_name(option), value)
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"leaves": options(1, max_tasks=3, min_confidence=30)}))
    dags = parse(call(pipelines=str(tmp_path / "p.yaml"), max_tasks=4))
    found = settings(dags["label_detection__leaves"])
    assert (found.max_tasks, found.min_confidence, found.wait_minutes) == (4, 30, 2)


@pytest.mark.parametrize("option", sorted(set(options(1)) | {"schedule"}))
def test_an_argument_is_enough_for_an_option(parse: Parse, option: str) -> None:
    given = options(1, schedule="@hourly")
    dag = parse(call(**given))["label_detection"]
    assert getattr(settings(dag), option) == given[option]
    assert schedule_of(dag) == "@hourly"


@pytest.mark.parametrize(
    ("option", "value", "is_set_to"),
    [
        ("min_confidence", 99.5, 99.5),
        ("min_confidence", "model", "model"),
        ("class_names", ["ok", "scratched"], ("ok", "scratched")),
        ("class_names", {0: "ok", 1: "scratched"}, ("ok", "scratched")),
        ("paused_upon_creation", True, True),
        ("schedule", None, ""),
        ("max_tasks", None, 4),
    ],
    ids=str,
)
def test_an_argument_may_have_a_python_type(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, option: str, value: Any, is_set_to: Any
) -> None:
    monkeypatch.setenv(environment_name("max_tasks"), "9")
    assert getattr(settings(parse(call(**options(1, **{option: value})))["label_detection"]), option) == is_set_to


def test_the_pipelines_may_be_an_argument(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environment_name("pipelines"), '{"others": {}}')
    dags = parse(call(pipelines={"leaves": options(1), "parts": options(2, min_confidence=80)}, min_inference_units=1))
    assert settings(dags["label_detection__parts"]).min_confidence == 80
    assert set(parse(call(pipelines=""))) == DAGS


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ({"colour": "red"}, "labels(): 'colour' is not an option: fix or remove it in {place}"),
        ({"queue_ulr": "red"}, "labels(): 'queue_ulr' is not an option: did you mean queue_url? fix it in {place}"),
        ({"max_tasks": 0}, "labels(): max_tasks is '0': input should be greater than or equal to 1; set it in {place}"),
        ({"max_tasks": True}, "labels(): max_tasks is 'true': *; set it in {place}"),
        ({"max_tasks": {1, 2}}, "labels(): max_tasks: an option cannot have a value of type set: *; set it in {place}"),
        ({"schedule": "daily"}, "labels(): schedule is 'daily': must be a cron expression *; set it in {place}"),
        ({"timezone": "Middle/Earth"}, "labels(): timezone is 'Middle/Earth': must be the IANA name *"),
        ({"aws_conn_id": "a b"}, "labels(): aws_conn_id is wrong: must be *; set it in {place}"),
        ({"queue_url": None}, "labels(): queue_url is missing: set it in {place}, or AIRFLOW__* for all *"),
        ({"pipelines": "none.yaml"}, "labels(): pipelines: *none.yaml: there is no such file* ({place})"),
        ({"pipelines": 5}, "labels(): pipelines: the value is neither a JSON object * ({place})"),
        ({"pipelines": {1, 2}}, "labels(): pipelines: an option cannot have a value of type set: * ({place})"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_argument_breaks_no_dag_and_is_one_line_of_the_first_task(
    parse: Parse, argument: dict[str, Any], line: str
) -> None:
    dags = parse(call(**options(1, **argument)))
    assert set(dags) == DAGS
    (said,) = says(dags["label_detection"])
    for part in line.format(place="the call of labels() in parts_dag.py").split("*"):
        assert part in said


@pytest.mark.parametrize("option", ["max_tasks", "queue_url"])
def test_the_dags_page_names_an_argument_of_a_wrong_type(parse: Parse, option: str) -> None:
    page = parse(call(**options(1, **{option: {1, 2}})))["label_detection"].doc_md or ""
    assert f"| `{option}` | **wrong** |" in page


def test_a_runs_param_may_correct_a_wrong_argument(parse: Parse) -> None:
    assert says(parse(call(**options(1, max_tasks=0)))["label_detection"], max_tasks=3) == []


def test_an_error_tells_a_pipelines_file_from_an_argument(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"leaves": options(1, min_confidence=900)}))
    lines = says(parse(call(pipelines=str(tmp_path / "p.yaml"), max_tasks=900))["label_detection__leaves"])
    assert [line.split(" is ")[0] for line in lines] == [
        f"pipelines: leaves: {option}" for option in ("min_confidence", "max_tasks")
    ]
    assert [line.split("; set it in ")[1] for line in lines] == [
        str(tmp_path / "p.yaml"),
        "the call of labels() in parts_dag.py",
    ]


@pytest.mark.parametrize(
    "argument",
    [
        {"queue_url": "https://user:hush@host/1/q"},
        {"queue_url": "https://host/1/q?X-Amz-Signature=hush"},
        {"aws_conn_id": "aws://key:hush@"},
        {"class_names": {"a": "hush"}},
        {"key": "hush"},
        {"model_arn": ["hush"]},
    ],
    ids=str,
)
def test_a_value_that_may_be_a_secret_is_not_in_the_stored_dag(parse: Parse, argument: dict[str, Any]) -> None:
    dags = parse(call(**options(1, **argument)))
    assert [dag_id for dag_id, dag in dags.items() if "hush" in json.dumps(DagSerialization.to_dict(dag))] == []
    assert says(dags["label_detection"]), "the first task must report the wrong value"


@pytest.mark.parametrize("place", ["an argument", "the pipelines", "the section"])
@pytest.mark.parametrize("option", [option for option in Settings.model_fields if option != "class_names"])  # any text
def test_a_secret_in_the_wrong_place_is_on_no_page_in_no_form_and_in_no_error(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, option: str, place: str
) -> None:
    secret = {option: "AKIAIOSFODNN7EXAMPLE:hu5h+"}
    right = {name: value for name, value in options(1).items() if name != option}
    text = call(**right | secret)
    if place == "the pipelines":
        text = call(pipelines={"leaves": right | secret})
    if place == "the section":
        monkeypatch.setenv(environment_name(option), secret[option])
        text = call(**right)
    dags = parse(text)
    assert [dag_id for dag_id, dag in dags.items() if "hu5h" in json.dumps(DagSerialization.to_dict(dag))] == []
    (line,) = next(says(dag) for dag_id, dag in dags.items() if "backfill" not in dag_id and WATCHDOG not in dag_id)
    assert f"{option} is wrong: " in line
    assert "hu5h" not in line


def test_the_stored_dag_has_the_options_of_its_tasks(parse: Parse) -> None:
    """The pages identify a pipeline by the stored DAG: the API server has neither DAG files nor the pipelines file."""
    named = {"leaves": options(1, schedule=None, class_names=["a", "b"], max_tasks=0)}
    for dag in parse(call(prefix="a.", pipelines=named)).values():
        stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
        own = {name: value for name, value in dag.default_args.items() if name.startswith("label_detection")}
        assert own
        assert {name: stored.default_args[name] for name in own} == json.loads(json.dumps(own))


def test_a_mapped_task_has_its_dags_options(parse: Parse) -> None:
    dag = parse(call(**options(1)))["label_detection"]
    mapped: Any = dag.get_task("analyse_images")
    task = mapped.unmap({"images_per_second": 1.0})
    assert run_pipeline({"dag": task.dag}).read("queue_url") == options(1)["queue_url"]


def test_two_teams_have_their_own_dags_and_watchdogs(parse: Parse) -> None:
    teams = {"team_a_": options(1), "team-b.": {"pipelines": {"leaves": options(2)}}}
    dags = parse(*(call(prefix=prefix, **given) for prefix, given in teams.items()))
    assert set(dags) == {f"team_a_{dag_id}" for dag_id in DAGS} | {
        "team-b.label_detection__leaves",
        "team-b.label_detection_backfill__leaves",
        f"team-b.{WATCHDOG}",
    }
    assert settings(dags["team_a_label_detection"]).queue_url == options(1)["queue_url"]
    assert settings(dags["team-b.label_detection__leaves"]).queue_url == options(2)["queue_url"]
    assert [task.task_id for task in dags["team_a_label_detection"].topological_sort()] == CHAIN


def test_the_texts_of_a_prefixs_dags_name_only_their_own_ids(parse: Parse) -> None:
    for dag_id, dag in parse(call(prefix="team_a_", **options(1))).items():
        text = " ".join([dag.doc_md or "", *(task.doc_md or "" for task in dag.tasks)])
        for other in DAGS:
            assert f"`{other}`" not in text, f"{dag_id} names {other}"


def test_dags_with_a_prefix_keep_every_rule(parse: Parse) -> None:
    for dag in parse(call(prefix="team_a_", max_tasks=0, **options(1))).values():
        broken = [rule for rule, (holds, _) in DAG_RULES.items() if not holds(dag)]
        broken += [rule for rule, (holds, _) in TASK_RULES.items() if not all(map(holds, dag.tasks))]
        assert broken == []
        DagSerialization.validate_schema(json.loads(json.dumps(DagSerialization.to_dict(dag))))


@pytest.mark.parametrize(("prefix", "named"), [("", WATCHDOG), ("team_a_", f"team_a_{WATCHDOG}")])
def test_a_lease_names_the_watchdog_with_the_prefix_of_its_dag(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, prefix: str, named: str
) -> None:
    dags = parse(call(prefix=prefix, **options(1)))
    dag = dags[f"{prefix}label_detection"]
    kept: list[Any] = []
    monkeypatch.setattr(leases, "read_lease", lambda _: None)
    monkeypatch.setattr(leases, "put_lease", kept.append)
    plan = Plan(settings=settings(dag), backlog=1, units=1, tasks=1, reason="a test")
    context: Any = {"dag": dag, "ti": SimpleNamespace(dag_id=dag.dag_id, run_id="r")}
    leases.take_lease(context, plan)
    assert [lease.watchdog_dag_id for lease in kept] == [named]
    assert named in dags


@pytest.mark.parametrize("prefix", ["a b", "a/", "é", "x" * 101, 3, None, "a\n"], ids=repr)
def test_a_wrong_prefix_is_one_clear_error_of_the_file(tmp_path: Path, prefix: Any) -> None:
    path = write(tmp_path / "dags", call(prefix=prefix))
    write(tmp_path / "dags", "labels()", "right_dag.py")
    bag = DagBag(tmp_path / "dags")
    assert set(bag.dags) == DAGS
    (error,) = bag.import_errors.values()
    assert list(bag.import_errors) == [str(path)]
    last = error.strip().splitlines()[-1]
    assert last.startswith(f"ValueError: prefix is {prefix!r}: it must be 1 to 100 characters")
    assert last.endswith("fix it in the call of labels() in parts_dag.py")


def test_airflow_accepts_the_ids_of_the_longest_prefix_and_name(parse: Parse) -> None:
    dags = parse(call(prefix="x" * 100, pipelines={"y" * 100: options(1)}))
    assert max(map(len, dags)) <= 250


@pytest.mark.parametrize("prefix", ["", "team_a_"])
def test_a_watchdog_may_have_its_own_file(parse: Parse, prefix: str) -> None:
    calls = f"labels({prefix!r}, with_watchdog=False)", f"watchdog({prefix!r})"
    assert set(parse(calls[0])) == {f"{prefix}{dag_id}" for dag_id in DAGS - {WATCHDOG}}
    assert set(parse(*calls)) == {f"{prefix}{dag_id}" for dag_id in DAGS}


@pytest.mark.parametrize("pipelines", ["'{'", "'none.yaml'", "5", "object()"])
def test_a_watchdog_exists_for_any_pipelines(parse: Parse, pipelines: str) -> None:
    assert set(parse(f"watchdog(pipelines={pipelines}, colour='red')")) == {WATCHDOG}


def test_a_watchdog_exists_even_if_reading_the_pipelines_fails(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines_file, "read", _fail)
    assert set(parse("watchdog()")) == {WATCHDOG}


def test_a_watchdog_in_the_same_file_exists_even_if_reading_the_pipelines_fails(
    parse: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines_file, "read", _fail)
    dags = parse("labels()")
    assert set(dags) == DAGS
    (line,) = says(dags["label_detection"])
    assert line == "[label_detection] pipelines: OSError: see the log of the DAG processor"


def test_an_argument_whose_own_code_fails_removes_no_dag(parse: Parse) -> None:
    dags = parse("labels(sns_topic_arn=type('Odd', (), {'__fspath__': lambda self: 1 / 0})())")
    assert set(dags) == DAGS
    assert "labels(): sns_topic_arn: an option cannot have a value of type Odd" in says(dags["label_detection"])[0]


@pytest.mark.parametrize(
    ("value", "dag_id"),
    [
        pytest.param("none.yaml", "label_detection", id="no such file"),
        pytest.param("[", "label_detection", id="no JSON"),
        pytest.param(5, "label_detection", id="a number"),
        pytest.param({"leaves": 5}, "label_detection__leaves", id="a pipeline without options"),
        pytest.param(None, "label_detection", id="any other error"),
    ],
)
def test_with_unreadable_pipelines_the_arguments_still_hold(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, value: Any, dag_id: str
) -> None:
    """The recipients of notices, and the connection to reach them, are known even for a DAG that cannot run."""
    if value is None:
        monkeypatch.setattr(pipelines_file, "read", _fail)
    monkeypatch.setenv(environment_name("sns_topic_arn"), "arn:aws:sns:eu-west-1:111122223333:another-teams")
    topic = "arn:aws:sns:eu-west-1:111122223333:team-a"
    dags = parse(call(pipelines=value, sns_topic_arn=topic, schedule="@daily"))
    context: Any = {"dag": dags[dag_id]}
    assert configuration.read_option("sns_topic_arn", context) == topic
    assert schedule_of(dags[dag_id]) == "@daily"
    assert says(dags[dag_id])
    assert configuration.read_topics({"dag": dags[WATCHDOG]}) == {topic: "aws_default"}


@pytest.mark.parametrize("topic", ["mine", {"a", "b"}], ids=["no ARN", "no value of JSON"])
def test_a_wrong_topic_of_a_call_is_not_replaced_by_the_sections(
    parse: Parse, monkeypatch: pytest.MonkeyPatch, topic: Any
) -> None:
    monkeypatch.setenv(environment_name("sns_topic_arn"), "arn:aws:sns:eu-west-1:111122223333:another-teams")
    dags = parse(call(**options(1, sns_topic_arn=topic)))
    context: Any = {"dag": dags[WATCHDOG]}
    assert configuration.read_topics(context) == {None: "aws_default"}
    (line,) = says(dags["label_detection"])
    assert line.startswith("labels(): sns_topic_arn")


def test_a_call_with_all_required_options_ignores_the_sections_pipelines(
    parse: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment_name("pipelines"), json.dumps({"leaves": options(2), "parts": options(3)}))
    dags = parse(call(prefix="team_", **options(1)))
    assert set(dags) == {f"team_{dag_id}" for dag_id in DAGS}
    assert says(dags["team_label_detection"]) == []
    assert set(parse(call(prefix="team_", max_tasks=3))) > {"team_label_detection__leaves"}


@pytest.mark.parametrize("right", [{}, {"max_tasks": 7}], ids=["by default", "configured"])
def test_the_form_shows_the_configured_values_and_marks_wrong_ones(parse: Parse, right: dict[str, Any]) -> None:
    dag = parse(call(**options(1, min_confidence="hush", **right)))["label_detection"]
    said = {name: dag.params.get_param(name).description or "" for name in ("min_confidence", "max_tasks")}
    assert "Leave empty to use the configured value (wrong)." in said["min_confidence"]
    assert f"Leave empty to use the configured value ({right.get('max_tasks', 4)})." in said["max_tasks"]


def test_a_watchdog_in_its_own_file_exists_even_if_the_options_cannot_be_read(
    parse: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("the secrets backend is gone")

    monkeypatch.setattr(Pipeline, "default_args", fail)
    assert set(parse("watchdog()")) == {WATCHDOG}


def test_a_failed_watchdog_notifies_the_topics_of_its_prefix(parse: Parse) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:{}".format
    section = {"sns_topic_arn": topic("section")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environment_name("sns_topic_arn"), section["sns_topic_arn"])
        named = {"leaves": options(1, sns_topic_arn=topic("leaves"), aws_conn_id="theirs"), "parts": options(2)}
        dag = parse(call(prefix="a_", pipelines=named), call(prefix="b_", sns_topic_arn=""))[f"a_{WATCHDOG}"]
        found = configuration.read_topics({"dag": dag})
    assert found == {topic("leaves"): "theirs", topic("section"): "aws_default"}


def test_a_task_parses_only_its_own_dag(parse: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "a_label_detection")
    assert set(parse(call(prefix="a_"), call(prefix="b_"))) == {"a_label_detection"}


def examples(page: str, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", (PROJECT / "docs" / page).read_text(), re.DOTALL)
    assert found
    return found


@pytest.mark.parametrize("example", range(3))
def test_the_examples_of_the_page_are_dag_files(tmp_path: Path, example: int) -> None:
    text = examples("dag-file.md", "python")[example]
    if "import" not in text:
        text = f"# Airflow's DAGs.\nfrom label_detection.dags import labels\n{text}"
    (tmp_path / "example.py").write_text(text)
    bag = DagBag(tmp_path, safe_mode=True)
    assert bag.import_errors == {}
    prefix = "team_a_" if "team_a_" in text else ""
    assert set(bag.dags) == {f"{prefix}{dag_id}" for dag_id in DAGS}
    if "queue_url" in text:
        assert says(bag.dags[f"{prefix}label_detection"]) == []
