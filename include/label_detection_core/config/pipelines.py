"""The option `pipelines`: several pipelines, each with options of its own over the section's.

What is wrong with one is that one's problem: it is there, says so, and does not run; the others do.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from label_detection_core.config import pipelines_text, settings
from label_detection_core.config.model_kinds import model_of
from label_detection_core.config.pipelines_text import UnreadableError
from label_detection_core.config.settings import PIPELINES, SECTION, Place, Settings, SettingsError, environment_name

#: The DAGs of the only pipeline; those of several have `__` and the pipeline's name behind it.
LABELS_DAG = "label_detection"
BACKFILL_DAG = "label_detection_backfill"
#: Airflow: a DAG's id has up to 250 characters of these, a tag up to 100.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_NAME_LIMIT = 100
#: What two pipelines cannot share, and why.
_NOT_SHARED = {
    "model_arn": "two runs would start and stop the model under each other",
    "queue_url": "they would take each other's images",
    "final_bucket": "their runs' reports have the same keys",
}
#: AWS: the Region in a queue's host, in the forms that it has and had: regional, FIPS, dual-stack, an interface VPC
#: endpoint's (its own name and that of a zone), and the oldest.
_SQS_HOSTS = (
    re.compile(r"(?:[a-z\d-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z\d-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?"),
    re.compile(r"(?:[a-z\d-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z\d-]+)\.api\.(?:aws|amazonwebservices\.com\.cn)"),
    re.compile(r"(?P<region>[a-z\d-]+)\.queue\.amazonaws\.com(?:\.cn)?"),
)
_OLD_SQS_HOST = "queue.amazonaws.com"  # AWS: us-east-1

Read = Callable[[str], Any]


@dataclass(frozen=True)
class _Own(Place):
    """A pipeline's place: the file or variable that names it, with the section for what it does not say."""

    pipeline: str
    source: str
    options: frozenset[str]

    def name(self, option: str) -> str:
        """An option, and whose it is."""
        return f"{PIPELINES}: {self.pipeline}: {option}"

    def where(self, option: str) -> str:
        """Where an option is set that is."""
        if option in self.options:
            return f"it in {self.source}"
        return f"{environment_name(option)}, or the pipeline's own in {self.source}"

    def where_missing(self, option: str) -> str:
        """What is to be done about one that is not."""
        return f"set it in {self.source}, or {environment_name(option)} for all"


@dataclass(frozen=True)
class Pipeline:
    """One of several pipelines, or the only one.

    `name`: as its DAGs and tags have it; None: it is the only one. `options`: its own, not checked. `defaults`: the
    section's. `unreadable`: nothing of it can be used, and why. `problems`: why it does not run, beside its options.
    """

    name: str | None
    defaults: Read
    options: Mapping[str, Any] = field(default_factory=dict)
    place: Place = field(default_factory=Place)
    unreadable: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def dag_id(self) -> str:
        """The DAG that labels its images."""
        return self._dag_id(LABELS_DAG)

    @property
    def backfill_dag_id(self) -> str:
        """The DAG that announces its images."""
        return self._dag_id(BACKFILL_DAG)

    def _dag_id(self, dag_id: str) -> str:
        return dag_id if self.name is None else f"{dag_id}__{self.name}"

    def read(self, option: str) -> Any:
        """An option, not checked: its own, or the section's; None when it is not set.

        One of its own that is there and empty is the empty text: it hides the section's.
        """
        if option in self.options:
            value = self.options[option]
            return "" if value is None else value
        return self.defaults(option)

    def settings(self, params: Mapping[str, Any] | None = None) -> Settings:
        """All options, checked; `params`: a run's.

        :raises SettingsError: with one line per problem.
        """
        if self.unreadable:
            raise SettingsError([self.unreadable])
        try:
            found = settings.load(self.read, params, self.place)
        except SettingsError as error:
            raise SettingsError([*self.problems, *error.problems], error.options) from None
        if self.problems:
            raise SettingsError(list(self.problems))
        return found

    def schedule(self) -> str | None:
        """The schedule for its DAG; None: by hand only."""
        return settings.load_schedule(self.read)

    def right(self) -> dict[str, str]:
        """Its options that are set and right, as they are configured, without blanks around them."""
        try:
            settings.load(self.read, None, self.place)
            wrong: frozenset[str] = frozenset()
        except SettingsError as error:
            wrong = error.options
        values = {option: self.read(option) for option in Settings.model_fields if option not in wrong}
        return {option: _text(value) for option, value in values.items() if value is not None}


@dataclass(frozen=True)
class Pipelines:
    """All that there are: one at the least."""

    all: tuple[Pipeline, ...]

    def __iter__(self) -> Iterator[Pipeline]:
        return iter(self.all)

    def of_dag(self, dag_id: str) -> Pipeline | None:
        """The one that a DAG is of. The only one is any DAG's; of several a DAG may be nobody's, or nobody's by now."""
        if self.all[0].name is None:
            return self.all[0]
        return next((pipeline for pipeline in self.all if dag_id in {pipeline.dag_id, pipeline.backfill_dag_id}), None)


