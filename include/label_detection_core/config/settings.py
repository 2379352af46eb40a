"""The options of the configuration section `[label_detection]`, and their checks.

The modules of `label_detection_core.config.options` define them; other code imports this module only. The
configuration file, environment variables, the trigger form and docs/options.md all use these definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from label_detection_core.config.option_types import MODEL
from label_detection_core.config.options.failures import FailureOptions
from label_detection_core.config.options.labelling import LabellingOptions
from label_detection_core.config.options.money import MoneyOptions
from label_detection_core.config.options.notices import NoticeOptions
from label_detection_core.config.options.places import PlaceOptions
from label_detection_core.config.options.starts import StartOptions
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


class Settings(NoticeOptions, FailureOptions, MoneyOptions, LabellingOptions, StartOptions, PlaceOptions):
    """
    All options of a pipeline, checked.

    The last base class comes first in tables and in the trigger form: pydantic collects fields in this order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        found, least = list[str](), self.least_confidence
        if least is not None and 0 < least <= _ODD_CONFIDENCE:
            found.append(
                f"min_confidence is {least:g}: the scale is 0-100, so {least:g} keeps nearly all labels; set "
                f"{least * 100:g} if you meant that, or 0 to keep all labels"
            )
        if self.start_at_images > 1 and not self.start_at_minutes:
            found.append(
                f"start_at_images is {self.start_at_images} and start_at_minutes is 0: fewer images than that wait "
                "until the queue drops their messages; set start_at_minutes"
            )
        return found

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
            "off" if field.default is False else "none" if field.default in (None, ()) else f"`{field.default}`"
        )
        default = "**required**" if field.is_required() else default
        lines.append(f"| `{name}` | {default} | {'yes' if name in run_options() else ''} | {field.description} |")
    return "\n".join([*lines, f"| `{PIPELINES}` | none |  | {_PIPELINES_DESCRIPTION} |"])


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
