"""Notices for people, sent when something is wrong: a subject, and plain text with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field

from label_detection_core.config.model_types import UnknownModelError, model_of
from label_detection_core.model.lease import Lease
from label_detection_core.redaction import redact
from label_detection_core.run.budget import Standing
from label_detection_core.stored import Part

#: AWS: ASCII, less than 100 characters, no control characters.
_SUBJECT_LIMIT = 99
#: Characters of an error that a notice quotes at most.
_PROBLEM_LIMIT = 2000


@dataclass(frozen=True)
class Notice:
    """A message for people: `subject` and `body` of an SNS message."""

    subject: str
    body: str


#: What a notice is about.
Event = Literal[
    "run_failed", "stop_failed", "found_on", "budget_reached", "watchdog_acted", "watchdog_failed", "digest"
]


class NoticeDocument(Part):
    """A notice as JSON, for a webhook."""

    schema_: Literal["label-detection-notice/1"] = Field(default="label-detection-notice/1", alias="schema")
    event: Event
    subject: str
    text: str
    dag_id: str
    run_id: str | None = None
    report: dict[str, Any] | None = None  # report.json of the run
    digest: dict[str, Any] | None = None


@dataclass(frozen=True)
class FailedTask:
    """A task that failed, with no retry left. `problem`: its error; None when it ended without one."""

    dag_id: str
    run_id: str
    task_id: str
    problem: str | None
    base_url: str | None = None  # of the Airflow UI

    @property
    def link(self) -> str | None:
        """Address of the run in the Airflow UI; None when `base_url` is None."""
        return _link(self.base_url, self.dag_id, self.run_id)


@dataclass(frozen=True)
class Stopped:
    """A model whose lease the watchdog ended, because its run did not."""

    lease: Lease
    why: str  # why its run will not end the lease, such as: the run was deleted
    by_us: bool  # False: the model was off already, or stopping
    at: datetime
    base_url: str | None = None

    def __str__(self) -> str:
        """One line for a log."""
        lease, over = self.lease, self.at - self.lease.until
        late = (
            f", {over.total_seconds() / 60:.0f} minutes past the end of the lease" if over.total_seconds() > 0 else ""
        )
        done = "stopped the model" if self.by_us else "the model was off already"
        return (
            f"{lease.model_arn}: run {lease.run_id} of DAG {lease.dag_id} did not end its lease ({self.why}); "
            f"leased since {_time(lease.since)}{late}; {done}"
        )


def run_failed(
    task: FailedTask, model_arn: str | None, lease: Lease | None, *, lease_known: bool = True, pause_after: int = 0
) -> Notice:
    """A run failed.

    :param lease: the lease of this run, if it still has one: then the model may be on.
    :param lease_known: False when the leases could not be read: then the run may have one.
    :param pause_after: after how many failed runs in a row the DAG is paused; 0: never.
    """
    may_be_on = lease is not None or not lease_known
    not_held = (
        "The run does not hold the model: the model was stopped, was never started, or is now held by another run."
    )
    state = _may_be_on(lease) if may_be_on else [not_held]
    return _notice(
        f"{'THE MODEL MAY BE ON: run' if may_be_on else 'Run'} failed: {task.dag_id}",
        [f"A run of {task.dag_id} failed in {task.task_id}.", "", *_problem(task.problem)],
        [*_facts(task, model_arn), *state],
        [
            *(_stop_it(model_arn) if may_be_on else []),
            f"Open the log of the first task that failed ({task.task_id}, if no other task failed). It names the cause "
            "and what to do. Remove the cause, then start a run.",
            "No picture is lost: pictures that are not labelled are still in the source bucket and in the queue.",
            "If the next runs fail too, they send no notice, until a run succeeds.",
            *([f"After {pause_after} failed runs in a row the DAG is paused: then unpause it."] if pause_after else []),
        ],
        task.link,
    )


def found_on(task: FailedTask, model_arn: str, state: str) -> Notice:
    """A run found the model on, and no lease on it. `task`: the task that found it; it did not fail."""
    return _notice(
        f"A model was on that no run held: {task.dag_id}",
        [f"The model was {state}, and no run held it. It cost money. This run uses it, and stops it when it ends."],
        [f"DAG: {task.dag_id}, task {task.task_id}", f"Run: {task.run_id}", f"Model: {model_arn}"],
        [
            "Find out who started the model, and since when it was on: a person, another program, or a start request "
            "of an earlier run that arrived late. AWS CloudTrail has the request."
        ],
        task.link,
    )


def stop_failed(task: FailedTask, model_arn: str | None, lease: Lease | None) -> Notice:
    """The task that stops the model failed, with no retry left. `lease`: of this run; None: it has none.

    Without a lease, the watchdog does not know that it must stop the model.
    """
    watchdog = "The watchdog DAG tries again every 10 minutes."
    no_lease = "No lease of this run was found. Without a lease the watchdog does not stop the model: stop it yourself."
    return _notice(
        f"THE MODEL MAY BE ON: stop failed: {task.dag_id}",
        [
            "THE MODEL COULD NOT BE STOPPED. It may still be running, and then it costs money.",
            "",
            *_problem(task.problem),
        ],
        [*_facts(task, model_arn), *_may_be_on(lease)],
        [*_stop_it(model_arn), f"Then remove the cause. {watchdog if lease else no_lease}"],
        task.link,
    )


def watchdog_acted(stopped: Stopped) -> Notice:
    """The watchdog ended a lease, and stopped the model if it was on."""
    lease = stopped.lease
    stopped_it = "The model was on, and the watchdog stopped it."
    done = stopped_it if stopped.by_us else "The model was off already, or was stopping."
    over = (stopped.at - lease.until).total_seconds() / 60
    return _notice(
        f"Watchdog stopped a model that {lease.dag_id} left on"
        if stopped.by_us
        else f"Watchdog ended a lease of {lease.dag_id}",
        [f"A run did not end its lease on the model, so the watchdog ended it. {done}"],
        [
            f"Model: {lease.model_arn}",
            f"Run: {lease.run_id} of DAG {lease.dag_id} ({stopped.why})",
            f"Leased: since {_time(lease.since)}, until {_time(lease.until)}",
            f"Past the end of the lease: {over:.1f} minutes"
            if over > 0
            else "Past the end of the lease: no; the watchdog ended it early, for the reason above",
            f"Seen to be off: {_time(stopped.at)}",
        ],
        [
            "Find out why the run did not stop the model: the DAG may be paused, the DAG file may not parse, "
            "or someone may have marked the task stop_model as done.",
            "Pictures that the run did not label are still in the queue: start a run, or wait for the next one.",
        ],
        _link(stopped.base_url, lease.dag_id, lease.run_id),
    )


def watchdog_failed(task: FailedTask, leases: list[Lease]) -> Notice:
    """The watchdog failed. `leases`: all leases that exist now."""
    held = [
        f"Leased: {lease.model_arn} since {_time(lease.since)} until {_time(lease.until)}, "
        f"by run {lease.run_id} of DAG {lease.dag_id}"
        for lease in leases
    ]
    return _notice(
        "THE WATCHDOG FAILED: a model may be on",
        ["The watchdog failed. A model may be running, and then it costs money.", "", *_problem(task.problem)],
        [f"DAG: {task.dag_id}, task {task.task_id}", f"Run: {task.run_id}", *held],
        [
            *_stop_it(*(lease.model_arn for lease in leases)),
            "Then remove the cause. The watchdog tries again every 10 minutes.",
        ],
        task.link,
    )


def budget_reached(dag_id: str, run_id: str, standing: Standing, base_url: str | None) -> Notice:
    """A budget does not pay for another run. Sent once per day or month."""
    return _notice(
        f"Budget used up: {dag_id}",
        ["A budget does not pay for another run, so no model is started. The pictures stay queued."],
        [f"DAG: {dag_id}", f"Run: {run_id}", f"Budget: {standing}"],
        [
            f"If the pictures cannot wait, raise {standing.limit.option}: the next run then labels them.",
            "Otherwise do nothing: runs go on by themselves in the next period.",
        ],
        _link(base_url, dag_id, run_id),
    )


def _notice(what: str, happened: list[str], facts: list[str], to_do: list[str], link: str | None) -> Notice:
    lines = [*happened, "", *facts, *([f"Airflow: {link}"] if link else []), "", "What to do:"]
    return Notice(subject(what), "\n".join([*lines, *(f"* {line}" for line in to_do)]) + "\n")


def subject(what: str) -> str:
    """Return the subject of a notice, in the characters and the length that SNS allows."""
    text = f"[label detection] {what}".encode("ascii", "replace").decode()
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable[:_SUBJECT_LIMIT].rstrip()


def _facts(task: FailedTask, model_arn: str | None) -> list[str]:
    return [f"DAG: {task.dag_id}, task {task.task_id}", f"Run: {task.run_id}", f"Model: {model_arn or 'not known'}"]


def _problem(problem: str | None) -> list[str]:
    if not problem:
        return ["No error was recorded: the task's process or its worker was lost, or Airflow ended it."]
    text = redact(problem)
    return [text if len(text) <= _PROBLEM_LIMIT else f"{text[:_PROBLEM_LIMIT]} … (the full text is in the task's log)"]


def _may_be_on(lease: Lease | None) -> list[str]:
    if lease is None:
        return ["The model may be on; since when is not known"]
    units = f"{lease.units} inference unit{'s' if lease.units != 1 else ''}"
    return [f"The model may be on since {_time(lease.since)}, with {units}"]


def _stop_it(*model_arns: str | None) -> list[str]:
    """One line per model; without a known model, one line for a person to complete."""
    return [f"Stop the model manually now if it is on: {stop_command(arn)}" for arn in model_arns or (None,)]


def stop_command(model_arn: str | None) -> str:
    """The command that stops a model manually; for an unknown model type, where to stop it."""
    try:
        return model_of(model_arn or "").stop_command
    except UnknownModelError:
        return f"in the console of its AWS service; the model's ARN is {model_arn or 'not known'}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _link(base_url: str | None, dag_id: str, run_id: str) -> str | None:
    return f"{base_url.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}" if base_url else None