def read(value: str | None, folder: Path, defaults: Read) -> Pipelines:
    """The pipelines that the option's value names; the only one, when it is empty or not set, or cannot be read.

    :param folder: where a relative path is looked up, and beside it.
    :param defaults: an option of the section; None when not set.
    """
    defaults = cache(defaults)  # asked for once, and not by each pipeline
    if not value or not value.strip():
        return Pipelines((Pipeline(None, defaults),))
    try:
        named = pipelines_text.read(value, folder)
    except UnreadableError as error:
        line = f"[{SECTION}] {PIPELINES}: {error} ({environment_name(PIPELINES)})"
        return Pipelines((Pipeline(None, defaults, unreadable=line),))
    source = str(named.file or environment_name(PIPELINES))
    taken = {name for name in named.values if _NAME.fullmatch(name)}
    found = [_pipeline(name, options, source, defaults, taken) for name, options in named.values.items()]
    return Pipelines(tuple(_compared(found)))


def _pipeline(name: str, options: Any, source: str, defaults: Read, taken: set[str]) -> Pipeline:
    shown = name if _NAME.fullmatch(name) else repr(name if len(name) <= _NAME_LIMIT else f"{name[:_NAME_LIMIT]}…")
    if not isinstance(options, dict):
        line = f"{PIPELINES}: {shown}: it must be an object of options, and is not: mend it in {source}"
        return Pipeline(_clean(name, taken), defaults, unreadable=line)
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(
            f"{PIPELINES}: {shown}: a name must be 1 to {_NAME_LIMIT} letters of A-Z and a-z, digits, _, - or .: "
            f"mend it in {source}"
        )
    for option in options:
        if option not in Settings.model_fields:
            like = difflib.get_close_matches(option, Settings.model_fields, 1)
            meant = f"did you mean {like[0]}? mend" if like else "mend or remove"
            problems.append(f"{PIPELINES}: {shown}: {option!r} is not an option: {meant} it in {source}")
    place = _Own(shown, source, frozenset(options))
    return Pipeline(_clean(name, taken), defaults, options, place, problems=tuple(problems))


def _clean(name: str, taken: set[str]) -> str:
    """The name as a DAG may have it; one that is wrong never takes a right one's place."""
    if name in taken:
        return name
    base = clean = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:_NAME_LIMIT] or "unnamed"
    number = 1
    while clean in taken:
        number += 1
        clean = f"{base[: _NAME_LIMIT - 6]}-{number}"
    taken.add(clean)
    return clean


def _compared(pipelines: list[Pipeline]) -> Iterator[Pipeline]:
    """The pipelines, with what each has of another's among its problems.

    The first in the file has the right to a thing, also while something else is wrong with it: mending or breaking that
    must not have another one take its images.
    """
    values = [_things(pipeline) for pipeline in pipelines]
    sources: dict[str, list[int]] = {}
    for number, has in enumerate(values):
        sources.setdefault(has.get("source_bucket", ""), []).append(number)
    first: dict[tuple[str, str], Pipeline] = {}
    for number, (pipeline, has) in enumerate(zip(pipelines, values, strict=True)):
        problems = []
        for option, why in _NOT_SHARED.items():
            if option in has:
                other = first.setdefault((option, has[option]), pipeline)
                if other is not pipeline:
                    problems.append(f"{pipeline.place.name(option)} is that of {other.name} too: {why}; set another")
        others = [pipelines[one].name for one in sources.get(has.get("final_bucket", "-"), []) if one != number]
        if others:
            problems.append(
                f"{pipeline.place.name('final_bucket')} is the source bucket of {others[0]}: "
                "a copy would announce itself; set another"
            )
        yield replace(pipeline, problems=(*pipeline.problems, *problems)) if problems else pipeline


def _things(pipeline: Pipeline) -> dict[str, str]:
    """What it works on, in a form that is the same for the same thing; only what is right."""
    if pipeline.unreadable:
        return {}
    right = pipeline.right()
    found = {option: right[option] for option in ("source_bucket", "final_bucket") if right.get(option)}
    if right.get("model_arn"):
        found["model_arn"] = right["model_arn"].casefold()
    if right.get("queue_url"):
        found["queue_url"] = _queue(right["queue_url"], right.get("model_arn"))
    return found


def _queue(url: str, model_arn: str | None) -> str:
    """A queue by its Region, account and name, for every host that its URL may have.

    The Region is the host's. A host that says none, such as a company's own name for a VPC endpoint, means the model's
    Region: the client sends to its own host there, and only account and name of the URL count.
    """
    host, _, path = url.partition("://")[2].partition("/")
    host = host.lower().removesuffix(":443").removesuffix(":80")
    regions = [match["region"] for pattern in _SQS_HOSTS if (match := pattern.fullmatch(host))]
    if host == _OLD_SQS_HOST:
        regions = ["us-east-1"]
    region = regions[0] if regions else model_of(model_arn).region if model_arn else host
    return "/".join([region, *[part for part in path.split("/") if part][-2:]])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value).strip()
