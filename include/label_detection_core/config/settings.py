"""The options of the configuration section `[label_detection]`, and their checks.

The configuration file, environment variables, the trigger form and docs/options.md all use these definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from label_detection_core.config.model_types import NamesModel
from label_detection_core.config.option_types import (
    MODEL,
    Bucket,
    Budget,
    CeleryQueue,
    ClassNames,
    Confidence,
    ConnectionId,
    MailAddresses,
    ModelArn,
    PoolName,
    QueueUrl,
    ReadableClass,
    RoleArn,
    Schedule,
    TimeOfDay,
    TimeZone,
    TopicArn,
)
from label_detection_core.config.wrong_value import wrong_value

SECTION = "label_detection"
#: The option that describes all pipelines. `label_detection_core.config.pipelines` reads it.
PIPELINES = "pipelines"
_PIPELINES_DESCRIPTION = (
    "Several pipelines, each with its own options, which override these: JSON, or the path of a YAML file. "
    "Empty: one pipeline"
)

#: A `min_confidence` up to this value lets nearly all labels through. Probably the user meant a scale of 0-1.
_ODD_CONFIDENCE = 1.0


class SettingsError(ValueError):
    """Options are missing or wrong. `problems`: one line each, with the cure; `by_option`: option → its line."""

    def __init__(self, problems: list[str], by_option: Mapping[str, str] | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.by_option = dict(by_option or {})


class OptionPlace:
    """The place where options are set, for error messages; here the configuration section."""

    def name(self, option: str) -> str:
        """Return the option with its section or pipeline."""
        return f"[{SECTION}] {option}"

    def where(self, option: str) -> str:
        """Return where to change an option that is set."""
        return environment_name(option)

    def where_missing(self, option: str) -> str:
        """Return how to set an option that is missing."""
        return f"set {environment_name(option)}"


def endless(schedule: str, pause_after_failed_runs: int) -> str | None:
    """Return why runs that fail would follow each other without end; None if they would not."""
    if schedule != "@continuous" or pause_after_failed_runs:
        return None
    return (
        "schedule is @continuous and pause_after_failed_runs is 0: a run that fails would start the next one at once, "
        "without end; set pause_after_failed_runs to 1 or more, or another schedule"
    )


class Settings(NamesModel):
    """All options of a pipeline, checked. Fields marked `run=True` can also be set for one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    queue_url: QueueUrl = Field(description="The URL of the SQS queue that receives the events of the source bucket")
    source_bucket: Bucket = Field(
        description="The bucket for uploads; a picture is deleted there after it was labelled"
    )
    final_bucket: Bucket = Field(
        description="The bucket for labelled pictures, label documents and reports; not the source bucket"
    )
    model_arn: ModelArn = Field(
        description="The ARN of the model: a Rekognition Custom Labels project version, a SageMaker endpoint "
        "configuration, or a Lookout for Vision model"
    )
    schedule: Schedule = Field(
        "0 */2 * * *", description="When runs start: a cron expression or an Airflow preset. Empty: only when triggered"
    )
    timezone: TimeZone | None = Field(
        None,
        description="The time zone of `schedule` and of a budget's days: an IANA name such as `Europe/Zurich`",
    )
    paused_upon_creation: bool = Field(
        False, description="Whether new DAGs are paused when Airflow first sees them. The watchdog never is"
    )
    wait_minutes: float = Field(
        5,
        ge=0,
        le=720,
        description="How many minutes a run waits for messages on an empty queue; then it is skipped",
        json_schema_extra={"run": True},
    )
    start_at_images: int = Field(
        1,
        ge=1,
        le=1_000_000,
        description="How many messages must wait before a run starts the model. With fewer, the run is skipped",
        json_schema_extra={"run": True},
    )
    start_at_minutes: float = Field(
        0,
        ge=0,
        le=10_080,
        description="After how many minutes waiting messages start the model even if there are fewer than "
        "`start_at_images`. Only runs look at the queue, so `schedule` limits how exact this is. 0: never",
        json_schema_extra={"run": True},
    )
    watch_queue: bool = Field(
        False,
        description="Whether a run also starts when the rule of `start_at_images` and `start_at_minutes` holds, "
        "besides `schedule`. The triggerer then counts the messages every ten seconds",
    )
    min_confidence: Confidence = Field(
        70,
        validate_default=True,
        description="The lowest confidence of a label that is kept, 0-100. `model`: the model's own thresholds",
        json_schema_extra={"run": True},
    )
    class_names: ClassNames = Field(
        (),
        description="The class names, from class 0 on, for a model that answers with class numbers: names with commas "
        "between them, a JSON list, or the model's `id2label`",
    )
    max_model_minutes: float = Field(
        60,
        ge=0.01,
        le=720,
        description="Minutes from the start request until the tasks stop receiving messages. Remaining messages wait "
        "for the next run",
        json_schema_extra={"run": True},
    )
    target_minutes: float = Field(
        30,
        ge=0.01,
        le=720,
        description="In how many minutes the running model should label the backlog. For a larger backlog, the plan "
        "asks for more units",
        json_schema_extra={"run": True},
    )
    min_inference_units: int = Field(
        1,
        ge=1,
        le=100,
        description="The fewest inference units that a run asks for",
        json_schema_extra={"run": True},
    )
    max_inference_units: int = Field(
        1,
        ge=1,
        le=100,
        description="The most inference units that a run asks for; the plan chooses by the backlog. If set, AWS may "
        "add units up to this number",
        json_schema_extra={"run": True},
    )
    images_per_second_per_unit: float = Field(
        5,
        ge=0.1,
        le=1000,
        description="Expected pictures per second of one inference unit. The tasks start at this rate and adjust it",
        json_schema_extra={"run": True},
    )
    max_tasks: int = Field(
        4,
        ge=1,
        le=100,
        description="The most parallel `analyse_images` tasks of a run",
        json_schema_extra={"run": True},
    )
    analysis_pool: PoolName | None = Field(
        None, description="The Airflow pool of the `analyse_images` tasks; it must exist. Empty: `default_pool`"
    )
    analysis_queue: CeleryQueue | None = Field(
        None, description="The Celery queue of the `analyse_images` tasks. Empty: Airflow's default queue"
    )
    control_queue: CeleryQueue | None = Field(
        None,
        description="The Celery queue of the tasks that start and stop the model, and of the watchdog. A worker must "
        "serve it. Empty: Airflow's default queue",
    )
    price_per_unit_hour: float = Field(
        4.00,
        ge=0,
        allow_inf_nan=False,
        description="The price of one inference unit for one hour in USD, for the report and the budget",
        json_schema_extra={"run": True},
    )
    max_cost_per_day: Budget | None = Field(
        None,
        description="How many USD models may cost per day; then nothing is started, and pictures stay queued. In the "
        "section it limits the sum of all pipelines, in a pipeline's own options that pipeline. Empty: no limit",
    )
    max_cost_per_month: Budget | None = Field(
        None, description="The same as `max_cost_per_day` per calendar month. Empty: no limit"
    )
    max_receives: int = Field(
        5,
        ge=1,
        le=1000,
        description="On which delivery a picture that the model fails at is rejected, if the model still labels "
        "another picture",
        json_schema_extra={"run": True},
    )
    pause_after_failed_runs: int = Field(
        5,
        ge=0,
        le=1000,
        description="After how many failed runs in a row the DAG is paused. Runs that found no images do not count. "
        "0: never",
    )
    final_storage_class: ReadableClass = Field(
        None,
        description="The storage class of pictures in the final bucket. It must be readable without a restore, such as "
        "`STANDARD_IA`. Empty: each copy keeps the class of its original",
    )
    aws_conn_id: ConnectionId = Field(
        "aws_default",
        description="The id of the Airflow connection to AWS; its credentials and its `config_kwargs` are used",
    )
    watchdog_grace_minutes: float = Field(
        15,
        ge=0,
        le=1440,
        description="How many minutes a run may take to end after `max_model_minutes`. Then the watchdog and the dead "
        "man's switch stop the model",
    )
    sns_topic_arn: TopicArn | None = Field(
        None,
        description="The ARN of the SNS topic for notices of failed runs, failed stops and the watchdog. Empty: none",
    )
    slack_conn_id: ConnectionId | None = Field(
        None,
        description="The id of the Airflow connection of type `slackwebhook` that gets the same notices. Empty: none",
    )
    mail_to: MailAddresses | None = Field(
        None, description="The mail addresses that get the same notices, with commas between them. Empty: none"
    )
    smtp_conn_id: ConnectionId = Field(
        "smtp_default",
        description="The id of the Airflow connection of type `smtp` that sends mail to `mail_to`; its `from_email` is "
        "the sender",
    )
    webhook_conn_id: ConnectionId | None = Field(
        None,
        description="The id of the Airflow connection of type `http` whose address gets the same notices as JSON, with "
        "the report of the run. Empty: none",
    )
    digest_at: TimeOfDay | None = Field(
        None,
        description="When a digest of the day before is sent as a notice: a time in `timezone`, such as `08:00`. "
        "Empty: never",
    )
    dead_man_switch_role_arn: RoleArn | None = Field(
        None,
        description="The ARN of the role with which EventBridge Scheduler stops a model that a run left on (the dead "
        "man's switch). Empty: no switch",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.final_bucket == self.source_bucket:
            raise ValueError(
                "final_bucket is also the source bucket: S3 would announce each copy as a new picture; "
                "set another bucket"
            )
        if self.max_inference_units < self.min_inference_units:
            raise ValueError(
                f"max_inference_units is {self.max_inference_units}, less than min_inference_units "
                f"({self.min_inference_units}): raise max_inference_units or lower min_inference_units"
            )
        if problem := endless(self.schedule, self.pause_after_failed_runs):
            raise ValueError(problem)
        return self

    @property
    def least_confidence(self) -> float | None:
        """`min_confidence` for a model hook: 0-100, or None for the model's own thresholds."""
        return None if self.min_confidence == MODEL else float(self.min_confidence)

    def doubts(self) -> list[str]:
        """Return a warning for each value that is allowed but probably a mistake."""
        least = self.least_confidence
        if least is not None and 0 < least <= _ODD_CONFIDENCE:
            return [
                f"min_confidence is {least:g}: the scale is 0-100, so {least:g} keeps nearly all labels; set "
                f"{least * 100:g} if you meant that, or 0 to keep all labels"
            ]
        return []

    @property
    def region(self) -> str:
        """The Region of the model. The images and the queue must be in it too (AWS: Rekognition reads S3 there)."""
        return self.model.region


def run_options() -> dict[str, FieldInfo]:
    """Return the options that can be set for one run."""
    return {
        name: field
        for name, field in Settings.model_fields.items()
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("run")
    }


def environment_name(option: str) -> str:
    """Return the environment variable that sets an option, by Airflow's rule."""
    return f"AIRFLOW__{SECTION.upper()}__{option.upper()}"


def load(
    read: Callable[[str], Any], params: Mapping[str, Any] | None = None, place: OptionPlace | None = None
) -> Settings:
    """Return all options, checked. An empty value counts as not set; an empty `schedule` means manually only.

    :param read: returns the configured value of an option; None if it is not set.
    :param params: the params of a run, which override the configuration; None leaves an option as configured.
    :param place: where the options are set, for error messages; the section by default.
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
    """Return the given options, each checked alone. :raises SettingsError: with one line per wrong option."""
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
    """Return one option that has a default. If it is not set or wrong, return the default."""
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
    """Return every option of the section with its description."""
    described = {name: field.description or "" for name, field in Settings.model_fields.items()}
    return {**described, PIPELINES: _PIPELINES_DESCRIPTION}


#: The table's text for defaults that are not a plain value.
_DEFAULTS = {"final_storage_class": "empty", "timezone": "Airflow's `default_timezone`"}


def options_table() -> str:
    """Return the options as a Markdown table, for docs/options.md and the DAG's page."""
    lines = ["| option | default | for one run | |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _DEFAULTS.get(name) or (
            "off" if field.default in {None, False} else "none" if field.default == () else f"`{field.default}`"
        )
        default = "**required**" if field.is_required() else default
        lines.append(f"| `{name}` | {default} | {'yes' if name in run_options() else ''} | {field.description} |")
    return "\n".join([*lines, f"| `{PIPELINES}` | off |  | {_PIPELINES_DESCRIPTION} |"])


def _line(problem: Any, given: Mapping[str, Any], place: OptionPlace) -> str:
    """Return one error line: the option, what is wrong, what to set and where."""
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
