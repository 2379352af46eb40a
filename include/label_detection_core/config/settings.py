"""The options of `[label_detection]`, checked.

One definition serves the configuration file, environment variables, the trigger form and docs/options.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from label_detection_core.config import class_names
from label_detection_core.config.model_types import NamesModel, model_of
from label_detection_core.config.wrong_value import wrong_value

SECTION = "label_detection"
#: The option that is no pipeline's own: `label_detection_core.config.pipelines` reads it.
PIPELINES = "pipelines"
_PIPELINES_DESCRIPTION = (
    "Several pipelines, each with options of its own over these: JSON, or the path of a YAML file; empty: only one"
)

#: AWS: a standard topic; a FIFO one cannot send mail.
TOPIC_ARN = re.compile(r"arn:[a-z\d-]+:sns:(?P<region>[a-z\d-]+):\d{12}:[a-zA-Z0-9_-]{1,256}")
_ROLE_ARN = re.compile(r"arn:[a-z\d-]+:iam::\d{12}:role/[\w+=,.@/-]+")
#: AWS: 3-63 characters; lower-case letters, digits, dots and hyphens; begins and ends with a letter or digit.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: AWS: endings of names that are no general purpose bucket's, and what each is. S3 announces uploads under the bucket's
#: own name, and an alias of the source bucket would be another final bucket in name alone.
_NO_BUCKETS = {
    "--x-s3": "an S3 Express One Zone directory bucket, which announces no uploads",
    "--xa-s3": "an access point of an S3 Express One Zone directory bucket",
    "-s3alias": "an access point's alias",
    "--ol-s3": "an Object Lambda access point's alias",
    ".mrap": "a multi-Region access point's alias",
    "--table-s3": "an S3 table bucket",
}
#: AWS: storage classes whose objects can be read at once.
StorageClass = Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]
#: `min_confidence`: the service's own thresholds hold.
MODEL = "model"
#: Below it, nearly everything is a label: who sets it has thought of a scale of 0-1.
_ODD_CONFIDENCE = 1.0
_PRESETS = {"@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"}


class SettingsError(ValueError):
    """Options are missing or wrong; a line for each, naming it and what to set. `by_option`: those about one option."""

    def __init__(self, problems: list[str], by_option: Mapping[str, str] | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.by_option = dict(by_option or {})


class OptionPlace:
    """Where options are set, as an error says it: the section, for all that run by it."""

    def name(self, option: str) -> str:
        """An option, and whose it is."""
        return f"[{SECTION}] {option}"

    def where(self, option: str) -> str:
        """Where an option is set that is."""
        return environment_name(option)

    def where_missing(self, option: str) -> str:
        """What to do about one that is missing."""
        return f"set {environment_name(option)}"


def _matching(pattern: re.Pattern[str], must_be: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"must be {must_be}")
        return value

    return AfterValidator(check)


def _schedule(value: str) -> str:
    if value and value not in _PRESETS and not _is_cron(value):
        raise ValueError("must be a cron expression of five fields, an Airflow preset such as @hourly, or empty")
    return value


def _timezone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, OSError, ValueError):  # none of that name; a folder of zones; a path that leads elsewhere
        raise ValueError("must be the IANA name of a time zone, such as Europe/Zurich or UTC") from None


def _bucket(value: str) -> str:
    if value.startswith("arn:"):
        raise ValueError("must be the name of an S3 bucket, and is an ARN: give the bucket's own name")
    for ending, what in _NO_BUCKETS.items():
        if value.endswith(ending):
            raise ValueError(
                f"must be the name of a general purpose S3 bucket, and is {what}: give such a bucket's name"
            )
    return value


def _confidence(value: Any) -> Any:
    """The value unchanged if it can be a number; `model` in small letters; else ValueError."""
    if isinstance(value, str) and value.strip().lower() == MODEL:
        return MODEL
    try:
        if not isinstance(value, bool):
            float(value)
            return value
    except (TypeError, ValueError):
        pass
    raise ValueError(f"must be a number from 0 to 100, or {MODEL!r} for the model's own thresholds")


def _storage_class(value: Any) -> Any:
    readable = StorageClass.__args__  # type: ignore[attr-defined]
    if value is not None and value not in readable:
        raise ValueError(
            f"must be empty (each copy keeps the class of its original) or one of {', '.join(readable)}: of another "
            "class, S3 has no objects, or gives them out only after hours"
        )
    return value


def _is_cron(value: str) -> bool:
    try:
        return len(value.split()) == 5 and croniter(value).get_next() > 0
    except CroniterError:  # also when it never comes to pass, such as 30 February
        return False


_QueueUrl = Annotated[
    str,
    _matching(
        # No login, no query: the settings go along with the run, for all to see.
        re.compile(r"https?://[^\s/@?#]+/[^\s@?#]+"),
        "the URL of an SQS queue, as `aws sqs get-queue-url` prints it",
    ),
]
_Bucket = Annotated[
    str,
    AfterValidator(_bucket),
    _matching(
        _BUCKET,
        "the name of an S3 bucket: 3 to 63 small letters, digits, dots and hyphens, without s3:// and without a path",
    ),
]
_Confidence = Annotated[
    Annotated[float, Field(ge=0, le=100), Tag("number")] | Annotated[Literal["model"], Tag("word")],
    Discriminator(lambda value: "word" if value == MODEL else "number"),
    BeforeValidator(_confidence),
]
_ModelArn = Annotated[str, AfterValidator(lambda value: model_of(value).arn)]
_ClassNames = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(class_names.read)]
#: Airflow: what a connection's id may be made of, without #. A connection's URI has ://, its JSON has braces. AWS: an
#: access key's id has 20 characters, its secret 40.
_ConnectionId = Annotated[
    str,
    _matching(
        re.compile(
            r"(?!.*://)(?!(?:AKIA|ASIA)[A-Z\d]{16}\b)(?!(?=.*[A-Z])(?=.*[a-z])(?=.*\d)[A-Za-z\d/]{40}$)"
            r"[\w!()\-.:/\\]{1,250}"
        ),
        "the id of an Airflow connection, not the connection itself and no access key",
    ),
]
_TopicArn = Annotated[
    str, _matching(TOPIC_ARN, "the ARN of a standard SNS topic: arn:aws:sns:<region>:<account>:<name>")
]
_RoleArn = Annotated[str, _matching(_ROLE_ARN, "the ARN of an IAM role: arn:aws:iam::<account>:role/<name>")]


class Settings(NamesModel):
    """Every option of a pipeline. Fields marked `run=True` can also be given for one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue_url: _QueueUrl = Field(description="The SQS queue that S3 fills")
    source_bucket: _Bucket = Field(description="Where images are uploaded; they are deleted there once labelled")
    final_bucket: _Bucket = Field(description="Where images, label documents and reports go; another bucket")
    model_arn: _ModelArn = Field(
        description="The model: a Rekognition Custom Labels project version, a SageMaker endpoint configuration, or a "
        "Lookout for Vision model"
    )
    schedule: Annotated[str, AfterValidator(_schedule)] = Field(
        "0 */2 * * *", description="Cron or Airflow preset; empty: only when triggered"
    )
    timezone: Annotated[str, AfterValidator(_timezone)] | None = Field(
        None, description="The time zone of `schedule`, by its IANA name, such as `Europe/Zurich`"
    )
    paused_upon_creation: bool = Field(
        False, description="Whether the DAG is paused when Airflow sees it for the first time; never the watchdog"
    )
    wait_minutes: float = Field(
        5,
        ge=0,
        le=720,
        description="How long an empty queue is watched before the run is skipped",
        json_schema_extra={"run": True},
    )
    min_confidence: _Confidence = Field(
        70,
        validate_default=True,
        description="Labels the model is less sure of are left out, 0-100; `model`: the model's own thresholds hold",
        json_schema_extra={"run": True},
    )
    class_names: _ClassNames = Field(
        (),
        description="What the classes are called of a model that numbers them, from 0 on: with commas, as a JSON "
        "list, or as the model's `id2label`",
    )
    max_model_minutes: float = Field(
        60,
        ge=0.01,
        le=720,
        description="From the start request until workers stop receiving; what is left waits for the next run",
        json_schema_extra={"run": True},
    )
    target_minutes: float = Field(
        30,
        ge=0.01,
        le=720,
        description="How long the running model may take for a run's backlog; with more, the plan asks for more units",
        json_schema_extra={"run": True},
    )
    min_inference_units: int = Field(
        1,
        ge=1,
        le=100,
        description="The fewest inference units a run asks for",
        json_schema_extra={"run": True},
    )
    max_inference_units: int = Field(
        1,
        ge=1,
        le=100,
        description="The most; the plan picks by the backlog. Where set, AWS may add units up to it by itself",
        json_schema_extra={"run": True},
    )
    images_per_second_per_unit: float = Field(
        5,
        ge=0.1,
        le=1000,
        description="What one inference unit is expected to do; the tasks begin there and find what it really does",
        json_schema_extra={"run": True},
    )
    max_tasks: int = Field(
        4, ge=1, le=100, description="Most mapped analysis tasks of a run", json_schema_extra={"run": True}
    )
    price_per_unit_hour: float = Field(
        4.00, ge=0, allow_inf_nan=False, description="USD, for the report", json_schema_extra={"run": True}
    )
    max_receives: int = Field(
        5,
        ge=1,
        le=1000,
        description="Which delivery rejects an image that the model fails on, if it still answers for another one",
        json_schema_extra={"run": True},
    )
    final_storage_class: Annotated[StorageClass | None, BeforeValidator(_storage_class)] = Field(
        None,
        description="The storage class of images in the final bucket: one of S3's that can be read at once, such as "
        "`STANDARD_IA`; empty: each copy keeps the class of its original",
    )
    aws_conn_id: _ConnectionId = Field(
        "aws_default", description="The Airflow connection; its credentials are used, and its `config_kwargs`"
    )
    watchdog_grace_minutes: float = Field(
        15,
        ge=0,
        le=1440,
        description="How long after `max_model_minutes` a run may need to end; then the watchdog and the switch act",
    )
    sns_topic_arn: _TopicArn | None = Field(
        None, description="Where a failed run, a failed stop and the watchdog are announced; empty: nowhere"
    )
    dead_man_switch_role_arn: _RoleArn | None = Field(
        None,
        description="The role with which EventBridge Scheduler stops a model that a run has left on; empty: no switch",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.final_bucket == self.source_bucket:
            raise ValueError("final_bucket is the source bucket too: a copy would announce itself; set another bucket")
        if self.max_inference_units < self.min_inference_units:
            raise ValueError(
                f"max_inference_units is {self.max_inference_units}, less than min_inference_units "
                f"({self.min_inference_units}): raise the one or lower the other"
            )
        return self

    @property
    def least_confidence(self) -> float | None:
        """`min_confidence` as a model hook takes it: 0-100; None: the model's own thresholds hold."""
        return None if self.min_confidence == MODEL else float(self.min_confidence)

    def doubts(self) -> list[str]:
        """Warnings about values that are allowed and probably a mistake; a line for each."""
        least = self.least_confidence
        if least is not None and 0 < least <= _ODD_CONFIDENCE:
            return [
                f"min_confidence is {least:g}: values are 0-100, and {least:g} lets nearly everything through; set "
                f"{least * 100:g} if that is meant, or 0 for everything"
            ]
        return []

    @property
    def region(self) -> str:
        """The model's Region, which the images and the queue must be in too (AWS: Rekognition reads S3 there)."""
        return self.model.region


def run_options() -> dict[str, FieldInfo]:
    """The options that can be given for one run."""
    return {
        name: field
        for name, field in Settings.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("run")
    }


def environment_name(option: str) -> str:
    """The environment variable that sets an option: Airflow's own rule for its configuration."""
    return f"AIRFLOW__{SECTION.upper()}__{option.upper()}"


def load(
    read: Callable[[str], Any], params: Mapping[str, Any] | None = None, place: OptionPlace | None = None
) -> Settings:
    """All options, from the configuration (`read(option)`, None when not set) and a run's params (None: as configured).

    An empty value counts as not set, except for `schedule`, where it means manually only.

    :param place: where the options stand, for the errors; the section unless given.
    :raises SettingsError: with one line per option that is missing or wrong.
    """
    values: dict[str, Any] = {}
    for option in Settings.model_fields:
        value = read(option)
        value = value.strip() if isinstance(value, str) else value
        if value is not None and (value != "" or option == "schedule"):
            values[option] = value
    given = {name: params[name] for name in run_options() if params and params.get(name) is not None}
    try:
        return Settings.model_validate(values | given)
    except ValidationError as error:
        problems = error.errors()
        lines = [_line(problem, given, place or OptionPlace()) for problem in problems]
        named = (str(problem["loc"][0]) if problem["loc"] else "" for problem in problems)
        raise SettingsError(lines, {name: line for name, line in zip(named, lines, strict=True) if name}) from None


def load_some(values: Mapping[str, Any], place: OptionPlace) -> dict[str, Any]:
    """Options by their names, each checked alone. :raises SettingsError: with a line for each that is wrong."""
    found, lines = {}, {}
    for option, value in values.items():
        try:
            found[option] = _check(option, value)
        except ValidationError as error:
            problem: Any = {**error.errors()[0], "loc": (option,)}
            lines[option] = _line(problem, {}, place)
    if lines:
        raise SettingsError([*lines.values()], lines)
    return found


def load_option(option: str, read: Callable[[str], Any]) -> Any:
    """One option that has a default, checked alone: the default when it is not set, or wrong."""
    described = Settings.model_fields[option]
    value = read(option)
    value = value.strip() if isinstance(value, str) else value
    if value is None or (value == "" and option != "schedule"):
        return described.default
    try:
        return _check(option, value)
    except ValidationError:
        return described.default


def _check(option: str, value: Any) -> Any:
    described = Settings.model_fields[option]
    return TypeAdapter(Annotated[described.annotation, described]).validate_python(value)


def described_options() -> dict[str, str]:
    """Every option of the section by its name, with what it means."""
    described = {name: field.description or "" for name, field in Settings.model_fields.items()}
    return {**described, PIPELINES: _PIPELINES_DESCRIPTION}


#: Of options without a default of their own.
_DEFAULTS = {"final_storage_class": "empty", "timezone": "Airflow's `default_timezone`"}


def options_table() -> str:
    """The options as a Markdown table, for docs/options.md and the DAG's page."""
    lines = ["| option | default | for one run | |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _DEFAULTS.get(name) or (
            "off" if field.default in {None, False} else "none" if field.default == () else f"`{field.default}`"
        )
        default = "**required**" if field.is_required() else default
        lines.append(f"| `{name}` | {default} | {'yes' if name in run_options() else ''} | {field.description} |")
    return "\n".join([*lines, f"| `{PIPELINES}` | off |  | {_PIPELINES_DESCRIPTION} |"])


def _line(problem: Any, given: Mapping[str, Any], place: OptionPlace) -> str:
    """One line for one of pydantic's problems: the option, what is wrong, what to set and where."""
    if not problem["loc"]:
        return place.name(str(problem["ctx"]["error"]))
    option = str(problem["loc"][0])
    if problem["type"] == "missing":
        description = Settings.model_fields[option].description
        return f"{place.name(option)} is missing: {place.where_missing(option)} ({description})"
    wrong = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
    where = f"the run's param {option}" if option in given else place.where(option)
    value = wrong_value(option, problem["input"])
    return f"{place.name(option)} is {value}: {wrong[0].lower()}{wrong[1:]}; set {where}"
