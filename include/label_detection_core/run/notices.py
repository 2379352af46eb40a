"""What is said to people by SNS when something is wrong: a subject, and plain text that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from label_detection_core.config.model_types import UnknownModelError, model_of
from label_detection_core.model.lease import Lease
from label_detection_core.redaction import redact

#: AWS: ASCII, less than 100 characters, no control characters.
_SUBJECT_LIMIT = 99
#: Characters of an error that are worth reading in a mail.
_PROBLEM_LIMIT = 2000


@dataclass(frozen=True)
class Notice:
    """A message to people."""

    subject: str
    body: str


@dataclass(frozen=True)
class FailedTask:
    """A task that failed for good. `problem` is None when it ended without a word."""

    dag_id: str
    run_id: str
    task_id: str
    problem: str | None
    base_url: str | None = None  # of Airflow's pages

    @property
    def link(self) -> str | None:
        """The run's page."""
        return _link(self.base_url, self.dag_id, self.run_id)


@dataclass(frozen=True)
class Stopped:
    """A model that the watchdog took from the run that left it."""

    lease: Lease
    why: str  # the run deleted, ended, or its lease expired
    by_us: bool  # else it was off, or on its way off
    at: datetime
    base_url: str | None = None

    def __str__(self) -> str:
        """One line for a log."""
        lease, over = self.lease, self.at - self.lease.until
        late = f", {over.total_seconds() / 60:.0f} minutes over its time" if over.total_seconds() > 0 else ""
        done = "stopped it" if self.by_us else "it was off already"
        return (
            f"{lease.model_arn}: left by run {lease.run_id} of DAG {lease.dag_id} ({self.why}), "
            f"leased since {_time(lease.since)}{late}: {done}"
        )


def run_failed(task: FailedTask, model_arn: str | None, lease: Lease | None, *, lease_known: bool = True) -> Notice:
    """A run that is red. `lease`: the run's own, when it has one still, and the model may be on.

    :param lease_known: False: the leases could not be read, so that it may have one.
    """
    may_be_on = lease is not None or not lease_known
    not_held = "The run does not hold the model: it was stopped, was never asked for, or another run has it by now."
    state = _may_be_on(lease) if may_be_on else [not_held]
    return _notice(
        f"{'THE MODEL MAY BE ON: run' if may_be_on else 'Run'} failed: {task.dag_id}",
        [f"A run of {task.dag_id} failed in {task.task_id}.", "", *_problem(task.problem)],
        [*_facts(task, model_arn), *state],
        [
            *(_by_hand(model_arn) if may_be_on else []),
            f"Open the log of the first task that failed ({task.task_id} itself, if no other did): it says what to "
            "mend. Then start a run.",
            "No image is lost: what is not labelled is in the source bucket and in the queue.",
        ],
        task.link,
    )


def stop_failed(task: FailedTask, model_arn: str | None, lease: Lease | None) -> Notice:
    """A stop that failed for good. `lease`: the run's own; without it the watchdog does not know of the model."""
    watchdog = "The watchdog DAG goes on trying every 10 minutes."
    nobody = "No lease of this run was found: the watchdog may not know of the model, and does not stop it then."
    return _notice(
        f"THE MODEL MAY BE ON: stop failed: {task.dag_id}",
        ["THE MODEL COULD NOT BE STOPPED. It may still be running, and costs money.", "", *_problem(task.problem)],
        [*_facts(task, model_arn), *_may_be_on(lease)],
        [*_by_hand(model_arn), f"Then mend the cause. {watchdog if lease else nobody}"],
        task.link,
    )


def watchdog_acted(stopped: Stopped) -> Notice:
    """A model that was left on, or at least not given up."""
    lease = stopped.lease
    done = "It was on; the watchdog has stopped it." if stopped.by_us else "It was off already, or on its way off."
    over = (stopped.at - lease.until).total_seconds() / 60
    return _notice(
        f"Watchdog {'stopped' if stopped.by_us else 'found'} a model that {lease.dag_id} left",
        [f"A run left its model, and the watchdog took it over. {done}"],
        [
            f"Model: {lease.model_arn}",
            f"Left by: run {lease.run_id} of DAG {lease.dag_id} ({stopped.why})",
            f"Leased: since {_time(lease.since)}, until {_time(lease.until)}",
            f"Over its time: {over:.1f} minutes"
            if over > 0
            else "Over its time: no, the run was over or deleted before",
            f"Found to be off: {_time(stopped.at)}",
        ],
        [
            "Look why the run did not stop it: a paused DAG, a DAG file that does not parse, a stop marked as done.",
            "The images that it left are in the queue: start a run, or wait for the next.",
        ],
        _link(stopped.base_url, lease.dag_id, lease.run_id),
    )


def watchdog_failed(task: FailedTask, leases: list[Lease]) -> Notice:
    """A watchdog that could not do its work. `leases`: those that there are."""
    held = [
        f"Leased: {lease.model_arn} since {_time(lease.since)} until {_time(lease.until)}, "
        f"by run {lease.run_id} of DAG {lease.dag_id}"
        for lease in leases
    ]
    return _notice(
        "THE WATCHDOG FAILED: a model may be on",
        ["The watchdog could not do its work. A model may be running, and costs money.", "", *_problem(task.problem)],
        [f"DAG: {task.dag_id}, task {task.task_id}", f"Run: {task.run_id}", *held],
        [
            *_by_hand(*(lease.model_arn for lease in leases)),
            "Then mend the cause. The watchdog tries again every 10 minutes.",
        ],
        task.link,
    )


def _notice(what: str, happened: list[str], facts: list[str], to_do: list[str], link: str | None) -> Notice:
    lines = [*happened, "", *facts, *([f"Airflow: {link}"] if link else []), "", "What to do:"]
    subject = f"[label detection] {what}".encode("ascii", "replace").decode()
    printable = "".join(c if c.isprintable() else " " for c in subject)
    return Notice(printable[:_SUBJECT_LIMIT].rstrip(), "\n".join([*lines, *(f"* {line}" for line in to_do)]) + "\n")


def _facts(task: FailedTask, model_arn: str | None) -> list[str]:
    return [f"DAG: {task.dag_id}, task {task.task_id}", f"Run: {task.run_id}", f"Model: {model_arn or 'not known'}"]


def _problem(problem: str | None) -> list[str]:
    if not problem:
        return ["Nothing was said: the task's process or its worker was lost, or Airflow ended it."]
    text = redact(problem)
    return [text if len(text) <= _PROBLEM_LIMIT else f"{text[:_PROBLEM_LIMIT]} … (the whole is in the log)"]


def _may_be_on(lease: Lease | None) -> list[str]:
    if lease is None:
        return ["May be on: since when is not known"]
    units = f"{lease.units} inference unit{'s' if lease.units != 1 else ''}"
    return [f"May be on: since {_time(lease.since)}, with {units}"]


def _by_hand(*model_arns: str | None) -> list[str]:
    """A line for each model; one to fill in where none is known."""
    return [f"Stop the model manually now, if it is on: {stop_command(arn)}" for arn in model_arns or (None,)]


def stop_command(model_arn: str | None) -> str:
    """What stops a model manually, as far as that is known."""
    try:
        return model_of(model_arn or "").stop_command
    except UnknownModelError:
        return f"in its service's console; its ARN is {model_arn or 'not known'}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _link(base_url: str | None, dag_id: str, run_id: str) -> str | None:
    return f"{base_url.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}" if base_url else None
